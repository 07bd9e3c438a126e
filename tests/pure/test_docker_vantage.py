"""What the tables of a network in /proc say of the ways out of it."""

from __future__ import annotations

import pytest

from agent.docker.vantage import gateway, has_way_out

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
TAP = "tap0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
BRIDGE = "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
DEFAULT = "tap0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"

NONE = "0" * 32
REJECTED = f"{NONE} 00 {NONE} 00 {NONE} ffffffff 00000001 00000000 00200200       lo\n"
LOCAL6 = f"{NONE[:-1]}1 80 {NONE} 00 {NONE} 00000000 00000004 00000000 80200001       lo\n"
LINK6 = f"fe80{NONE[4:]} 40 {NONE} 00 {NONE} 00000100 00000001 00000000 00000001     tap0\n"
DEFAULT6 = f"{NONE} 00 {NONE} 00 fd00{NONE[4:-1]}2 00000400 00000001 00000000 00000003     tap0\n"


@pytest.mark.parametrize(
    ("table", "is_"),
    [
        pytest.param("", "", id="no-table"),
        pytest.param(HEAD, "", id="no-route"),
        pytest.param(HEAD + TAP + BRIDGE, "", id="no-default-route"),
        pytest.param(HEAD + TAP + DEFAULT + BRIDGE, "10.0.2.2", id="slirp4netns"),
        pytest.param(HEAD + DEFAULT.replace("0202000A", "00000000").replace("0003", "0001"), "", id="by-a-link-alone"),
        pytest.param(HEAD + DEFAULT.replace("\t00000000\t0\t0\t0\n", "\t0000FFFF\t0\t0\t0\n"), "", id="not-all"),
        pytest.param("nonsense\n", "", id="nonsense"),
    ],
)
def test_the_gateway(table: str, is_: str) -> None:
    assert gateway(table) == is_


@pytest.mark.parametrize(
    ("table", "is_"),
    [
        pytest.param("", False, id="no-table"),
        pytest.param(REJECTED + LOCAL6 + LINK6, False, id="of-its-own-alone"),
        pytest.param(LINK6 + DEFAULT6 + REJECTED, True, id="a-default-route"),
    ],
)
def test_whether_ipv6_leads_out(table: str, *, is_: bool) -> None:
    assert has_way_out(table) is is_
