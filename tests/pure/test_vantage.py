"""Where dockerd stands, and what a proxy on this host's loopback is from there."""

from __future__ import annotations

import pytest

from agent.decide.desired import as_reached, as_upstream, by_upstream, for_dockerd
from agent.values.policy import DIRECT as DIRECT_UPSTREAM
from agent.values.policy import NoProxy, Policy, Upstream
from agent.values.secret import Secret
from agent.values.settings import DIRECT, ProxyUrl, agrees
from agent.values.vantage import HOST, Vantage
from tests.upstreams import upstream, url

SLIRP = Vantage(is_host=False, gateway="10.0.2.2", has_ipv6=False)
NOWHERE = Vantage(is_host=False, has_ipv6=False)


def local(text: str) -> Upstream:
    return upstream(text, "local", username="alice", password=Secret("sesame"), owner="alice")


@pytest.mark.parametrize(
    ("vantage", "of_the_policy", "there"),
    [
        pytest.param(HOST, "http://127.0.0.1:7890", "http://127.0.0.1:7890", id="from-the-host"),
        pytest.param(SLIRP, "http://127.0.0.1:7890", "http://10.0.2.2:7890", id="by-the-gateway"),
        pytest.param(SLIRP, "http://localhost:7890", "http://10.0.2.2:7890", id="by-its-name"),
        pytest.param(SLIRP, "http://app.localhost:7890", "http://10.0.2.2:7890", id="by-a-name-below-it"),
        pytest.param(SLIRP, "socks5h://0.0.0.0:1080", "socks5://10.0.2.2:1080", id="by-any-address"),
        pytest.param(SLIRP, "http://127.0.1.1:7890", "http://127.0.1.1:7890", id="the-gateway-leads-to-one-address"),
        pytest.param(SLIRP, "http://[::1]:7890", "http://[::1]:7890", id="and-that-is-of-ipv4"),
        pytest.param(SLIRP, "http://proxy.corp.example:3128", "http://proxy.corp.example:3128", id="elsewhere"),
        pytest.param(SLIRP, "http://10.0.2.2:7890", "http://10.0.2.2:7890", id="who-wrote-the-gateway"),
        pytest.param(NOWHERE, "http://127.0.0.1:7890", "http://127.0.0.1:7890", id="no-way-at-all"),
    ],
)
def test_what_dockerd_is_given(vantage: Vantage, of_the_policy: str, there: str) -> None:
    given = for_dockerd(local(of_the_policy), NoProxy(), vantage)

    assert isinstance(given.https, ProxyUrl)
    assert given.https.without_credentials() == url(there)
    assert given.http == given.https
    assert given.https.reveal() == there.replace("://", "://alice:sesame@")


def test_nothing_else_of_an_upstream_depends_on_it() -> None:
    there = as_reached(local("http://127.0.0.1:7890"), SLIRP)

    assert there == as_reached(there, SLIRP)
    assert (there.name, there.owner, there.credentials) == ("local", "alice", local("http://p:1").credentials)
    assert for_dockerd(DIRECT_UPSTREAM, NoProxy(), SLIRP) == DIRECT


def test_what_dockerd_reports_is_recognised_as_the_policys() -> None:
    policy = Policy(upstreams={"local": local("http://127.0.0.1:7890"), "office": local("http://proxy:3128")})
    reported = for_dockerd(policy.upstreams["local"], policy.no_proxy, SLIRP)

    def meaning(vantage: Vantage) -> list[str]:
        return [name for name, settings in by_upstream(policy, vantage).items() if agrees(reported, settings)]

    assert meaning(SLIRP) == ["local"]
    assert meaning(HOST) == []
    # It is asked at the address that dockerd goes to.
    assert as_upstream(reported, "running").https == url("http://10.0.2.2:7890")


@pytest.mark.parametrize(
    ("vantage", "address", "meant"),
    [
        pytest.param(HOST, "127.0.0.1", ("127.0.0.1",), id="here"),
        pytest.param(HOST, "localhost", ("127.0.0.1", "::1"), id="here-by-name"),
        pytest.param(HOST, "10.0.2.2", (), id="here-a-gateway-is-another-machine"),
        pytest.param(SLIRP, "10.0.2.2", ("127.0.0.1",), id="by-the-gateway"),
        pytest.param(SLIRP, "127.0.0.1", (), id="its-own-loopback-is-not-this-hosts"),
        pytest.param(NOWHERE, "", (), id="no-gateway"),
    ],
)
def test_whose_loopback_an_address_is(vantage: Vantage, address: str, meant: tuple[str, ...]) -> None:
    assert vantage.meant(address) == meant
