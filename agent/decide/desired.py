"""The settings that a choice means for dockerd.

Pure. They depend on the policy and the choice alone, never on the snapshot or on Docker's networks: moving within
a choice, or `docker network create`, is no change.
"""

from __future__ import annotations

from agent.policy import NoProxy, Upstream
from agent.settings import DIRECT, ProxyUrl, Settings, settings


def for_dockerd(upstream: Upstream, exclusions: NoProxy) -> Settings:
    """What dockerd should run with. Its no_proxy is never empty: a foreign NO_PROXY would shine through (FACTS 3)."""
    if upstream.is_direct:
        return DIRECT
    return settings(
        http=_spelled(upstream.http_with_credentials),
        https=_spelled(upstream.https_with_credentials),
        no_proxy=(*exclusions.always, *upstream.no_proxy) or ("localhost",),
    )


def _spelled(url: ProxyUrl | None) -> ProxyUrl | None:
    return url and url.as_dockerd_sees_it()
