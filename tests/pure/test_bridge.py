"""Whether what listens on the bridge is the proxy that is on loopback: who stands where, and what is said."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from agent.decide.bridge import Bridge, Obstacle, obstacle
from agent.decide.relay import as_upstream
from agent.values.condition import Code
from agent.values.listening import Listener
from agent.values.policy import Problems, Upstream
from agent.values.policy_text import parse
from agent.values.settings import ProxyUrl, Scheme
from tests.policies import policy_of

GATEWAY, PORT = "172.17.0.1", 7890
ROOT, ALICE, BOB = 0, 1000, 1001
NAMES = {ROOT: "root", ALICE: "alice", BOB: "bob"}
LO, DOCKER0 = 1, 3

cookies = itertools.count(1)


def on(address: str, uid: int = ALICE, *, port: int = PORT, only_ipv6: bool = False, interface: int = 0) -> Listener:
    return Listener(address, port, uid, next(cookies), only_ipv6, interface)


def local(host: str = "127.0.0.1", owner: str = "") -> Upstream:
    url = ProxyUrl(Scheme.HTTP, host, PORT)
    return Upstream("local", url, url, owner=owner)


def judged(upstream: Upstream, *listeners: Listener, expected: int | None = None) -> Obstacle | None:
    return obstacle(upstream, Bridge(GATEWAY, listeners, names=NAMES, expected=expected))


@pytest.mark.parametrize(
    "listeners",
    [
        # one socket that serves both
        pytest.param([on("0.0.0.0")], id="all-of-ipv4"),
        pytest.param([on("::")], id="all-of-both"),
        pytest.param([on("0.0.0.0", ROOT)], id="a-socket-that-systemd-opened"),
        # two of one owner
        pytest.param([on("127.0.0.1"), on(GATEWAY)], id="two-addresses"),
        pytest.param([on("127.0.0.1"), on("0.0.0.0")], id="one-and-all"),
        pytest.param([on("0.0.0.0"), on("0.0.0.0"), on(GATEWAY)], id="several-workers"),
        pytest.param([on("127.0.0.1", interface=LO), on("0.0.0.0", interface=DOCKER0)], id="each-on-its-interface"),
        # others that do not matter
        pytest.param([on("0.0.0.0"), on("::", BOB, only_ipv6=True)], id="somebody-has-ipv6-alone"),
        pytest.param([on("127.0.0.1"), on(GATEWAY), on("192.168.1.7", BOB)], id="somebody-on-another-address"),
        pytest.param([on("127.0.0.1"), on(GATEWAY), on(GATEWAY, BOB, port=7891)], id="somebody-at-another-port"),
        pytest.param([on("127.0.0.1"), on(GATEWAY), on("::1", BOB)], id="somebody-on-loopback-of-ipv6"),
    ],
)
def test_it_is_the_same(listeners: list[Listener]) -> None:
    assert judged(local(), *listeners) is None


@pytest.mark.parametrize(
    ("upstream", "listeners", "because"),
    [
        pytest.param(local(), [on("127.0.0.1"), on(GATEWAY, BOB)], ": 127.0.0.1:7890 is alice's, 172.17.0.1:7890 is bob's", id="somebody-on-the-bridge"),
        pytest.param(local(), [on("127.0.0.1", ROOT), on(GATEWAY, BOB)], ": 127.0.0.1:7890 is root's, 172.17.0.1:7890 is bob's", id="in-the-place-of-roots"),
        pytest.param(local(), [on("127.0.0.1"), on(GATEWAY, ROOT)], ": 127.0.0.1:7890 is alice's, 172.17.0.1:7890 is root's", id="a-port-that-a-container-publishes"),
        pytest.param(local(), [on("127.0.0.1"), on(GATEWAY, 1234)], ": 127.0.0.1:7890 is alice's, 172.17.0.1:7890 is user 1234's", id="somebody-without-a-name"),
        pytest.param(local(), [on("0.0.0.0", interface=LO), on("0.0.0.0", BOB, interface=DOCKER0)], ": 127.0.0.1:7890 is alice's, 172.17.0.1:7890 is bob's", id="by-interface"),
        pytest.param(local(), [on("0.0.0.0"), on(GATEWAY), on(GATEWAY, BOB, interface=DOCKER0)], ": 127.0.0.1:7890 is alice's, 172.17.0.1:7890 is alice's and bob's", id="beside-the-right-one"),
        pytest.param(local(), [on(GATEWAY, BOB)], ": 127.0.0.1:7890 is nobody's, 172.17.0.1:7890 is bob's", id="nobody-on-loopback"),
        pytest.param(local("::1"), [on("::", only_ipv6=True), on("0.0.0.0", BOB)], ": [::1]:7890 is alice's, 172.17.0.1:7890 is bob's", id="all-of-each-family"),
        pytest.param(local("localhost"), [on("127.0.0.1"), on("::1", BOB), on(GATEWAY)], ": localhost:7890 is alice's and bob's, 172.17.0.1:7890 is alice's", id="localhost-is-two"),
        pytest.param(local(), [on("127.0.0.1"), on("0.0.0.0", interface=LO)], ", but does not listen on 172.17.0.1:7890", id="all-of-ipv4-but-by-lo"),
        pytest.param(local("::1"), [on("::", only_ipv6=True)], ", but does not listen on 172.17.0.1:7890", id="of-ipv6-alone"),
        pytest.param(local(), [], ", but does not listen on 172.17.0.1:7890", id="nobody"),
    ],
)  # fmt: skip
def test_it_is_not_the_same(upstream: Upstream, listeners: list[Listener], because: str) -> None:
    found = judged(upstream, *listeners)

    assert found is not None
    assert found.condition.code is Code.CLIENT_UNREACHABLE
    assert found.because == f"local is on loopback{because}"


@pytest.mark.parametrize(
    ("listeners", "is_right"),
    [
        pytest.param([on("0.0.0.0")], True, id="alice"),
        pytest.param([on("0.0.0.0", BOB)], False, id="bob"),
        pytest.param([on("127.0.0.1", BOB), on(GATEWAY, BOB)], False, id="bob-twice"),
        pytest.param([on("127.0.0.1", BOB), on(GATEWAY)], False, id="bob-on-loopback"),
    ],
)
def test_an_owner_must_have_both(listeners: list[Listener], is_right: bool) -> None:
    assert (judged(local(owner="alice"), *listeners, expected=ALICE) is None) is is_right


def test_each_of_two_ports_counts() -> None:
    upstream = Upstream("local", ProxyUrl(Scheme.HTTP, "127.0.0.1", PORT), ProxyUrl(Scheme.HTTP, "::1", 7891))
    right = (on("127.0.0.1"), on(GATEWAY), on("::1", port=7891))

    assert judged(upstream, *right, on(GATEWAY, port=7891)) is None
    found = judged(upstream, *right, on(GATEWAY, BOB, port=7891))

    assert found is not None
    assert found.is_somebody_elses
    assert found.because == "local is on loopback: [::1]:7891 is alice's, 172.17.0.1:7891 is bob's"


def test_somebody_at_one_port_is_more_than_nobody_at_the_other() -> None:
    upstream = Upstream("local", ProxyUrl(Scheme.HTTP, "127.0.0.1", PORT), ProxyUrl(Scheme.HTTP, "127.0.0.1", 7891))

    found = judged(upstream, on("127.0.0.1"), on("127.0.0.1", port=7891), on(GATEWAY, BOB, port=7891))

    assert found is not None
    assert found.is_somebody_elses


def test_a_name_that_is_loopback_here() -> None:
    theirs = Bridge(GATEWAY, (on("127.0.1.1"), on(GATEWAY, BOB)), {"laptop": ("127.0.1.1",)}, NAMES)
    elsewhere = msgspec.structs.replace(theirs, resolved={"laptop": ()})

    assert obstacle(local("laptop"), theirs) is not None
    assert obstacle(local("laptop"), elsewhere) is None


@pytest.mark.parametrize(
    ("upstream", "bridge", "said"),
    [
        pytest.param(
            local(),
            Bridge(GATEWAY, (on("127.0.0.1"), on(GATEWAY, BOB)), names=NAMES),
            "local: 127.0.0.1:7890 is alice's, 172.17.0.1:7890 is bob's; containers are not sent to another user's listener."
            " See who listens there: sudo ss -tlnp sport = :7890. Make local listen there itself, or set upstream.local.container_url",
            id="somebody",
        ),
        pytest.param(
            local(),
            Bridge(GATEWAY, (on("127.0.0.1"), on(GATEWAY, ROOT)), names=NAMES),
            "local: 127.0.0.1:7890 is alice's, 172.17.0.1:7890 is root's; containers are not sent to another user's listener."
            " See who listens there (root's may be a port that a container publishes): sudo ss -tlnp sport = :7890."
            " Make local listen there itself, or set upstream.local.container_url",
            id="root",
        ),
        pytest.param(
            local(owner="alice"),
            Bridge(GATEWAY, (on("0.0.0.0", BOB),), names=NAMES, expected=ALICE),
            "local must be alice's, and 127.0.0.1:7890 is bob's, 172.17.0.1:7890 is bob's; containers are not sent to"
            " another user's listener. See who listens there: sudo ss -tlnp sport = :7890. Make local listen there itself, or set"
            " upstream.local.container_url",
            id="not-the-owner",
        ),
        pytest.param(
            local(),
            Bridge(GATEWAY, unknown="netlink: the kernel refused: No such file or directory"),
            "local is on loopback, and it is not known whether it is what listens on 172.17.0.1:7890: netlink: the"
            " kernel refused: No such file or directory. Set upstream.local.container_url",
            id="not-known",
        ),
    ],
)  # fmt: skip
def test_what_is_said_and_what_to_do(upstream: Upstream, bridge: Bridge, said: str) -> None:
    found = obstacle(upstream, bridge)

    assert found is not None
    assert str(found.condition) == said


@pytest.mark.parametrize(
    ("upstream", "listeners", "because"),
    [
        pytest.param(local(), (on("127.0.0.1"),), "", id="a-program-here-connects-there-for-them"),
        pytest.param(local(), (on("0.0.0.0"),), "", id="everywhere"),
        pytest.param(local(), (on("127.0.0.1", interface=LO),), "", id="bound-to-lo"),
        pytest.param(local(), (), "does not listen on 127.0.0.1:7890", id="nobody"),
        pytest.param(
            local("127.0.0.2"), (on("127.0.0.2"),), "does not listen on 127.0.0.1:7890", id="another-of-loopback"
        ),
        pytest.param(
            local("127.0.0.2"),
            (on("127.0.0.2"), on("127.0.0.1", BOB)),
            "127.0.0.2:7890 is alice's, 127.0.0.1:7890 is bob's",
            id="somebody-elses",
        ),
    ],
)
def test_where_the_way_leads_to_loopback_the_proxy_need_not_listen_elsewhere(
    upstream: Upstream, listeners: tuple[Listener, ...], because: str
) -> None:
    found = obstacle(upstream, Bridge("10.0.2.2", listeners, names=NAMES, heard_at="127.0.0.1"))

    assert (found is None) is (not because)
    assert found is None or because in found.because


def test_where_there_is_no_way_it_is_said_and_other_upstreams_need_none() -> None:
    closed = Bridge(is_closed=True)

    found = obstacle(local(), closed)

    assert found is not None
    assert found.because == "local is on loopback, which containers of this Docker cannot reach"
    assert "container_url" in found.condition.remedy
    assert obstacle(local("proxy.corp"), closed) is None


@pytest.mark.parametrize("none", [Bridge(is_none=True), Bridge(GATEWAY), Bridge(GATEWAY, is_left=True)])
def test_for_the_relay_no_key_is_named_that_it_does_not_have(none: Bridge) -> None:
    found = obstacle(as_upstream(3130), none)

    assert found is not None
    assert 'et relay.listen = ["loopback"]: clients then get the upstreams themselves' in found.condition.remedy
    assert "Make it listen" not in found.condition.remedy  # where it listens is the agent's to decide


@pytest.mark.parametrize("none", [Bridge(is_none=True), Bridge(GATEWAY)])
def test_an_upstream_that_is_called_relay_is_told_the_key_that_it_has(none: Bridge) -> None:
    policy = policy_of('[upstream.relay]\nurl = "http://127.0.0.1:7890"\n[[network]]\nuse = ["relay"]\n')

    found = obstacle(policy.upstreams["relay"], none)

    assert found is not None
    assert "set upstream.relay.container_url" in found.condition.remedy


def test_no_upstream_of_a_policy_can_be_called_as_the_relay_is() -> None:
    name = as_upstream(PORT).name

    problems = parse(f'[upstream."{name}"]\nurl = "http://127.0.0.1:7890"\n[[network]]\nuse = ["{name}"]\n')

    assert isinstance(problems, Problems)
    assert f'"{name}" is not a name' in str(problems)
