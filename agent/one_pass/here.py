"""What one look is about, and what it has found so far: what its steps hand on to each other."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agent.decide.recognise import Recognised
from agent.decide.relay import Relayed
from agent.one_pass.docker_now import in_docker
from agent.one_pass.ports import Choosing, World
from agent.values.dockerd import FileFault, Reality
from agent.values.policy import Network, Policy
from agent.values.settings import Settings
from agent.values.snapshot import Snapshot


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """What one look is about, and whom it asks."""

    policy: Policy  # with what its PACs say here
    world: World
    choosing: Choosing
    snapshot: Snapshot
    recognised: Recognised

    @property
    def network(self) -> Network:
        return self.recognised.network


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Docker and the relay, as one look has found them so far."""

    reality: Reality
    is_known: bool  # from the look before
    meant: Mapping[str, Settings]  # what each upstream means for this dockerd
    keeps_down: FileFault | None
    relayed: Relayed

    @property
    def in_docker(self) -> str | None:
        return in_docker(self.reality, self.meant, self.relayed)


def recognised_in(with_candidates: Policy, policy: Policy, recognised: Recognised) -> Recognised:
    if recognised.network not in policy.networks:  # the built-in last one
        return recognised
    here = with_candidates.networks[policy.networks.index(recognised.network)]
    return msgspec.structs.replace(recognised, network=here)
