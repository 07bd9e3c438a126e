"""Evaluates one PAC file, for as many questions as come until its limits end it.

Its stdin is a socket. In: a line of JSON (`length`, `my_ip`), the script, then a line (`url`, `host`) for each
question. Out: an empty object once the script is there, then a line for each question, `answer` or `error`. systemd
starts it for each connection, or `probe/pac.py` does, as a program that imports nothing but the engine; so the names of
the lines are those of `values/pac.py`, and explained only there.

A script that does not end is ended by the kernel, without an answer. What the engine prints of it, such as what the
script says by `alert`, goes to a small file in memory, from which the reason of a failure is taken.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import socket
import sys
import time
from typing import Any, BinaryIO, Final

CPU_S: Final = 1
_LIVES_S: Final = 4.0  # then it ends by itself, before its unit's RuntimeMaxSec= would call it failed
MEMORY: Final = 128 * 1024 * 1024  # bytes of addresses; the engine then says itself that it has no more
_PRINTED: Final = 64 * 1024  # bytes
_LONGEST_LINE: Final = 64 * 1024
_LARGEST_SCRIPT: Final = 3 * 1024 * 1024  # 1 MiB as it was fetched may be more in UTF-8
_LONGEST_ANSWER: Final = 8193  # one more than is looked at, so that it shows that there was more
_LONGEST_REASON: Final = 150
_NOBODY: Final = 65534
_SET_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG, linux/prctl.h
_SET_DUMPABLE: Final = 4
_SET_NO_NEW_PRIVS: Final = 38
# What the engine of pacparser before 1.5 (SpiderMonkey of 2006) does not know.
_MODERN: Final = re.compile(r"=>|`|\b(?:let|const|class|async)\s|\.\.\.|\?\.")
_REASON: Final = re.compile(r"JSERROR: (?:[^\n]*:\n *)?([^\n]*)")


def main(engine_in: str = "") -> None:
    """Serve until the other end has closed. `engine_in`: the folder of pacparser, if Python does not look there."""
    ends_at = time.monotonic() + _LIVES_S
    try:
        connection = socket.socket(fileno=os.dup(0))
    except OSError:
        sys.exit("pac: --evaluator is for its systemd unit, which gives it a connection. Try: docker-proxy-agent pac")
    _leave_the_streams()
    if engine_in:
        sys.path.append(engine_in)
    try:
        import pacparser  # noqa: PLC0415 - the folder is only known now
    except ImportError:
        pacparser = None
    # The engine looks up names by the resolver, which would wait 20 s for one that nobody answers for.
    os.environ["RES_OPTIONS"] = "timeout:1 attempts:1"
    _confine()
    with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
        _serve(connection, lines, pacparser, ends_at)


def _leave_the_streams() -> None:
    """Nothing that is printed goes to the other end."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    printed = os.memfd_create("printed")
    for stream, descriptor in ((0, nowhere), (1, nowhere), (2, printed)):
        os.dup2(descriptor, stream)
    os.close(nowhere)
    os.close(printed)


def _confine() -> None:
    """Nothing can grow or gain rights from here on, and it does not outlive who asked. As root it becomes nobody."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a full file is no end: what comes then is not printed
    for which, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, _PRINTED, _PRINTED),
        (resource.RLIMIT_NOFILE, 32, 32),
        (resource.RLIMIT_AS, MEMORY, MEMORY),
        (resource.RLIMIT_CPU, CPU_S, CPU_S + 1),  # at the first a signal that tells, at the second SIGKILL
    ):
        most = resource.getrlimit(which)[1]
        allowed = hard if most == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (min(soft, allowed), allowed))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_SET_NO_NEW_PRIVS, 1), (_SET_DUMPABLE, 0), (_SET_DEATH_SIGNAL, signal.SIGKILL)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def _serve(connection: socket.socket, lines: BinaryIO, pacparser: Any, ends_at: float) -> None:
    connection.settimeout(_LIVES_S)
    order = json.loads(lines.readline(_LONGEST_LINE))
    length = int(order["length"])
    if not 0 <= length <= _LARGEST_SCRIPT:
        return
    script = lines.read(length).decode("utf-8", "replace")
    connection.sendall(b"{}\n")
    failed = _begun(pacparser, script, str(order.get("my_ip", "")))
    while (left_s := ends_at - time.monotonic()) > 0:
        connection.settimeout(left_s)
        line = lines.readline(_LONGEST_LINE)
        if not line:
            return
        question = json.loads(line)
        reply = {"error": failed} if failed else _asked(pacparser, str(question["url"]), str(question["host"]))
        connection.sendall(json.dumps(reply).encode() + b"\n")


def _begun(pacparser: Any, script: str, my_ip: str) -> str:
    """Why the script cannot be used; '' if it can."""
    if pacparser is None:
        return "pacparser is not installed"
    if "\0" in script:
        return "the script has a NUL in it"
    try:
        pacparser.init()
        if my_ip:
            pacparser.setmyip(my_ip)
        # On the same line, or its lines would be counted otherwise. Before 1.5 there is no such function.
        pacparser.parse_pac_string(f"function alert() {{}} {script}" if _version(pacparser) < (1, 5) else script)
    except Exception as error:  # noqa: BLE001 - the engine's, whatever it is: what is not understood is an answer, too
        reason = _reason(error)
        is_old = _version(pacparser) < (1, 5)
        if is_old and _MODERN.search(script):
            return f"needs pacparser 1.5, this is {_version_text(pacparser)}: {reason}"
        return reason
    return ""


def _asked(pacparser: Any, url: str, host: str) -> dict[str, str]:
    try:
        answer = pacparser.find_proxy(url, host)
    except UnicodeDecodeError:
        return {"error": "its answer is not text"}
    except Exception as error:  # noqa: BLE001 - the same
        return {"error": _reason(error)}
    _printed()
    return {"answer": str(answer)[:_LONGEST_ANSWER]}


def _reason(error: Exception) -> str:
    """What the engine printed last, which says more than its exception."""
    told = [line.strip() for line in _REASON.findall(_printed())]
    return (told[-1] if told and told[-1] else str(error) or type(error).__name__)[:_LONGEST_REASON]


def _printed() -> str:
    """What was printed since the last time."""
    try:
        said = os.pread(2, _PRINTED, 0).decode("utf-8", "replace")
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
    except OSError:  # there is no such file: nothing is known
        return ""
    return said


def _version_text(pacparser: Any) -> str:
    return str(pacparser.version()).removeprefix("v")


def _version(pacparser: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", _version_text(pacparser))[:2])


if __name__ == "__main__":
    main(*sys.argv[1:2])
