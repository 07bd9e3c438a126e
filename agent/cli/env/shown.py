"""What `env --json` prints. docs/json.md says what each field means."""

from __future__ import annotations

import msgspec

from agent.one_pass.picture import UpstreamShown
from agent.values.condition import Condition


class LinesShown(msgspec.Struct, frozen=True, kw_only=True):
    """The lines to be pasted: each a text for a POSIX shell, or for a Compose file."""

    run: str
    build: str
    compose: str


class EnvShown(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream, as programs read it from their environment. With `--show-secrets` it holds the password."""

    upstream: UpstreamShown
    hides_password: bool  # whether there are a user and a password that are not shown
    programs: dict[str, str]  # of this host; '': a name that must not be set
    containers: dict[str, str] | None  # None: they cannot reach it, and `conditions` says why
    lines: LinesShown | None
    conditions: tuple[Condition, ...]
