"""Tells two secrets apart without keeping either: a keyed hash that is worth nothing without the key beside it.

The key is made at first use, 0600 in the state directory.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

from agent.files import read_file, replace_file


def digest(state: Path, data: bytes) -> str:
    """The same for the same bytes, as long as the state directory lasts."""
    return hmac.new(_key(state / "hmac.key"), data, hashlib.sha256).hexdigest()


def keyed(state: Path, purpose: str) -> Callable[[str], str]:
    """The digest of texts, for code that knows no state directory; no purpose tells anything of another's digests."""
    return lambda text: digest(state, f"{purpose}\0{text}".encode())


def _key(path: Path) -> bytes:
    found = read_file(path)
    if found is not None:
        return found.data
    key = secrets.token_bytes(32)
    replace_file(path, key, expected=None, parent_mode=0o700)
    return key
