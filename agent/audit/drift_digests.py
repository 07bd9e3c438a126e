"""Digests of our keys' values, before and after a foreign change was corrected.

A record shows no password, so it would not show that one was changed. The digests are keyed and reveal nothing. They
are short: a person compares them, within one log.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from agent.system.keyed import keyed
from agent.targets import for_dockerd
from agent.values.errors import AgentError
from agent.values.settings import Settings

_DIGITS: Final = 16
_PURPOSE: Final = "drift"


def drift_digests(state: Path, before: Settings | None, after: Settings) -> tuple[str | None, str | None]:
    """Of what was found and of what was written; None where there is no telling, as without a place for the key."""
    digest = keyed(state, _PURPOSE)
    try:
        was = None if before is None else digest(_text(before))[:_DIGITS]
        return was, digest(_text(after))[:_DIGITS]
    except AgentError:  # such as a full disk: the correction was made all the same
        return None, None


def _text(found: Settings) -> str:
    of_all = for_dockerd.as_compared(Settings(http=found.all)).http
    return msgspec.json.encode((for_dockerd.as_compared(found), of_all)).decode()
