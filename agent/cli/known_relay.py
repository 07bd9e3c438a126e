"""What the running agent has seen of the relay, for a command beside it: the agent alone probes it.

Docker may not have its address yet, as where its restart waits for a container; clients have it then.
"""

from __future__ import annotations

from agent.decide.relay import for_docker
from agent.one_pass.drawing import shown_settings
from agent.one_pass.no_relay import AsIfItWorked
from agent.one_pass.world import TheWorld
from agent.service.status_file import Status, read_running
from agent.values.paths import Paths
from agent.values.policy import Policy


def is_relay_seen_to_work(policy: Policy, shown: Status | None) -> bool:
    """Whether the agent that runs, and shows this, gives Docker the relay of this policy."""
    return policy.relay.enable and shown is not None and shown.settings == shown_settings(for_docker(policy.relay))


def with_known_relay(world: TheWorld, policy: Policy, paths: Paths) -> TheWorld:
    """The same world, in which the relay is given if the agent has seen it work."""
    if is_relay_seen_to_work(policy, read_running(paths.status)):
        world.relay = AsIfItWorked(world.relay, is_seen=True)
    return world
