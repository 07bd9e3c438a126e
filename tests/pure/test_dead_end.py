"""What a dockerd in a network of its own does not reach, and what is said of it."""

from __future__ import annotations

import pytest

from agent.decide.dead_end import dead_end, dead_ends
from agent.values.condition import Code
from agent.values.dockerd import Phase, Reality, UnitState
from agent.values.vantage import HOST, Vantage
from agent.values.verdict import DeadEnd, Outcome, Verdict
from tests.upstreams import upstream

SLIRP = Vantage(is_host=False, gateway="10.0.2.2", has_ipv6=False)
WITH_IPV6 = Vantage(is_host=False, gateway="10.0.2.2")
LOCAL, OFFICE = "http://127.0.0.1:7890", "http://proxy.corp.example:3128"


@pytest.mark.parametrize(
    ("vantage", "url", "met", "is_heard_here", "found"),
    [
        pytest.param(SLIRP, LOCAL, ["10.0.2.2"], True, DeadEnd.LOOPBACK, id="this-hosts-loopback"),
        pytest.param(SLIRP, LOCAL, ["10.0.2.2"], False, None, id="nobody-listens-here-either"),
        pytest.param(SLIRP, "http://[::1]:7890", ["::1"], False, None, id="nor-there-by-ipv6"),
        pytest.param(HOST, LOCAL, ["127.0.0.1"], True, None, id="beside-us"),
        pytest.param(SLIRP, OFFICE, ["proxy.corp.example", "2001:db8::3"], False, DeadEnd.IPV6, id="ipv6-alone"),
        pytest.param(SLIRP, "http://[2001:db8::3]:1", ["2001:db8::3"], False, DeadEnd.IPV6, id="ipv6-as-it-is"),
        pytest.param(SLIRP, OFFICE, ["2001:db8::3", "10.10.0.2"], False, None, id="both"),
        pytest.param(SLIRP, OFFICE, ["proxy.corp.example"], False, None, id="no-address-is-known"),
        pytest.param(WITH_IPV6, OFFICE, ["2001:db8::3"], False, None, id="ipv6-leads-out"),
        pytest.param(HOST, OFFICE, ["2001:db8::3"], False, None, id="this-hosts-own-matter"),
    ],
)
def test_what_is_in_its_way_alone(
    vantage: Vantage, url: str, met: list[str], *, is_heard_here: bool, found: DeadEnd | None
) -> None:
    assert dead_end(upstream(url), met, vantage, is_heard_here=is_heard_here) is found


@pytest.mark.parametrize(
    ("found", "vantage", "text", "remedy"),
    [
        pytest.param(
            DeadEnd.LOOPBACK,
            Vantage(is_host=False, gateway="10.0.2.2", is_closed=True, knows_switch=True),
            "office cannot be reached: Docker's own network cannot reach this host's loopback, where it listens",
            "To let this Docker and all its containers reach everything that listens on 127.0.0.1 here:"
            " systemctl --user edit docker.service: [Service]"
            " Environment=DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=false;"
            " then systemctl --user restart docker.service",
            id="with-the-switch-and-its-price",
        ),
        pytest.param(
            DeadEnd.LOOPBACK,
            Vantage(is_host=False, gateway="10.0.2.2", knows_switch=True),
            "office cannot be reached: Docker's own network cannot reach this host's loopback, where it listens",
            "Let the proxy listen on 127.0.0.1, the only address that this Docker can reach",
            id="open-and-heard-elsewhere-on-loopback",
        ),
        pytest.param(
            DeadEnd.LOOPBACK,
            Vantage(is_host=False, gateway="10.0.2.2", is_closed=True),
            "office cannot be reached: Docker's own network cannot reach this host's loopback, where it listens",
            "This Docker has no switch for that. Let the proxy listen on this host's address in the network, too,"
            " which opens it to that network, and name that address in the policy",
            id="without",
        ),
        pytest.param(
            DeadEnd.IPV6,
            SLIRP,
            "office cannot be reached: Docker's own network has no IPv6",
            "systemctl --user edit docker.service: [Service] Environment=DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=--ipv6;"
            " then systemctl --user restart docker.service",
            id="ipv6",
        ),
    ],
)
def test_a_dead_end_is_said_with_its_remedy(found: DeadEnd, vantage: Vantage, text: str, remedy: str) -> None:
    reality = Reality(UnitState(Phase.RUNNING, 1), vantage=vantage)
    verdicts = {"office": Verdict(Outcome.REFUSED, dead_end=found), "direct": Verdict(Outcome.REFUSED)}

    (said,) = dead_ends(verdicts, reality)

    assert said.code is Code.OUT_OF_REACH
    assert (said.text, said.remedy) == (text, remedy)
    assert not said.code.is_failure
