"""Tells two secrets apart without keeping either: a keyed hash, which is useless without the key.

The key is created at first use, 0600 in the state directory.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.system.files import read_file, replace_file

_NAME: Final = "hmac.key"
_LIKE_NONE: Final = "no key"  # not '', which stands for a value that was not written


def digest(state: Path, data: bytes) -> str:
    """The same for the same bytes while the state directory exists. For the holder of the lock: may create the key."""
    path = state / _NAME
    found = read_file(path)
    if found is not None:
        return _of(found.data, data)
    key = secrets.token_bytes(32)
    replace_file(path, key, expected=None, parent_mode=0o700)
    return _of(key, data)


def to_compare(state: Path, data: bytes) -> str:
    """The digest, to compare with a kept one. Writes nothing; without a key it differs from every kept digest."""
    found = read_file(state / _NAME)
    return _LIKE_NONE if found is None else _of(found.data, data)


def keyed(state: Path, purpose: str) -> Callable[[str], str]:
    """A function from texts to digests, for code without a state directory. Digests of two purposes never compare."""
    return lambda text: digest(state, f"{purpose}\0{text}".encode())


def keyed_to_compare(state: Path, purpose: str) -> Callable[[str], str]:
    """The same, only for comparing: writes nothing."""
    return lambda text: to_compare(state, f"{purpose}\0{text}".encode())


def _of(key: bytes, data: bytes) -> str:
    return hmac.new(key, data, hashlib.sha256).hexdigest()
