"""The service on a laptop that moves: what it does in each place, and what it leaves alone."""

from __future__ import annotations

import pytest

from tests.waiting import Seen

from .lab.laptop import Laptop
from .lab.places import IMAGE, REGISTRY, Proxy
from .test_apply import DROP_IN, ENVIRONMENT, PASSWORD_FILE, through
from .test_boot import docker_starts
from .test_service import NAME, started

# Many moves in little time: they are not what is held back here.
AT_ONCE = '[docker]\nmin_interval = "1s"\n'
trixie = pytest.mark.parametrize("laptop", ["trixie"], indirect=True)


def is_there(laptop: Laptop, network: str, upstream: str | None, state: str = "steady") -> Seen:
    """Whether the agent says that it is in this network, with this upstream, and in that state."""
    status = laptop.status()
    seen = {
        "network": (status.get("network") or {}).get("name"),
        "upstream": (status.get("upstream") or {}).get("name"),
        "state": status.get("state"),
    }
    return Seen(
        seen == {"network": network, "upstream": upstream, "state": state}, seen | {"notes": status.get("conditions")}
    )


def is_in_state(laptop: Laptop, state: str) -> Seen:
    status = laptop.status()
    return Seen(status.get("state") == state, status)


def is_elsewhere_than(laptop: Laptop, fingerprint: str) -> Seen:
    """Whether the agent has seen that this is another network."""
    found = (laptop.status().get("network") or {}).get("fingerprint")
    return Seen(found not in {None, fingerprint}, found)


def by_mac(laptop: Laptop, upstream: str) -> str:
    """The office by its gateway's MAC, since others have its addresses; elsewhere direct."""
    return (
        f'{upstream}[[network]]\nname = "office"\nmatch.gateway_mac = ["{laptop.office.gateway_mac}"]\n'
        'use = ["office"]\n[[network]]\nname = "elsewhere on earth"\nuse = ["direct"]\n'
    )


def untouched(laptop: Laptop) -> dict[str, str]:
    """What must not change where nothing is to be done."""
    files = f"{ENVIRONMENT} {DROP_IN} /root/.docker/config.json /home/alice/.docker/config.json"
    return {
        "docker": laptop.docker.invocation_id(),
        "files": laptop.run("stat", "--format=%n %i %y", *files.split(), check=False).stdout,
        "agent": laptop.docker.show("InvocationID", NAME),
    }


def restarted(laptop: Laptop, times: int) -> bool:
    """Whether it was so often, by the record of it, which comes a moment after what can be seen of Docker."""

    def as_often() -> Seen:
        count = laptop.audit.events().count("docker-restarted")
        return Seen(count >= times, count)

    return laptop.until(as_often).what == times


def in_the_office_with_a_password(laptop: Laptop) -> Proxy:
    """The service runs there, and Docker with this proxy."""
    squid = laptop.office.squid
    laptop.write(PASSWORD_FILE, squid.password, mode=0o600)
    laptop.policy(by_mac(laptop, through(squid)))
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=squid.url_reported, within=15)
    return squid


def test_a_guest_network_with_the_offices_addresses_gets_neither_docker_nor_a_password(laptop: Laptop) -> None:
    squid = in_the_office_with_a_password(laptop)
    assert laptop.docker.pull().ok

    laptop.plug("guest")
    laptop.until(laptop.docker.reports, https="", within=20)
    laptop.until(is_there, laptop, "elsewhere on earth", "direct")
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert laptop.guest.heard() == ""

    squid.forget()
    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=squid.url_reported, within=20)
    assert laptop.docker.pull().ok
    assert f"{REGISTRY}:443" in squid.log()
    assert restarted(laptop, 3)
    assert docker_starts(laptop) == 1 + 3
    assert laptop.guest.heard() == ""


@trixie
def test_what_is_asked_because_a_container_runs_gives_no_password_to_a_stranger(laptop: Laptop) -> None:
    in_the_office_with_a_password(laptop)
    web = laptop.docker.start_container()

    laptop.plug("guest")

    laptop.until(laptop.docker.reports, https="", within=30)
    assert web.pid() == web.first_pid
    assert "Proxy-Authorization" not in laptop.guest.heard()


@trixie
def test_home_office_cafe_guest_offline_and_back_with_two_restarts(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy
    laptop.policy(by_mac(laptop, through(proxy)))
    laptop.plug("home")
    started(laptop)
    laptop.until(is_there, laptop, "elsewhere on earth", "direct")
    assert restarted(laptop, 0)

    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=proxy.url, within=20)
    laptop.until(is_there, laptop, "office", "office")
    as_at_the_office = untouched(laptop)

    # Somebody wants to be asked first: nothing is changed. No event tells that he was.
    laptop.plug("cafe")
    laptop.until(is_there, laptop, "elsewhere on earth", None, "waiting", within=20)
    assert "a portal answers" in laptop.agent("status").stdout
    assert untouched(laptop) == as_at_the_office
    laptop.cafe.pass_portal()
    laptop.until(laptop.docker.reports, https="", within=20)
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    laptop.until(is_there, laptop, "elsewhere on earth", "direct")
    assert restarted(laptop, 2)
    as_at_home = untouched(laptop)
    cafe = laptop.status()["network"]["fingerprint"]

    laptop.plug("guest")
    laptop.until(is_elsewhere_than, laptop, cafe)
    laptop.until(is_there, laptop, "elsewhere on earth", "direct")
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    laptop.unplug()
    laptop.until(is_in_state, laptop, "offline")
    assert laptop.agent("status").stdout.startswith("OFFLINE        nothing is changed\n  docker       ")
    laptop.plug("guest")
    laptop.until(is_there, laptop, "elsewhere on earth", "direct", within=20)
    assert laptop.docker.pull().ok

    # The same place, whose Wi-Fi is weak.
    for _ in range(2):
        laptop.out_of_range()
        laptop.until(is_in_state, laptop, "offline")
        laptop.in_range()
        laptop.until(is_there, laptop, "elsewhere on earth", "direct", within=20)
    assert laptop.docker.pull().ok
    assert untouched(laptop) == as_at_home
    assert docker_starts(laptop) == 1 + 2
    assert laptop.agent("audit", "verify").ok


@trixie
def test_no_default_route_and_a_proxy_in_reach(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy
    laptop.policy(  # an address, for the office knows no names of the outside
        f'[probe]\nregistry = ["https://10.99.0.10"]\n{through(proxy)}'
        '[[network]]\nname = "office"\nmatch.address = ["10.10.0.0/16"]\nuse = ["direct", "office"]\n'
    )
    laptop.plug("office")
    laptop.network("ip route del default")

    started(laptop)

    laptop.until(laptop.docker.reports, https=proxy.url, within=20)
    laptop.until(is_there, laptop, "office", "office")
    assert "direct no-route" in laptop.agent("status").stdout
    assert laptop.docker.pull().ok


@trixie
def test_a_place_with_ipv6_only(laptop: Laptop) -> None:
    proxy, old = laptop.campus.tinyproxy, laptop.office.tinyproxy
    laptop.policy(
        f'{AT_ONCE}{through(old)}[upstream.campus]\nurl = "{proxy.url}"\n'
        '[[network]]\nname = "campus"\nmatch.address = ["fd00:40::/64"]\nmatch.gateway = ["fd00:40::1"]\n'
        'use = ["campus", "direct"]\n[[network]]\nuse = ["office"]\n'
    )
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=old.url, within=15)

    laptop.plug("campus")
    laptop.until(laptop.docker.reports, https=proxy.url, within=20)
    laptop.until(is_there, laptop, "campus", "campus")
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert f"{REGISTRY}:443" in proxy.log()

    proxy.stop()
    laptop.run("systemctl", "reload", NAME)
    laptop.until(laptop.docker.reports, https="", within=20)
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert any(request.startswith("fd00:40::100 GET") for request in laptop.internet.requests())
    assert restarted(laptop, 3)
