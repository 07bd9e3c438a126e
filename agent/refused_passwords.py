"""Which passwords a proxy has refused, so that they are not sent again: accounts lock (FACTS 25).

Kept across restarts of the agent, as keyed hashes of URL, user, password and network. A person's `probe` and a reload
do not ask here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from agent.decide.desired import for_dockerd
from agent.errors import AgentError
from agent.keyed import digest, to_compare
from agent.policy import NoProxy, Upstream
from agent.state_file import StateFile
from agent.targets.for_dockerd import as_written
from agent.verdict import Outcome, Verdict

_MOST: Final = 200  # kept; the oldest are forgotten first
REFUSED: Final = Verdict(
    Outcome.PROXY_AUTH,
    "refused before, and not sent again until it or the policy changes, or: docker-proxy-agent reload",
)


class RefusedPasswords:
    """Those of this machine."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._file = StateFile(state / "refused-passwords.json", list[str], 1)
        self._known: list[str] | None = None

    def has(self, upstream: Upstream, fingerprint: str) -> bool:
        known = self._all()  # the hash costs a file's read: only where there is something to compare it with
        return (
            bool(known)
            and _sends_secret(upstream)
            and to_compare(self._state, _encoded(upstream, fingerprint)) in known
        )

    def add(self, upstream: Upstream, fingerprint: str) -> None:
        """Where no secret was sent there is nothing to remember."""
        if not _sends_secret(upstream):
            return
        found = digest(self._state, _encoded(upstream, fingerprint))
        if found not in self._all():
            self._known = [*self._all(), found][-_MOST:]
            self._file.save(self._known)

    def forget(self) -> None:
        """The policy changed, or a person asks."""
        if self._all():
            self._known = []
            self._file.save([])

    def _all(self) -> list[str]:
        if self._known is None:
            try:
                self._known = self._file.load() or []
            except AgentError:  # then one more try is made, and remembered
                self._known = []
        return self._known


def _encoded(upstream: Upstream, fingerprint: str) -> bytes:
    sent = as_written(for_dockerd(upstream, NoProxy(always=())))
    return msgspec.json.encode([sent.http, sent.https, fingerprint])


def _sends_secret(upstream: Upstream) -> bool:
    return upstream.credentials is not None
