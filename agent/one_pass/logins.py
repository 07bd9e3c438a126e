"""Which of the upstreams that are probed in parallel share a password: those that one PAC names."""

from __future__ import annotations

from collections.abc import Iterable

from agent.probe.login import Login
from agent.values.policy import Upstream
from agent.values.secret import Secret


class Logins:
    """Those of the PACs of a policy, since the host came here."""

    def __init__(self) -> None:
        self._takers: dict[tuple[str, str, Secret | None], set[str]] = {}

    def forget(self) -> None:
        self._takers.clear()

    def of(self, upstreams: Iterable[Upstream], timeout_s: float) -> dict[str, Login]:
        """By upstream, for one look."""
        sharing: dict[tuple[str, str, Secret | None], list[str]] = {}
        for one in upstreams:
            if one.named_by and one.credentials is not None:
                sharing.setdefault((one.named_by, one.username, one.password), []).append(one.name)
        found = {}
        for key, names in sharing.items():
            login = Login(self._takers.setdefault(key, set()), timeout_s / (2 * len(names)))
            found.update(dict.fromkeys(names, login))
        return found
