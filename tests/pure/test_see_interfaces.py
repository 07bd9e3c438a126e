"""What netifaces tells, and what is made of it. In the shape of netifaces-plus 0.12 and netifaces 0.11."""

from __future__ import annotations

from typing import Final

from agent.see.interfaces import Addresses, Families, addresses

HOST: Final[dict[str, Families]] = {
    "lo": {2: [{"addr": "127.0.0.1", "netmask": "255.0.0.0", "peer": "127.0.0.1"}]},
    "wlan0": {
        17: [{"addr": "52:54:00:00:00:07", "broadcast": "ff:ff:ff:ff:ff:ff"}],
        2: [{"addr": "10.10.0.7", "netmask": "255.255.0.0", "broadcast": "10.10.255.255"}],
        10: [
            {"addr": "2001:db8:1:2:a1b2:c3d4:e5f6:1", "netmask": "ffff:ffff:ffff:ffff::/64"},
            {"addr": "2001:db8:1:2::7", "netmask": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
            {"addr": "fe80::fc:ff:fe00:1%wlan0", "netmask": "ffff:ffff:ffff:ffff::/64"},
        ],
    },
    "eth0": {2: [{"addr": "192.168.1.7", "netmask": "255.255.255.0"}]},
    "eth0:1": {2: [{"addr": "192.168.2.7", "netmask": "255.255.255.0"}]},
    "tun0": {2: [{"addr": "10.8.0.2", "netmask": "255.255.255.255", "peer": "10.8.0.1"}]},
    "wg0": {2: [{"addr": "10.9.0.2"}]},
    "eth1": {17: [{"addr": "52:54:00:00:00:08"}]},
    "docker0": {
        2: [{"addr": "172.17.0.1", "netmask": "255.255.0.0"}, {"addr": "172.17.0.2", "netmask": "255.255.0.0"}]
    },
    "veth1a2b3c": {10: [{"addr": "fe80::1%veth1a2b3c", "netmask": "ffff:ffff:ffff:ffff::/64"}]},
}


COUNTED: Final = ["wlan0", "eth0", "tun0", "wg0", "eth1"]
LABELS: Final = ["lo", "wlan0", "eth0", "eth0:1", "tun0", "wg0", "docker0"]


class Told:
    """Of that host. An interface that is gone since it was named raises."""

    def __init__(self, gone: str = "") -> None:
        self._gone = gone
        self.asked: list[str] = []

    def ifaddresses(self, interface: str, /) -> Families:
        self.asked.append(interface)
        if interface not in HOST or interface == self._gone:
            raise ValueError("You must specify a valid interface name.")
        return HOST[interface]


def test_addresses() -> None:
    assert addresses(COUNTED, LABELS, Told()) == {
        "wlan0": Addresses(("10.10.0.7/16",), ("2001:db8:1:2::/64",)),
        "eth0": Addresses(("192.168.1.7/24", "192.168.2.7/24")),
        "tun0": Addresses(("10.8.0.2/32",)),
        "wg0": Addresses(("10.9.0.2/32",)),
        "eth1": Addresses(),
    }


def test_what_does_not_count_is_not_even_asked_for() -> None:
    source = Told()

    addresses(COUNTED, LABELS, source)

    assert sorted(source.asked) == ["eth0", "eth0:1", "eth1", "tun0", "wg0", "wlan0"]


def test_an_interface_that_goes_meanwhile_has_no_addresses() -> None:
    assert addresses(COUNTED, LABELS, Told(gone="tun0"))["tun0"] == Addresses()
