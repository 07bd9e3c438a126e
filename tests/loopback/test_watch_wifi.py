"""This very kernel's generic netlink, whether it has Wi-Fi or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.see import netlink
from agent.see import netlink_messages as wire
from agent.see.wifi import ssids


def test_a_family_that_every_kernel_has() -> None:
    """The one that answers: its number is fixed, so that what is read can be told right from wrong."""
    told = netlink.ask(wire.family_request("nlctrl"))

    assert [wire.family(message) for message in told] == [wire.GENL_ID_CTRL]


def test_a_family_that_no_kernel_has() -> None:
    with pytest.raises(netlink.NetlinkFailed, match="No such file") as failure:
        netlink.ask(wire.family_request("none-such"))

    assert failure.value.errno == 2  # which `radios` takes for "no Wi-Fi"


def test_this_host_is_asked_with_and_without_wifi() -> None:
    radios = netlink.radios()

    assert all(radio.ssid for radio in radios)
    assert ssids() == {radio.name: radio.ssid for radio in radios}


def test_without_cfg80211_the_kernel_is_not_asked(tmp_path: Path) -> None:
    assert ssids(tmp_path / "none") == {}
