"""Tells two secrets apart without keeping either: a keyed hash that is worth nothing without the key beside it.

The key is made at first use, 0600 in the state directory.
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
_LIKE_NONE: Final = "no key"  # not '', which is kept for what was not written


def digest(state: Path, data: bytes) -> str:
    """The same for the same bytes, as long as the state directory lasts. For who holds the lock: may make the key."""
    path = state / _NAME
    found = read_file(path)
    if found is not None:
        return _of(found.data, data)
    key = secrets.token_bytes(32)
    replace_file(path, key, expected=None, parent_mode=0o700)
    return _of(key, data)


def to_compare(state: Path, data: bytes) -> str:
    """The digest, to be compared with one that is kept. Writes nothing; without a key it is like none that is kept."""
    found = read_file(state / _NAME)
    return _LIKE_NONE if found is None else _of(found.data, data)


def keyed(state: Path, purpose: str) -> Callable[[str], str]:
    """The digest of texts, for code that knows no state directory; no purpose tells anything of another's digests."""
    return lambda text: digest(state, f"{purpose}\0{text}".encode())


def keyed_to_compare(state: Path, purpose: str) -> Callable[[str], str]:
    """The same, for who only compares: writes nothing."""
    return lambda text: to_compare(state, f"{purpose}\0{text}".encode())


def _of(key: bytes, data: bytes) -> str:
    return hmac.new(key, data, hashlib.sha256).hexdigest()
