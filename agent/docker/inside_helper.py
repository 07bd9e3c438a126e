"""The process that stands where a dockerd does: in its network, and before its files, as its user.

`inside.py` starts it. Each packet in is a request, each packet out its answer: the addresses of a name, or a socket
that was opened there, by SCM_RIGHTS. Such a socket stays in that network, so whoever connects it connects from there.
It has dockerd's files because its resolv.conf is another one than this host's: there, 127.0.0.53 is nobody.

Not known here: what is connected to, and what is said.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Final

_MOST_ADDRESSES: Final = 100
_MOST_NAMES: Final = 32  # looked up at once; a resolver may hang
LONGEST: Final = 60_000  # bytes of a packet
_SET_DUMPABLE: Final = 4  # PR_SET_DUMPABLE, linux/prctl.h
_SET_NO_NEW_PRIVS: Final = 38
_SET_DEATH_SIGNAL: Final = 1
# CLONE_NEW… of linux/sched.h. systemd forbids setns(2) without the kind, where it forbids any.
_KINDS: Final = {"user": 0x10000000, "mnt": 0x00020000, "net": 0x40000000}
READY: Final = b"ready"


def main(pid: int, network: int) -> None:
    """Enter the namespaces of a process, then answer until the agent is gone. `network`: the inode of that network."""
    agent = socket.socket(fileno=0)
    try:
        _confine()
        _enter(pid, network)
    except OSError as error:
        agent.send(json.dumps({"failed": error.strerror or "failed"}).encode())
        return
    agent.send(READY)
    names = threading.Semaphore(_MOST_NAMES)
    while packet := agent.recv(LONGEST):
        _answer(agent, json.loads(packet), names)


def _confine() -> None:
    """No program can gain rights from here, nothing can grow, and it does not outlive the agent."""
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    for which, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, 600),  # seconds
    ):
        _, hard = resource.getrlimit(which)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (limit, limit))
    # The kernel counts all that programs of the user have sent, unreceived, against this limit (docs/facts.md 148).
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _enter(pid: int, network: int) -> None:
    """The user namespace first: it gives the right to the others. Only a process with one thread may enter it."""
    opened = {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in _KINDS}
    if os.fstat(opened["net"]).st_ino != network:
        raise OSError(0, "that dockerd is gone")  # its number is another process's
    for kind, descriptor in opened.items():
        if os.fstat(descriptor).st_ino != Path(f"/proc/self/ns/{kind}").stat().st_ino:
            _checked(ctypes.CDLL(None, use_errno=True).setns(descriptor, _KINDS[kind]))
        os.close(descriptor)
    os.chdir("/")
    _prctl(_SET_DUMPABLE, 0)  # no process that is in there with us looks into this one


def _prctl(option: int, value: int) -> None:
    nothing = (ctypes.c_ulong(0),) * 3
    _checked(ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), *nothing))


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _answer(agent: socket.socket, request: dict[str, Any], names: threading.Semaphore) -> None:
    if "family" in request:
        _open(agent, request["id"], request["family"])
    elif not names.acquire(blocking=False):
        _say(agent, request["id"], error=[socket.EAI_AGAIN, "too many names are being looked up"], is_name=True)
    else:
        try:
            threading.Thread(target=_look_up, args=(agent, request, names), daemon=True).start()
        except RuntimeError as error:  # no thread can be had, as at a limit of its user's
            names.release()
            _say(agent, request["id"], error=[socket.EAI_AGAIN, str(error)], is_name=True)


def _open(agent: socket.socket, number: int, family: int) -> None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as opened:
            packet = json.dumps({"id": number}).encode()
            rights = array.array("i", [opened.fileno()])
            agent.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    except OSError as error:
        _say(agent, number, error=[error.errno, error.strerror])


def _look_up(agent: socket.socket, request: dict[str, Any], names: threading.Semaphore) -> None:
    try:
        found = socket.getaddrinfo(request["host"].encode("latin-1"), request["port"], type=socket.SOCK_STREAM)
        _say(
            agent,
            request["id"],
            addresses=[[family, list(address)] for family, _, _, _, address in found[:_MOST_ADDRESSES]],
        )
    except socket.gaierror as error:
        _say(agent, request["id"], error=[error.errno, error.strerror], is_name=True)
    except OSError as error:
        _say(agent, request["id"], error=[error.errno, error.strerror])
    except Exception as error:  # noqa: BLE001 - whoever asked would wait for an answer in vain
        _say(agent, request["id"], error=[0, f"the look-up failed: {type(error).__name__}"])
    finally:
        names.release()


def _say(agent: socket.socket, number: int, **what: object) -> None:
    agent.send(json.dumps({"id": number, **what}).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
