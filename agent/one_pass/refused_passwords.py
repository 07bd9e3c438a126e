"""Which passwords a proxy has refused, so that they are not sent again: accounts lock (FACTS 25).

Kept across restarts of the agent, as keyed hashes of URL, user, password and the host's route to the world. The rest of
the network does not count: starting a virtual machine adds a bridge, and the proxy is still the same. A person's
`probe` and a reload do not ask here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from agent.decide.desired import for_dockerd
from agent.decide.way_out import way_out
from agent.system.keyed import digest, to_compare
from agent.system.state_file import StateFile
from agent.targets.for_dockerd import as_written
from agent.values.errors import AgentError
from agent.values.policy import NoProxy, Upstream
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome, Verdict

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

    def has(self, upstream: Upstream, snapshot: Snapshot) -> bool:
        known = self._all()  # hashing reads a file: only if there is something to compare with
        return (
            bool(known) and _sends_secret(upstream) and to_compare(self._state, _encoded(upstream, snapshot)) in known
        )

    def add(self, upstream: Upstream, snapshot: Snapshot) -> None:
        """Without a secret there is nothing to remember."""
        if not _sends_secret(upstream):
            return
        found = digest(self._state, _encoded(upstream, snapshot))
        if found not in self._all():
            self._known = [*self._all(), found][-_MOST:]
            self._file.save(self._known)

    def forget(self) -> None:
        """After a change of policy, or when a person asks."""
        if self._all():
            self._known = []
            self._file.save([])

    def _all(self) -> list[str]:
        if self._known is None:
            try:
                self._known = self._file.load() or []
            except AgentError:  # then the password is tried once more, and remembered
                self._known = []
        return self._known


def _encoded(upstream: Upstream, snapshot: Snapshot) -> bytes:
    sent = as_written(for_dockerd(upstream, NoProxy(always=())))
    return msgspec.json.encode([sent.http, sent.https, *way_out(snapshot)])


def _sends_secret(upstream: Upstream) -> bool:
    return upstream.credentials is not None
