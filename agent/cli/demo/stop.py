"""One stop of the journey, and what happened there.

Values only.
"""

from __future__ import annotations

import msgspec

from agent.cli.demo.places import Place
from agent.one_pass.seen import Pass, Seen
from agent.values.settings import Settings


class Pulled(msgspec.Struct, frozen=True):
    """How a pull ended: with the digest, or with what the engine said."""

    is_ok: bool
    words: str


class Stop(msgspec.Struct, frozen=True):
    """A pull, a pass, and a pull again."""

    place: Place
    before: Pulled
    would_do: Seen  # what `plan` shows
    done: Pass
    after: Pulled
    reported: Settings  # what the engine runs with in the end
    restarts: int  # of the engine, here
    is_same_engine: bool  # before and after, by its pid
