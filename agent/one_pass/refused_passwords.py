"""Which passwords a proxy has refused, so that they are not sent again: accounts lock (FACTS 25).

Kept across restarts of the agent, as keyed hashes of URL (or PAC), user, password and the host's route to the world.
The rest of the network does not count: starting a virtual machine adds a bridge, and the proxy is still the same. A
person's `probe` and a reload do not ask here.
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
from agent.values.settings import ProxyUrl, Scheme
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome, Verdict

_MOST: Final = 200  # kept; the oldest are forgotten first
_ANY: Final = ProxyUrl(Scheme.HTTP, "any", 1)  # in place of a PAC's
REFUSED: Final = Verdict(
    Outcome.PROXY_AUTH,
    "refused before, and not sent again until it or the policy changes; to retry: docker-proxy-agent reload",
)


class RefusedPasswords:
    """Those of this machine."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._file = StateFile(state / "refused-passwords.json", list[str], 1)
        self._known: list[str] | None = None

    def has(self, upstream: Upstream, snapshot: Snapshot) -> bool:
        known = self._all()  # hashing reads a file: only if there is something to compare with
        if not known or not _sends_secret(upstream):
            return False
        kinds = (_encoded(upstream, snapshot), *_encoded_of_pac(upstream, snapshot))
        return any(to_compare(self._state, one) in known for one in kinds)

    def add(self, upstream: Upstream, snapshot: Snapshot, *, is_of_pac: bool = False) -> None:
        """Without a secret there is nothing to remember. `is_of_pac`: it is for no other proxy of its PAC, either."""
        if not _sends_secret(upstream):
            return
        self._add(_encoded(upstream, snapshot))
        for one in _encoded_of_pac(upstream, snapshot) if is_of_pac else ():
            self._add(one)

    def note_taken(self, upstream: Upstream, snapshot: Snapshot) -> None:
        """A refusal by another proxy of its PAC does not count."""
        known = self._all()
        if not known or not _sends_secret(upstream):
            return
        ours = {to_compare(self._state, one) for one in _encoded_of_pac(upstream, snapshot)}
        if not ours.isdisjoint(known):
            self._known = [one for one in known if one not in ours]
            self._file.save(self._known)

    def _add(self, encoded: bytes) -> None:
        found = digest(self._state, encoded)
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


def _encoded_of_pac(upstream: Upstream, snapshot: Snapshot) -> tuple[bytes, ...]:
    """Whatever its PAC calls its proxies: they have one directory behind them, as a rule."""
    if not upstream.named_by or upstream.http is None:
        return ()
    sent = as_written(for_dockerd(msgspec.structs.replace(upstream, http=_ANY, https=_ANY), NoProxy(always=())))
    return (msgspec.json.encode([upstream.named_by, sent.http, *way_out(snapshot)]),)


def _sends_secret(upstream: Upstream) -> bool:
    return upstream.credentials is not None
