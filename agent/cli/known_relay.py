"""What the running agent has seen of the relay, for a command beside it: the agent alone probes it.

Docker may not have its address yet, as where its restart waits for a container; clients have it then.
"""

from __future__ import annotations

from agent.decide.relay import for_docker
from agent.one_pass.drawing import shown_settings
from agent.one_pass.relay import AsIfItWorked
from agent.one_pass.world import TheWorld
from agent.service.status_file import StatusFound, read
from agent.values.paths import Paths
from agent.values.policy import Policy


def is_relay_seen_to_work(policy: Policy, found: StatusFound | None) -> bool:
    """Whether the agent that runs gives Docker the relay of this policy."""
    if not policy.relay.enable or found is None or not found.is_running or found.status is None:
        return False
    return found.status.settings == shown_settings(for_docker(policy.relay))


def with_known_relay(world: TheWorld, policy: Policy, paths: Paths) -> TheWorld:
    """The same world, in which the relay is given if the agent has seen it work."""
    if is_relay_seen_to_work(policy, read(paths.status)):
        world.relay = AsIfItWorked(world.relay, is_seen=True)
    return world
