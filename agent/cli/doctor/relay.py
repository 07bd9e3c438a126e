"""The relay, where Docker has its address: whether it leads to a registry.

Pure. Not known here: how it was probed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.values.verdict import Verdict

_RESTART: Final = "sudo systemctl restart docker-proxy-relay.service"
_RESUME: Final = "sudo docker-proxy-agent resume"


class RelaySeen(msgspec.Struct, frozen=True, kw_only=True):
    """A probe through it. Where Docker does not have its address there is none."""

    port: int
    upstream: str  # that it was told to use; '': none, or none of the policy's
    through: Verdict
    without: Verdict | None = None  # how that upstream does by itself; None: not known
    is_paused: bool = False  # the agent, which would give it what it misses

    @property
    def leads_nowhere(self) -> bool:
        """Whether it was told of nothing that leads out, as after a boot without the agent."""
        return not (self.upstream or self.through.is_ok)


def judge(relay: RelaySeen | None) -> Iterator[Finding]:
    """Where the upstream fails as well, it is the upstream that is in the way."""
    if relay is None or relay.through.is_ok or relay.without is None or not relay.without.is_ok:
        return
    evidence = f": {relay.through.evidence}" if relay.through.evidence else ""
    yield Finding(
        code=Sign.RELAY_SILENT,
        is_broken=True,
        where=f"127.0.0.1:{relay.port}",
        what=f"the relay reaches no registry ({relay.through.outcome.value}{evidence})",
        why=f"Docker and containers use it, although {relay.upstream} itself works",
        command=f"{_RESUME if relay.is_paused else _RESTART}; journalctl -u docker-proxy-relay -n 50",
    )
