"""The process that sits where a container would: in a network of its own, with one end of a veth on Docker's bridge.

`seat.py` starts it, as root. It connects once and says how that went. The network goes with the process, however that
ends, and with the network the veth. It does not outlive who started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from typing import Final

WITHIN_S: Final = 8  # for all of it
_CONNECTS_S: Final = 2.0
_STEP_S: Final = 3.0
_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET, linux/sched.h
_SET_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG, linux/prctl.h
_PATH: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def main(bridge: str, own: str, address: str, port: int) -> str:
    """What becomes of a connection to `address` from `own` (with its prefix): open, refused, silent; else why not."""
    host = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    signal.alarm(WITHIN_S)
    if libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL) or os.getppid() != host:
        return "the process that asked has ended"
    if libc.unshare(_NEW_NETWORK):
        return os.strerror(ctypes.get_errno())
    end = f"dpa{os.getpid()}"
    for command in (
        ("ip", "link", "add", "eth0", "type", "veth", "peer", "name", end, "netns", str(host)),
        ("ip", "addr", "add", own, "dev", "eth0"),
        ("ip", "link", "set", "eth0", "up"),
        ("nsenter", f"--net=/proc/{host}/ns/net", "ip", "link", "set", end, "master", bridge, "up"),
    ):
        if failed := _run(*command):
            return failed
    found = _connected(address, port)
    _run("ip", "link", "del", "eth0")  # the kernel takes its time to do it when the network goes
    return found


def _run(*command: str) -> str:
    """Why it failed; '' if it did not."""
    done = subprocess.run(command, env=_PATH, capture_output=True, text=True, check=False, timeout=_STEP_S)
    return f"{command[0]}: {done.stderr.strip() or 'failed'}" if done.returncode else ""


def _connected(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), _CONNECTS_S):
            return "open"
    except TimeoutError:
        return "silent"
    except OSError:  # also "no route to host", which is how a firewall's ICMP arrives
        return "refused"


if __name__ == "__main__":
    try:
        told = main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
    except (OSError, subprocess.SubprocessError) as failure:
        told = str(failure)
    os.write(1, told.encode(errors="replace"))
