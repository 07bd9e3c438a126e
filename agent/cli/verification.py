"""What `status -v` adds: every place that shows what Docker runs with. Imported only for that: `status` is fast."""

from __future__ import annotations

import asyncio

from agent.docker.sights import sights
from agent.docker.which import serving_by
from agent.system.policy_file import load_for_elsewhere
from agent.values.errors import NoPolicy, PolicyRefused
from agent.values.paths import Paths
from agent.values.policy import Docker
from agent.values.sight import Sights


def seen_now(paths: Paths) -> Sights:
    """Of the Docker that the policy names; without a policy that can be read, of the one that is there."""
    try:
        # Whoever asks need not be able to read the password files that it names.
        docker = load_for_elsewhere(paths.policy).policy.docker
    except (NoPolicy, PolicyRefused):
        docker = Docker()
    return asyncio.run(sights(serving_by(paths, docker), docker))
