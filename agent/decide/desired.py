"""The settings that a choice means for dockerd.

Pure. They depend on the policy, the choice and dockerd's vantage alone, never on the snapshot or on Docker's networks:
moving within a choice, or `docker network create`, is no change.
"""

from __future__ import annotations

import msgspec

from agent.values.policy import NoProxy, Policy, Upstream
from agent.values.settings import DIRECT, Credentials, ProxyUrl, Settings, settings
from agent.values.vantage import HOST, Vantage


def for_dockerd(upstream: Upstream, exclusions: NoProxy, vantage: Vantage = HOST) -> Settings:
    """What dockerd should run with. Its no_proxy is never empty: otherwise a foreign NO_PROXY would count (FACTS 3)."""
    if upstream.is_direct:
        return DIRECT
    there = as_reached(upstream, vantage)
    return settings(
        http=_spelled(there.http_with_credentials),
        https=_spelled(there.https_with_credentials),
        no_proxy=(*exclusions.always, *upstream.no_proxy) or ("localhost",),
    )


def as_reached(upstream: Upstream, vantage: Vantage) -> Upstream:
    """The upstream by the addresses at which dockerd reaches it; also one that has them already."""
    http, https = (url and vantage.reached_by(url) for url in (upstream.http, upstream.https))
    return msgspec.structs.replace(upstream, http=http, https=https)


def by_upstream(policy: Policy, vantage: Vantage = HOST) -> dict[str, Settings]:
    """What each upstream of the policy means for a dockerd that stands there. A PAC means nothing by itself."""
    return {
        name: for_dockerd(upstream, policy.no_proxy, vantage)
        for name, upstream in policy.upstreams.items()
        if not upstream.is_pac
    }


def as_upstream(settings: Settings, name: str) -> Upstream:
    """These settings as an upstream, to be probed; one user for both URLs."""
    urls = [url for url in (settings.https, settings.http) if isinstance(url, ProxyUrl)]
    known = next((url.credentials for url in urls if isinstance(url.credentials, Credentials)), None)
    bare = [url.without_credentials() if isinstance(url, ProxyUrl) else None for url in (settings.http, settings.https)]
    return Upstream(
        name,
        bare[0],
        bare[1],
        username=known.username if known else "",
        password=known.password if known else None,
        no_proxy=settings.no_proxy,
    )


def _spelled(url: ProxyUrl | None) -> ProxyUrl | None:
    return url and url.as_dockerd_sees_it()
