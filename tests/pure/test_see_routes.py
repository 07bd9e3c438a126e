"""What netlink's routes say about the gateways and the way to the world."""

from __future__ import annotations

import pytest

from agent.see.netlink_messages import Hop, Route
from agent.see.routes import gateways, way
from agent.values.snapshot import Way

NAMES = {2: "wlan0", 3: "eth0", 4: "tun0"}


@pytest.mark.parametrize(
    ("route", "means"),
    [
        pytest.param(None, None, id="no-way"),
        pytest.param(Route((), 254), None, id="no-hop"),
        pytest.param(
            Route((Hop(2, "10.10.0.1"),), 254, "10.10.0.7"), Way("wlan0", "10.10.0.1", "10.10.0.7", 254), id="gateway"
        ),
        pytest.param(Route((Hop(4),), 51820, "10.8.0.2"), Way("tun0", None, "10.8.0.2", 51820), id="tunnel"),
        pytest.param(Route((Hop(9),), 254), Way("#9"), id="an-interface-that-came-meanwhile"),
    ],
)
def test_a_route_is_a_way_out_by_an_interface(route: Route | None, means: Way | None) -> None:
    assert way(route, NAMES) == means


@pytest.mark.parametrize(
    ("routes", "by_interface"),
    [
        pytest.param([None, None], {}, id="none"),
        pytest.param([Route((Hop(4),), 51820)], {}, id="a-tunnel-has-none"),
        pytest.param(
            [Route((Hop(2, "fe80::1"),), 254), Route((Hop(2, "10.10.0.1"),), 254)],
            {"wlan0": ("10.10.0.1", "fe80::1")},
            id="sorted",
        ),
        pytest.param(
            [Route((Hop(2, "10.10.0.1"), Hop(3, "192.168.1.1")), 254)],
            {"wlan0": ("10.10.0.1",), "eth0": ("192.168.1.1",)},
            id="multipath",
        ),
        pytest.param(
            [Route((Hop(2, "10.10.0.1"),), 254), Route((Hop(2, "10.10.0.1"),), 7, "10.10.0.7")],
            {"wlan0": ("10.10.0.1",)},
            id="the-same-in-two-tables",
        ),
    ],
)
def test_gateways(routes: list[Route | None], by_interface: dict[str, tuple[str, ...]]) -> None:
    assert gateways(routes, NAMES) == by_interface
