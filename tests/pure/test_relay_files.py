"""relay.json and state.json: what is written is read back, and what is not as it must be is refused whole."""

from __future__ import annotations

import json

import pytest

from agent.values.errors import AgentError
from agent.values.relay import (
    LARGEST_STATE,
    MOST_REFUSED,
    MOST_UPSTREAMS,
    Carried,
    LogMode,
    Orders,
    RefusedSource,
    RelayPac,
    RelayState,
    RelayUpstream,
    Source,
    UpstreamFailed,
    orders_file,
    orders_in,
    state_file,
    state_in,
)
from agent.values.secret import Secret
from agent.values.settings import Credentials, ProxyUrl, Scheme

WHERE = "/run/docker-proxy-agent/relay.json"
PROXY = ProxyUrl(Scheme.HTTPS, "proxy.test", 3129, Credentials("corp\\me", Secret("p@ss:w/rd #")))
ORDERS = Orders(
    7,
    (RelayUpstream("corp", PROXY, PROXY, no_proxy=(".corp.test",), owner="px", owner_uid=990), RelayUpstream("direct")),
    no_proxy=("127.0.0.0/8", "localhost"),
    sources=(Source.LOOPBACK,),
    log=LogMode.CONNECTIONS,
    max_connections=64,
    ca_file="/etc/ca.pem",
    pac=RelayPac(
        "corp", "function é() {}", "10.0.0.1", no_proxy=(".corp.test",), known=(RelayUpstream("a", PROXY, PROXY),)
    ),
)
STATE = RelayState(
    7, pid=12, started_s=3.5, connections=2, carried=(Carried("corp", 1, 4, 1, 100, 2000),), problem="no orders",
    failed=UpstreamFailed(1, "corp", "refused", "nothing listens there", 7, "direct"), turned_away=3,
    refused=(RefusedSource("192.168.1.9", 4),),
)  # fmt: skip


def test_what_the_agent_writes_the_relay_reads_with_its_passwords() -> None:
    assert orders_in(orders_file(ORDERS), WHERE) == ORDERS


def test_what_the_relay_writes_the_agent_reads() -> None:
    assert state_in(state_file(STATE), WHERE) == STATE


def _with(**changes: object) -> bytes:
    written = json.loads(orders_file(ORDERS))
    written["orders"].update(changes)
    return json.dumps(written).encode()


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        pytest.param(b"", "cannot be parsed", id="empty"),
        pytest.param(b"\xff\xfe", "cannot be parsed", id="no-utf-8"),
        pytest.param(b"[" * 100_000, "cannot be parsed", id="deep"),
        pytest.param(orders_file(ORDERS)[:-9], "cannot be parsed", id="torn"),
        pytest.param(b'{"format":2}', "is of format 2, not 1", id="newer"),
        pytest.param(_with(colour="red"), "cannot be parsed", id="unknown-field"),
        pytest.param(_with(sources=["everybody"]), "cannot be parsed", id="unknown-source"),
        pytest.param(_with(upstreams=[{"name": "x", "http": "ftp://me:secret@h"}]), "not a proxy's URL", id="url"),
        pytest.param(
            _with(upstreams=[{"name": "x", "http": "http://xxxxx:xxxxx@h"}]), "not a proxy's URL", id="masked"
        ),
    ],
)
def test_orders_that_are_not_as_they_must_be_are_refused(data: bytes, wrong: str) -> None:
    with pytest.raises(AgentError) as refused:
        orders_in(data, WHERE)

    assert str(refused.value).startswith(f"{WHERE}: ")
    assert wrong in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"pid": -1}, id="negative"),
        pytest.param({"pid": 1 << 64}, id="larger-than-a-counter"),
        pytest.param({"problem": "x" * 401}, id="long"),
        pytest.param({"refused": [{"source": "1.2.3.4"}] * (MOST_REFUSED + 1)}, id="many-sources"),
        pytest.param({"carried": [{"upstream": "x"}] * (MOST_UPSTREAMS + 1)}, id="many-upstreams"),
        pytest.param({"run": "rm"}, id="unknown-field"),
        pytest.param({"started_s": float("nan")}, id="no-number"),
        pytest.param([], id="no-object"),
    ],
)
def test_of_a_state_that_is_not_as_it_must_be_nothing_counts(state: object) -> None:
    with pytest.raises(AgentError):
        state_in(json.dumps({"format": 1, "state": state}).encode(), WHERE)


def test_a_state_that_is_too_large_is_not_even_decoded() -> None:
    with pytest.raises(AgentError, match="more than 64 KB"):
        state_in(state_file(STATE) + b" " * LARGEST_STATE, WHERE)


def test_the_fullest_state_fits() -> None:
    most = (1 << 63) - 1
    full = RelayState(
        most, most, 1e15, most,
        carried=tuple(Carried("u" * 40, most, most, most, most, most) for _ in range(MOST_UPSTREAMS)),
        failed=UpstreamFailed(most, "u" * 400, "x", "e" * 400, most, "u" * 400),
        refused=tuple(RefusedSource("2001:db8:1111:2222:3333:4444:5555:6666", most) for _ in range(MOST_REFUSED)),
        problem="p" * 400,
    )  # fmt: skip

    assert state_in(state_file(full), WHERE) == full
