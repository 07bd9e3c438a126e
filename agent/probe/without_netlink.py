"""A thread that looks names up, and does without netlink.

As soon as a name has more than one address, glibc's getaddrinfo asks the kernel for all addresses of this host, to sort
what it has found (FACTS 260). That question waits for the kernel's one lock on interfaces, which any user can hold for
a minute, and no registry would be found meanwhile; dockerd, which is Go, asks nothing like it. A glibc that gets no
netlink socket goes on without the answer. So the thread has a filter (seccomp(2)) that refuses it one, and
nothing else.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from typing import Final

_SET_NO_NEW_PRIVS: Final = 38  # linux/prctl.h; without it only root may set a filter
_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2  # linux/seccomp.h
_REFUSE: Final = 0x00050000  # SECCOMP_RET_ERRNO
_ALLOW: Final = 0x7FFF0000
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # of struct seccomp_data; the lower half, if little-endian
_NETLINK: Final = 16  # AF_NETLINK
_LOAD, _IF, _RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h: BPF_LD+W+ABS, BPF_JMP+JEQ+K, BPF_RET+K
# By machine: AUDIT_ARCH_* of linux/audit.h, and the number of socket(2). On others the question is asked.
_SOCKET: Final = {
    "x86_64": (0xC000003E, 41),
    "aarch64": (0xC00000B7, 198),
    "riscv64": (0xC00000F3, 198),
    "armv7l": (0x40000028, 281),
}


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("count", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


def _step(code: int, value: int, if_not: int = 0) -> bytes:
    """struct sock_filter: `if_not` steps are left out if a comparison fails."""
    return struct.pack("=HBBI", code, 0, if_not, value)


def _program() -> bytes:
    """b"" for a machine whose numbers are not known."""
    arch, number = _SOCKET.get(os.uname().machine, (0, 0))
    if not arch or sys.byteorder != "little":
        return b""
    return b"".join((
        _step(_LOAD, _ARCH_AT), _step(_IF, arch, 5),
        _step(_LOAD, _NUMBER_AT), _step(_IF, number, 3),
        _step(_LOAD, _FIRST_ARGUMENT_AT), _step(_IF, _NETLINK, 1),
        _step(_RETURN, _REFUSE | errno.EAFNOSUPPORT),
        _step(_RETURN, _ALLOW),
    ))  # fmt: skip


_LIBC: Final = ctypes.CDLL(None)
_STEPS: Final = _program()
_FILTER: Final = _Program(len(_STEPS) // 8, _STEPS)


def refuse_netlink() -> None:
    """To this thread, for the rest of its life. Where the kernel has no filters, it may."""
    nothing = ctypes.c_ulong(0)
    if _STEPS and _LIBC.prctl(_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing) == 0:
        _LIBC.prctl(_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.byref(_FILTER), nothing, nothing)
