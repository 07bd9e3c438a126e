"""A laptop's network in a namespace of its own: what is reported is what the kernel does.

Real links, routes, rules and neighbours, made by `ip` (iproute2); nothing leaves the namespaces, and they go with
their test.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from agent.see.routes import WORLD_IPV4, WORLD_IPV6
from agent.values.snapshot import Interface, Snapshot, Way

from .runs import Holder, ran

pytestmark = pytest.mark.needs_root

IP: Final = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "ip"
SEE: Final = """
import asyncio, pathlib, sys
import msgspec
from agent.values.paths import Paths
from agent.see.see import see
named = {"wlan0", "eth0"}.__contains__  # by a policy: the ends of a veth are no hardware
snapshot = asyncio.run(see(Paths(pathlib.Path(sys.argv[1])), with_macs=sys.argv[2] == "with-macs", is_named=named))
sys.stdout.buffer.write(msgspec.json.encode(snapshot))
"""


class Namespace:
    """A network namespace with nothing in it but loopback."""

    _numbers = itertools.count()

    def __init__(self, name: str) -> None:
        self.name = f"see-{name}-{os.getpid()}-{next(self._numbers)}"
        self._holder: Holder | None = None
        run(IP, "netns", "add", self.name)

    def ip(self, *commands: str) -> None:
        for has_options, some in itertools.groupby(commands, lambda command: command.startswith("-")):
            if has_options:
                for command in some:
                    run(IP, "-n", self.name, *command.split())
            else:
                run(IP, "-n", self.name, "-batch", "-", told="\n".join(some))

    def python(self, code: str, *arguments: str) -> str:
        """What Python says in here; a warning is an error."""
        self._holder = self._holder or Holder(IP, "netns", "exec", self.name)
        done = ran(*arguments, code=code, inside=self._holder.pid)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def remove(self) -> None:
        if self._holder is not None:
            self._holder.end()
        run(IP, "netns", "del", self.name)


class Laptop(Namespace):
    """What roams."""

    def __init__(self, root: Path) -> None:
        super().__init__("laptop")
        self._root = root
        self._others: list[Namespace] = []
        self.ip("link set lo up")

    def plug(
        self, interface: str, address: str, gateway: str, mac: str = "52:54:00:00:00:01", *, index: int = 0
    ) -> Namespace:
        """An interface with that address (and its /64 of 2001:db8::), a box at the other end."""
        box = Namespace("box")
        self._others.append(box)
        number = f"index {index}" if index else ""
        self.ip(f"link add {interface} {number} type veth peer name lan {number} netns {box.name}")
        box.ip(f"link set lan address {mac}", f"addr add {gateway} dev lan", "link set lan up")
        self.ip(f"addr add {address} dev {interface}", f"link set {interface} up")
        return box

    def see(self, macs: str = "without-macs") -> Snapshot:
        return msgspec.json.decode(self.python(SEE, str(self._root), macs), type=Snapshot)

    def route_get(self, address: str) -> tuple[str, str | None, str | None] | None:
        """What `ip route get` says: interface, gateway, source."""
        command = [IP, "-json", "-n", self.name, "route", "get", address]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            return None
        (route,) = json.loads(done.stdout)
        via = route.get("via", {}).get("host")
        return route["dev"], route.get("gateway", via), route.get("prefsrc")

    def remove(self) -> None:
        for namespace in self._others:
            namespace.remove()
        super().remove()


def run(*command: str, told: str = "") -> str:
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def interface(snapshot: Snapshot, name: str) -> Interface:
    return next(interface for interface in snapshot.interfaces if interface.name == name)


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    laptop = Laptop(tmp_path)
    yield laptop
    laptop.remove()


@pytest.fixture
def at_office(laptop: Laptop) -> Laptop:
    laptop.plug("wlan0", "10.10.0.7/16", "10.10.0.1/16")
    laptop.ip("addr add 2001:db8:1:2::7/64 dev wlan0 nodad")
    return laptop


TUN0: Final = (
    "tuntap add tun0 mode tun",
    "addr add 10.8.0.2/24 dev tun0",
    "addr add fd08::2/64 dev tun0 nodad",
    "link set tun0 up",
)
IN_MAIN: Final = ("route add default via 10.10.0.1", "-6 route add default via fe80::1 dev wlan0")


@pytest.mark.parametrize(
    ("commands", "way_ipv4", "way_ipv6"),
    [
        pytest.param(
            IN_MAIN,
            Way("wlan0", "10.10.0.1", "10.10.0.7"),
            Way("wlan0", "fe80::1", "2001:db8:1:2::7"),
            id="main",
        ),
        pytest.param((), None, None, id="no-default-route"),
        pytest.param(IN_MAIN[:1], Way("wlan0", "10.10.0.1", "10.10.0.7"), None, id="ipv4-only"),
        pytest.param(IN_MAIN[1:], None, Way("wlan0", "fe80::1", "2001:db8:1:2::7"), id="ipv6-only"),
        pytest.param(
            (
                *IN_MAIN,
                *TUN0,
                "route add default dev tun0 table 51820",
                "rule add not fwmark 0xca6c table 51820",
                "rule add table main suppress_prefixlength 0",
                "-6 route add default dev tun0 table 51820",
                "-6 rule add not fwmark 0xca6c table 51820",
                "-6 rule add table main suppress_prefixlength 0",
            ),
            Way("tun0", None, "10.8.0.2", 51820),
            Way("tun0", None, "fd08::2", 51820),
            id="wireguard-by-rules-and-a-table",
        ),
        pytest.param(
            (
                *IN_MAIN,
                *TUN0,
                "route add 0.0.0.0/1 via 10.8.0.1",
                "route add 128.0.0.0/1 via 10.8.0.1",
                "-6 route add 2000::/3 dev tun0",
            ),
            Way("tun0", "10.8.0.1", "10.8.0.2"),
            Way("tun0", None, "fd08::2"),
            id="openvpn-in-two-halves",
        ),
        pytest.param(
            (*TUN0, "route add default dev tun0", "-6 route add default dev tun0"),
            Way("tun0", None, "10.8.0.2"),
            Way("tun0", None, "fd08::2"),
            id="a-tunnel-without-gateway",
        ),
        pytest.param(
            ("-4 route add default via inet6 fe80::1 dev wlan0",),
            Way("wlan0", "fe80::1", "10.10.0.7"),
            None,
            id="ipv4-by-an-ipv6-router",
        ),
        pytest.param(
            (*IN_MAIN, *TUN0, "route add default dev tun0 metric 500"),
            Way("wlan0", "10.10.0.1", "10.10.0.7"),
            Way("wlan0", "fe80::1", "2001:db8:1:2::7"),
            id="the-better-metric",
        ),
        pytest.param(("route add blackhole default", "-6 route add blackhole default"), None, None, id="blackhole"),
        pytest.param(
            ("route add unreachable default", "-6 route add unreachable default"), None, None, id="unreachable"
        ),
        pytest.param(("route add prohibit default", "-6 route add prohibit default"), None, None, id="prohibited"),
    ],
)
def test_the_way_is_what_the_kernel_does(
    at_office: Laptop, commands: tuple[str, ...], way_ipv4: Way | None, way_ipv6: Way | None
) -> None:
    at_office.ip(*commands)

    snapshot = at_office.see()

    assert (snapshot.way_ipv4, snapshot.way_ipv6) == (way_ipv4, way_ipv6)
    for way, address in ((way_ipv4, WORLD_IPV4), (way_ipv6, WORLD_IPV6)):
        assert at_office.route_get(address) == (way and (way.interface, way.gateway, way.source))


def test_several_ways_side_by_side(at_office: Laptop) -> None:
    at_office.plug("eth0", "192.168.1.7/24", "192.168.1.1/24")
    at_office.ip("route add default nexthop via 10.10.0.1 dev wlan0 nexthop via 192.168.1.1 dev eth0")

    snapshot = at_office.see()

    assert snapshot.way_ipv4 is not None
    way = snapshot.way_ipv4
    assert at_office.route_get(WORLD_IPV4) == (way.interface, way.gateway, way.source)
    assert interface(snapshot, "wlan0").gateways == ("10.10.0.1",)
    assert interface(snapshot, "eth0").gateways == ("192.168.1.1",)


def test_an_interface_as_it_is(at_office: Laptop) -> None:
    at_office.ip(
        *IN_MAIN, "addr add 10.10.0.8/16 dev wlan0 label wlan0:1", "addr add 2001:db8:1:2::8/64 dev wlan0 nodad"
    )

    assert at_office.see().interfaces == (
        Interface(
            "wlan0",
            ipv4=("10.10.0.7/16", "10.10.0.8/16"),
            ipv6_64s=("2001:db8:1:2::/64",),
            gateways=("10.10.0.1", "fe80::1"),
        ),
    )


def test_an_address_with_a_label(at_office: Laptop) -> None:
    at_office.ip("addr add 10.11.0.7/24 dev wlan0 label wlan0:1")

    assert interface(at_office.see(), "wlan0").ipv4 == ("10.10.0.7/16", "10.11.0.7/24")


def test_the_gateway_of_half_a_default_route_is_the_tunnel_s(at_office: Laptop) -> None:
    at_office.ip(*IN_MAIN, *TUN0, "route add 0.0.0.0/1 via 10.8.0.1", "route add 128.0.0.0/1 via 10.8.0.1")

    snapshot = at_office.see()

    assert interface(snapshot, "tun0").gateways == ("10.8.0.1",)
    assert interface(snapshot, "wlan0").gateways == ("10.10.0.1", "fe80::1")


IPV6: Final = "from agent.one_pass.relay import has_ipv6; print(has_ipv6())"


def test_ipv6_is_there_also_while_it_is_switched_off(laptop: Laptop) -> None:
    laptop.ip("link set lo up")
    for value in (0, 1):
        laptop.python(f"open('/proc/sys/net/ipv6/conf/all/disable_ipv6', 'w').write('{value}')")
        shown = laptop.python("print(open('/proc/net/if_inet6').read())")
        assert ("lo" in shown.split()) == (value == 0)
        assert laptop.python(IPV6) == "True\n"


def test_the_cable_pulled_is_offline(laptop: Laptop) -> None:
    box = laptop.plug("eth0", "192.168.1.7/24", "192.168.1.1/24")
    laptop.ip("route add default via 192.168.1.1")
    assert not laptop.see().is_offline

    box.ip("link set lan down")

    snapshot = laptop.see()
    assert snapshot.is_offline
    assert interface(snapshot, "eth0").ipv4 == ("192.168.1.7/24",)  # it is still there


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param(("route add 10.77.0.0/16 dev tun0",), id="a-few-networks"),
        pytest.param(("route add 0.0.0.0/1 dev tun0", "route add 128.0.0.0/1 dev tun0"), id="both-halves-of-the-world"),
        pytest.param(
            ("route add default dev tun0 table 51820", "rule add not fwmark 51820 table 51820 priority 101"),
            id="wg-quick-s-table",
        ),
    ],
)
def test_a_tunnel_that_stays_up_over_nothing_is_offline(at_office: Laptop, routes: tuple[str, ...]) -> None:
    at_office.ip(*IN_MAIN, *TUN0, *routes)
    assert not at_office.see().is_offline

    at_office.ip("link set wlan0 down")

    snapshot = at_office.see()
    assert interface(snapshot, "tun0").ipv4 == ("10.8.0.2/24",)
    assert snapshot.is_offline


def test_a_guest_without_a_default_route_is_not_offline(laptop: Laptop) -> None:
    box = laptop.plug("uplink", "192.168.1.7/24", "192.168.1.1/24")  # no policy names it
    assert not laptop.see().is_offline

    box.ip("link set lan down")

    assert laptop.see().is_offline


def test_a_container_s_link_without_a_bridge_is_no_network(at_office: Laptop) -> None:
    at_office.ip(*IN_MAIN)
    before = at_office.see()

    at_office.ip(
        "link add ve-guest type veth peer name inside0",
        "addr add 192.168.231.1/28 dev ve-guest",
        "link set ve-guest up",
        "link set inside0 up",
    )

    assert at_office.see() == before


def test_switched_off_is_offline(laptop: Laptop) -> None:
    laptop.plug("eth0", "192.168.1.7/24", "192.168.1.1/24")
    laptop.ip("route add default via 192.168.1.1")
    assert not laptop.see().is_offline

    laptop.ip("link set eth0 down")

    assert laptop.see().is_offline


def test_a_vpn_by_rules_only_is_another_network(at_office: Laptop) -> None:
    at_office.ip(*IN_MAIN, *TUN0, "route add default dev tun0 table 51820")
    before = at_office.see().fingerprint()

    at_office.ip("rule add not fwmark 0xca6c table 51820")

    assert at_office.see().fingerprint() != before


WAY_NOW: Final = """
import sys
import msgspec
from agent.see.ways import way_now
sys.stdout.buffer.write(msgspec.json.encode(way_now(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("commands", "way"),
    [
        pytest.param((), Way("wlan0", "10.10.0.1"), id="as-the-world"),
        pytest.param(("route add 10.77.0.0/16 dev tun0",), Way("tun0"), id="a-route-to-a-network"),
        pytest.param(("route add 10.77.0.2 via 10.8.0.1",), Way("tun0", "10.8.0.1"), id="a-route-to-the-host"),
        pytest.param(
            ("rule add to all table 52 priority 5270", "route add 10.77.0.0/16 dev tun0 table 52"),
            Way("tun0", table=52),
            id="a-table-by-a-rule",
        ),
        pytest.param(
            (
                "rule add to all table 52 priority 5270",
                "route add 10.77.0.0/16 dev tun0 table 52",
                "route add throw 10.77.0.2 table 52",
            ),
            Way("wlan0", "10.10.0.1"),
            id="thrown-out-of-the-table",
        ),
        pytest.param(
            ("rule add to 10.77.0.0/16 table 1000 priority 99", "route add default dev tun0 table 1000"),
            Way("tun0", table=1000),
            id="a-table-beyond-a-byte",
        ),
        pytest.param(("route add unreachable 10.77.0.2",), None, id="unreachable"),
    ],
)
def test_the_way_to_one_host_is_what_the_kernel_says_while_the_world_s_stays(
    at_office: Laptop, commands: tuple[str, ...], way: Way | None
) -> None:
    at_office.ip(*IN_MAIN, *TUN0)
    before = at_office.see()

    at_office.ip(*commands)

    assert msgspec.json.decode(at_office.python(WAY_NOW, "10.77.0.2"), type=Way | None) == way
    assert at_office.see() == before


def test_what_docker_makes_is_the_same_network(at_office: Laptop) -> None:
    at_office.ip(*IN_MAIN)
    before = at_office.see().fingerprint()

    at_office.ip(
        "link add docker0 type bridge",
        "addr add 172.17.0.1/16 dev docker0",
        "link set docker0 up",
        "link add br-0123456789ab type bridge",
        "addr add 172.18.0.1/16 dev br-0123456789ab",
        "link add veth1a2b3c type veth peer name veth4d5e6f",
        "link set veth1a2b3c master br-0123456789ab up",
        "link set veth4d5e6f up",
        "link set br-0123456789ab up",
    )

    assert at_office.see().fingerprint() == before


BRIDGE_WITH_A_GUEST: Final = (
    "link add backend type bridge",
    "addr add 172.20.0.1/16 dev backend",
    "link set backend up",
    "link add guest0 type veth peer name inside0",
    "link set guest0 master backend up",
    "link set inside0 up",
)
A_TAP: Final = ("tuntap add vnet0 mode tap", "addr add 192.168.77.1/24 dev vnet0", "link set vnet0 up")


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param(BRIDGE_WITH_A_GUEST, id="a-bridge-with-a-guest"),
        pytest.param((*A_TAP, "link add lan type bridge", "link set lan up", "link set vnet0 master lan"), id="a-port"),
        pytest.param(A_TAP, id="a-tap"),
    ],
)
def test_what_guests_bring_is_no_network_whatever_it_is_called(laptop: Laptop, commands: tuple[str, ...]) -> None:
    laptop.ip(*commands)
    brought = {"backend", "guest0", "lan", "vnet0"}

    snapshot = laptop.see()

    assert brought.isdisjoint(interface.name for interface in snapshot.interfaces)
    assert snapshot.is_offline


def test_a_bridge_over_a_guest_s_only_link_counts_where_the_world_lies_behind_it(laptop: Laptop) -> None:
    laptop.ip(*BRIDGE_WITH_A_GUEST, "route add default via 172.20.0.2")

    snapshot = laptop.see()

    assert not snapshot.is_offline
    assert interface(snapshot, "backend").gateways == ("172.20.0.2",)


def test_another_metric_is_the_same_network(at_office: Laptop) -> None:
    at_office.ip("route add default via 10.10.0.1 metric 600")
    before = at_office.see().fingerprint()

    at_office.ip("route add default via 10.10.0.1 metric 100", "route del default via 10.10.0.1 metric 600")

    assert at_office.see().fingerprint() == before


def test_the_bridge_of_docker(laptop: Laptop) -> None:
    ask = "from agent.see.netlink import ipv4_at; print(ipv4_at('docker0'))"
    assert laptop.python(ask).strip() == "None"

    laptop.ip("link add docker0 type bridge")
    assert laptop.python(ask).strip() == "None"
    laptop.ip(*(f"addr add {one}/16 dev docker0" for one in ("172.17.0.1", "172.17.0.2")))

    assert laptop.python(ask).strip() == "172.17.0.1"


# MACs.


# Of interfaces. In the kernel's order of bytes some of them are more than a C int holds.
INDEXES: Final = pytest.mark.parametrize("index", [127, 128, 255, 256, 446, 1 << 23])


@INDEXES
def test_an_unresolved_gateway_is_prompted_for_its_mac(laptop: Laptop, index: int) -> None:
    laptop.plug("wlan0", "10.10.0.7/16", "10.10.0.1/16", mac="52:54:00:ab:cd:ef", index=index)
    laptop.ip("route add default via 10.10.0.1")

    assert interface(laptop.see(), "wlan0").gateway_macs == ()
    assert interface(laptop.see("with-macs"), "wlan0").gateway_macs == ("52:54:00:ab:cd:ef",)


@INDEXES
def test_an_ipv6_gateway_is_prompted_for_its_mac(laptop: Laptop, index: int) -> None:
    box = laptop.plug("wlan0", "10.10.0.7/16", "10.10.0.1/16", mac="52:54:00:ab:cd:ef", index=index)
    laptop.ip("addr add 2001:db8:1:2::7/64 dev wlan0 nodad", "-6 route add default via 2001:db8:1:2::1")
    box.ip("addr add 2001:db8:1:2::1/64 dev lan nodad")

    assert interface(laptop.see("with-macs"), "wlan0").gateway_macs == ("52:54:00:ab:cd:ef",)


def test_two_gateways_with_one_address_are_told_apart(laptop: Laptop) -> None:
    laptop.plug("wlan0", "192.168.1.7/24", "192.168.1.1/24", mac="52:54:00:00:00:0a")
    laptop.plug("eth0", "192.168.1.8/24", "192.168.1.1/24", mac="52:54:00:00:00:0b")
    laptop.ip(
        "route add default via 192.168.1.1 dev wlan0 metric 600",
        "route add default via 192.168.1.1 dev eth0 metric 100",
    )

    snapshot = laptop.see("with-macs")

    assert interface(snapshot, "wlan0").gateway_macs == ("52:54:00:00:00:0a",)
    assert interface(snapshot, "eth0").gateway_macs == ("52:54:00:00:00:0b",)


def is_ever_within(seconds: float, laptop: Laptop) -> bool:
    """Whether a look is over in that time. The machine may be busy: the quickest of three tells."""
    timed = SEE.replace("snapshot =", "import time; start = time.monotonic(); snapshot =")
    timed = timed.replace("sys.stdout.buffer.write(", "print(time.monotonic() - start, ")
    return any(float(laptop.python(timed, "/nowhere", "with-macs").split()[0]) < seconds for _ in range(3))


def test_a_gateway_that_is_not_there_is_waited_for_a_second_at_most(laptop: Laptop) -> None:
    laptop.plug("wlan0", "10.10.0.7/16", "10.10.0.1/16")
    laptop.ip("route add default via 10.10.0.99")

    assert is_ever_within(2, laptop)

    assert interface(laptop.see("with-macs"), "wlan0").gateway_macs == ()


def test_a_tunnel_and_a_pulled_cable_are_not_waited_for(laptop: Laptop) -> None:
    laptop.plug("wlan0", "10.10.0.7/16", "10.10.0.1/16").ip("link set lan down")
    laptop.ip("route add default via 10.10.0.1", *TUN0, "route add default via 10.8.0.1 metric 500")

    assert is_ever_within(1, laptop)  # it would be waited for 1 s


# While it changes.


def test_no_link_is_missed_while_containers_come_and_go(at_office: Laptop, tmp_path: Path) -> None:
    batch = tmp_path / "storm"
    batch.write_text(
        "".join(f"link add veth{n} type veth peer name vethx{n}\n" for n in range(150))
        + "".join(f"link del veth{n}\n" for n in range(150))
    )
    storm = subprocess.Popen([IP, "-n", at_office.name, "-batch", str(batch)])
    look = "from agent.see.netlink import links; print(all('wlan0' in [x.name for x in links()] for _ in range(200)))"

    told = at_office.python(look)

    assert storm.wait(timeout=30) == 0
    assert told.strip() == "True"
