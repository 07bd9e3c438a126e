"""choice.env in the runtime folder, as the running agent keeps it for other programs of this host.

It is replaced whole, and only when what it says changes. While nothing is chosen (offline, at a portal, nothing works)
it stays as it is, as Docker's settings do, and so it does while the agent is paused and when it stops.
Not known here: how it is spelled (`targets/choice.py`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from agent.decide.clients import for_programs
from agent.decide.relay import as_upstream, exclusions_of_clients
from agent.one_pass.seen import Planned, Seen
from agent.system.files import read_file, replace_file
from agent.targets import choice
from agent.values.errors import AgentError
from agent.values.policy import NoProxy, Upstream
from agent.values.settings import ProxyUrl, Settings

PUBLIC: Final = 0o644
CHOSEN, PINNED = "chosen", "pinned"


class ChoiceFile:
    """That of one agent."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def show(self, seen: Seen, exclusions: NoProxy, *, is_pinned: bool) -> None:
        """`exclusions`: of the policy."""
        if not isinstance(seen, Planned):
            return
        text = choice.text(
            _settings(seen, exclusions),
            network=seen.recognised.network.name,
            upstream=seen.upstream.named_by or seen.upstream.name,  # what a PAC names has no name in the policy
            state=PINNED if is_pinned else CHOSEN,
        )
        with contextlib.suppress(AgentError):  # a full disk: the next pass tries again
            there = read_file(self._path)
            if there is None or there.data != text.encode():
                replace_file(self._path, text.encode(), expected=there, mode=PUBLIC)


def _settings(seen: Planned, exclusions: NoProxy) -> Settings:
    """By the relay, once Docker has its address: it needs no password, and follows without a new file."""
    if (relay := seen.relayed.given) is None:
        return _of(seen.upstream, exclusions)
    return _of(as_upstream(relay.port), exclusions_of_clients(exclusions))


def _of(upstream: Upstream, exclusions: NoProxy) -> Settings:
    public = upstream.without_credentials()
    return for_programs(public, exclusions, http=_bare(public.http), https=_bare(public.https))


def _bare(url: ProxyUrl | None) -> ProxyUrl | None:
    return None if url is None else url.without_credentials()
