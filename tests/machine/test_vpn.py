"""The way changes under a laptop that stays where it is: VPNs by routes, by rules, by a device of their own, and DNS alone.

Two restarts each: a third within a minute is for a network that has stood for a while.
"""

from __future__ import annotations

from collections.abc import Callable

from .lab.laptop import Laptop, LocalProxy
from .lab.places import IMAGE
from .lab.vpn import Vpn
from .test_apply import ASKED
from .test_roam import AT_ONCE, is_elsewhere_than, is_there, restarted, trixie
from .test_service import started

BOTH_HALVES = "0.0.0.0/1 128.0.0.0/1"


def goes_through_the_office(laptop: Laptop, url: str) -> None:
    laptop.until(laptop.docker.reports, https=url, within=20)
    laptop.office.tinyproxy.forget()
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert ASKED in laptop.office.tinyproxy.log()


def goes_directly(laptop: Laptop) -> None:
    laptop.until(laptop.docker.reports, https="", within=20)
    laptop.office.tinyproxy.forget()
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert laptop.office.tinyproxy.log() == []


def changed(laptop: Laptop, change: Callable[[], object]) -> None:
    """Carried out, and seen by the agent."""
    before = laptop.status()["network"]["fingerprint"]
    change()
    laptop.until(is_elsewhere_than, laptop, before)


def at_home_with_a_vpn(laptop: Laptop) -> Vpn:
    """The service runs there, directly; what is behind the VPN is not yet in reach."""
    proxy = laptop.office.tinyproxy
    laptop.policy(f'{AT_ONCE}[upstream.office]\nurl = "{proxy.url}"\n[[network]]\nuse = ["office", "direct"]\n')
    laptop.plug("home")
    started(laptop)
    laptop.until(is_there, laptop, "network 1", "direct", within=20)
    return laptop.vpn()


@trixie
def test_a_vpn_that_changes_nothing_but_routes_is_noticed(laptop: Laptop) -> None:
    proxy, vpn = laptop.office.tinyproxy, at_home_with_a_vpn(laptop)

    # OpenVPN's two halves of the world.
    laptop.network(f"for half in {BOTH_HALVES}; do ip route add $half via {vpn.GATEWAY}; done")
    goes_through_the_office(laptop, proxy.url)
    laptop.network(f"for half in {BOTH_HALVES}; do ip route del $half; done")
    goes_directly(laptop)
    assert restarted(laptop, 2)


@trixie
def test_a_vpn_that_changes_nothing_but_rules_is_noticed(laptop: Laptop) -> None:
    proxy, vpn = laptop.office.tinyproxy, at_home_with_a_vpn(laptop)

    # wg-quick's way: a table of its own, which a rule leads to or not.
    changed(laptop, lambda: laptop.network(f"ip route add default via {vpn.GATEWAY} table 51820"))
    laptop.until(is_there, laptop, "network 1", "direct", within=20)
    laptop.network("""
        ip rule add table main suppress_prefixlength 0 priority 100
        ip rule add not fwmark 51820 table 51820 priority 101
    """)
    goes_through_the_office(laptop, proxy.url)
    laptop.network("ip rule del priority 101; ip rule del priority 100")
    goes_directly(laptop)
    assert restarted(laptop, 2)


@trixie
def test_a_vpn_that_brings_routes_to_a_few_networks_is_noticed(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy
    # Nothing asks again by the clock: all that tells is the way to the proxy.
    laptop.policy(
        f'[probe]\nrecheck = "0s"\n{AT_ONCE}[upstream.office]\nurl = "{proxy.url}"\n'
        '[[network]]\nuse = ["office", "direct"]\n'
    )
    laptop.plug("home")
    vpn = laptop.vpn()
    started(laptop)
    laptop.until(is_there, laptop, "network 1", "direct", within=20)

    # Tailscale's way: a table that a rule leads to, with a route to the office alone.
    changed(
        laptop,
        lambda: laptop.network(
            f"ip rule add table 52 priority 5270; ip route add 10.10.0.0/16 via {vpn.GATEWAY} table 52"
        ),
    )
    laptop.until(laptop.docker.reports, https=proxy.url, within=10)  # 5 s, and a restart
    goes_through_the_office(laptop, proxy.url)
    changed(laptop, lambda: laptop.network("ip route flush table 52; ip rule del priority 5270"))
    laptop.until(laptop.docker.reports, https="", within=10)
    goes_directly(laptop)
    assert restarted(laptop, 2)


@trixie
def test_a_vpn_with_a_device_and_a_resolv_conf_of_its_own(laptop: Laptop) -> None:
    laptop.policy(
        f'{AT_ONCE}[upstream.corp]\nurl = "http://proxy.corp.example:8888"\n'
        '[[network]]\nname = "by VPN"\nmatch.interface = ["tun*"]\nmatch.dns_search = ["corp.example"]\nuse = ["corp"]\n'
        '[[network]]\nname = "elsewhere on earth"\nuse = ["direct"]\n'
    )
    laptop.plug("home")
    started(laptop)
    laptop.until(is_there, laptop, "elsewhere on earth", "direct")
    of_home = laptop.read("/etc/resolv.conf")

    vpn = laptop.vpn()
    laptop.network(f"for half in {BOTH_HALVES}; do ip route add $half via {vpn.GATEWAY}; done")
    laptop.write("/etc/resolv.conf", laptop.office.resolv_conf)
    goes_through_the_office(laptop, "http://proxy.corp.example:8888")
    laptop.until(is_there, laptop, "by VPN", "corp")

    vpn.close()
    laptop.write("/etc/resolv.conf", of_home)
    goes_directly(laptop)
    assert restarted(laptop, 2)


def known_by_dns(laptop: Laptop) -> LocalProxy:
    """The service runs at home, which its DNS server tells; another place is told by its domain, and has this proxy."""
    local = laptop.start_proxy()
    laptop.policy(  # an address, for nobody answers at the stub's
        f'[probe]\nregistry = ["https://10.99.0.10"]\n{AT_ONCE}[upstream.local]\nurl = "{local.url}"\n'
        '[[network]]\nname = "by domain"\nmatch.dns_search = ["*.corp.example"]\nuse = ["local"]\n'
        '[[network]]\nname = "by server"\nmatch.dns_server = ["10.20.0.1"]\nuse = ["direct"]\n'
    )
    laptop.plug("home")
    started(laptop)
    laptop.until(is_there, laptop, "by server", "direct")
    return local


def arrives(laptop: Laptop, network: str, upstream: str, url: str, count: int) -> None:
    laptop.until(laptop.docker.reports, https=url, within=20)
    laptop.until(is_there, laptop, network, upstream)
    assert restarted(laptop, count)


@trixie
def test_nothing_changes_but_resolv_conf(laptop: Laptop) -> None:
    local = known_by_dns(laptop)

    laptop.write("/etc/resolv.conf", "search eu.corp.example\nnameserver 10.20.0.1\n")
    arrives(laptop, "by domain", "local", local.url, 1)
    with_a_comment = "# by NetworkManager\nsearch eu.corp.example\noptions edns0\nnameserver 10.20.0.1\n"
    laptop.write("/etc/resolv.conf", with_a_comment)
    laptop.run("sh", "-c", "echo nameserver 10.20.0.1 >/etc/resolv.conf")  # in place
    arrives(laptop, "by server", "direct", "", 2)


@trixie
def test_nothing_changes_but_the_file_beside_the_stub_that_resolv_conf_leads_to(laptop: Laptop) -> None:
    local = known_by_dns(laptop)
    stub, of_resolved = "/run/systemd/resolve/stub-resolv.conf", "/run/systemd/resolve/resolv.conf"

    # A link to systemd-resolved's stub, which never changes: the file beside it does.
    laptop.write(stub, "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n")
    laptop.write(of_resolved, "nameserver 10.20.0.1\nsearch eu.corp.example\n")
    laptop.run("ln", "-sfT", f"..{stub}", "/etc/resolv.conf")
    arrives(laptop, "by domain", "local", local.url, 1)
    laptop.write(of_resolved, "nameserver 10.20.0.1\n")
    arrives(laptop, "by server", "direct", "", 2)


@trixie
def test_nothing_changes_but_where_resolv_conf_leads(laptop: Laptop) -> None:
    local = known_by_dns(laptop)

    # The link leads elsewhere, and what it leads to is replaced.
    laptop.write("/run/NetworkManager/resolv.conf", "nameserver 10.20.0.1\n")
    laptop.run("ln", "-sfT", "/run/NetworkManager/resolv.conf", "/etc/resolv.conf")
    laptop.write("/run/NetworkManager/resolv.conf", "nameserver 10.20.0.1\ndomain us.corp.example\n")
    arrives(laptop, "by domain", "local", local.url, 1)
    assert laptop.docker.pull().ok
    assert ASKED in local.log_text()
