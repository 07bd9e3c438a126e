"""Whether a restart that is due is urgent: it is if what dockerd uses does not work here.

Pure. What still works can wait for containers and pulls; what does not hangs every pull until it is changed.
Not known here: what waits (`restart.py`), and how a verdict came about.
"""

from __future__ import annotations

import msgspec

from agent.values.policy import Network, Upstream
from agent.values.settings import Masked, Proxy, ProxyUrl, Settings
from agent.values.verdict import Verdict


class Urgency(msgspec.Struct, frozen=True):
    """The answer, with its reason."""

    is_urgent: bool
    because: str
    verdict: Verdict | None = None  # on what dockerd uses, here; None: it was not probed


def urgency(running: Settings, desired: Settings, in_force: str, verdict: Verdict | None) -> Urgency:
    """`in_force`: the upstream that dockerd uses now, if it has a name. No verdict: it was not probed."""
    if (running.http, running.https) == (desired.http, desired.https):
        return Urgency(is_urgent=False, because="only no_proxy differs")
    if verdict is None and in_force:
        return Urgency(is_urgent=True, because=f"{in_force} has a password that must not be used in this network")
    if verdict is None:
        return Urgency(is_urgent=True, because="what Docker runs with is not an upstream of the policy")
    if verdict.is_ok:
        return Urgency(is_urgent=False, because=f"{in_force} still works here", verdict=verdict)
    why = f"{in_force} does not work here ({verdict.outcome.value})"
    return Urgency(is_urgent=True, because=why, verdict=verdict)


def is_another_secret(running: Settings, desired: Settings) -> bool:
    """Whether they differ only in user or password."""
    without = [(_bare(one.http), _bare(one.https), one.no_proxy) for one in (running, desired)]
    return running != desired and without[0] == without[1]


def may_be_asked(upstream: Upstream, network: Network) -> bool:
    """Whether it may be probed: a password is sent only to an upstream that this network uses."""
    return upstream.credentials is None or upstream.name in network.use


def can_be_asked(running: Settings) -> bool:
    """Whether these settings are known well enough to probe them, passwords included."""
    urls = (running.http, running.https)
    return all(url is None or (isinstance(url, ProxyUrl) and not isinstance(url.credentials, Masked)) for url in urls)


def _bare(url: Proxy | None) -> Proxy | None:
    return url.without_credentials() if isinstance(url, ProxyUrl) else url
