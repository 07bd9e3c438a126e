"""What a file that takes the place of another one has from it, beside its bytes: owner, mode, SELinux label, ACL."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

# Signatures of the bytes, kept by the kernel: the old one would make the new file unreadable.
_NOT_COPIED: Final = frozenset({"security.ima", "security.evm"})


def copy_attributes(real: Path, descriptor: int, *, uid: int, gid: int, mode: int) -> None:
    """To a new file, open for writing: owner, extended attributes of `real`, and mode; none undoes another. OSError."""
    status = os.fstat(descriptor)
    wanted, present = _attributes(real), _attributes(descriptor)
    for name in present.keys() - wanted.keys():
        if not name.startswith("security."):  # an ACL that the folder gives to new files
            os.removexattr(descriptor, name)
    missing = {name: value for name, value in wanted.items() if present.get(name) != value}
    # Users' own attributes while the file is still ours: only a user with write access may set them.
    for name in [name for name in missing if name.startswith("user.")]:
        os.setxattr(descriptor, name, missing.pop(name))
    if (status.st_uid, status.st_gid) != (uid, gid):
        os.fchown(descriptor, uid, gid)
    for name, value in missing.items():
        os.setxattr(descriptor, name, value)
    os.fchmod(descriptor, mode)


def _attributes(file: Path | int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(file, name) for name in os.listxattr(file) if name not in _NOT_COPIED}
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return {}
