"""Listeners of this user, and of another one: for that, root is needed."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

needs_root = pytest.mark.needs_root

ME = pwd.getpwuid(os.geteuid()).pw_name
SOMEBODY = "nobody"  # an account that every system has, and no test runs as

# Says what came of it, then every byte that it hears; ends with its stdin.
_LISTENS = """
import errno, os, resource, select, socket, sys
uid, family, address, port, device, options, times = sys.argv[1:]
if os.geteuid() == 0 and int(uid) != 0:
    os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
def listener():
    one = socket.socket(getattr(socket, family))
    if "give" in options.split():
        os.fchown(one.fileno(), 0, -1)
    for option in options.split():
        one.setsockopt(*{"reuse": (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
            "share": (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1),
            "both": (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0),
            "only": (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)}[option])
    if device:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    one.bind((address, int(port)))
    one.listen()
    return one
resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
try:
    one = listener()
    port = one.getsockname()[1]
    others = [listener() for _ in range(int(times) - 1)]
except OSError as failure:
    print(errno.errorcode[failure.errno], flush=True)
    sys.exit()
print(one.getsockname()[1], flush=True)
peers, is_told = [], False
while True:  # what has come by the time that it is told to end is said, however late it is looked at
    ready = select.select([one, *peers] if is_told else [one, *peers, sys.stdin], [], [], 0 if is_told else None)[0]
    if is_told and not ready:
        break
    for each in ready:
        if each is sys.stdin:
            is_told = True
        elif each is one:
            peers.append(one.accept()[0])
            print("came", flush=True)
        else:
            try:
                heard = each.recv(4096)
            except ConnectionResetError:
                heard = b""
            if heard:
                print(heard, flush=True)
            else:
                peers.remove(each)
"""


class Stranger:
    """Somebody's process that listens."""

    def __init__(self, popen: subprocess.Popen[str], said: str) -> None:
        self._popen = popen
        self.said = said  # the port, or the name of the error

    @property
    def port(self) -> int:
        return int(self.said)

    def heard(self) -> list[str]:
        """What it was sent by now; it ends with that."""
        rest, _ = self._popen.communicate("", timeout=60)
        return rest.splitlines()


@contextmanager
def listening(
    user: str, address: str, port: int = 0, options: str = "reuse", device: str = "", *, times: int = 1
) -> Iterator[Stranger]:
    uid = str(pwd.getpwnam(user).pw_uid)
    family = "AF_INET6" if ":" in address else "AF_INET"
    argv = [sys.executable, "-I", "-S", "-c", _LISTENS, uid, family, address, str(port), device, options, str(times)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as popen:
        try:
            assert popen.stdout is not None
            yield Stranger(popen, popen.stdout.readline().strip())
        finally:
            popen.kill()
