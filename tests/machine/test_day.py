"""A day of a laptop: one policy file, through all places, with a pull after each move that works."""

from __future__ import annotations

import pytest

from .lab.laptop import Laptop
from .lab.places import IMAGE, REGISTRY
from .test_apply import PASSWORD_FILE
from .test_boot import docker_starts
from .test_roam import is_elsewhere_than, is_in_state, is_there, restarted, trixie
from .test_service import NAME

TURN_S = 70  # so many moves within little time are an unsteady network: it has to stand for 40 s at last, and then some
ELSEWHERE = "elsewhere on earth"


def policy(laptop: Laptop) -> str:
    office = laptop.office
    return f"""
[probe]
registry = ["https://{REGISTRY}"]
recheck = "5s"

[docker]
min_interval = "10s"

[upstream.office]
url = "{office.squid.url}"
username = "{office.squid.user}"
password_file = "{PASSWORD_FILE}"

[upstream.backup]
url = "{office.socks.url}"

[upstream.by-vpn]
url = "{office.tinyproxy.url}"

[[network]]
name = "office"
match.gateway_mac = ["{office.gateway_mac}"]
use = ["office", "backup"]

[[network]]
name = "vpn"
match.interface = ["tun*"]
use = ["by-vpn"]

[[network]]
name = "{ELSEWHERE}"
use = ["direct"]
"""


def arrived(laptop: Laptop, network: str, upstream: str, url: str) -> None:
    """By the agent's word, by dockerd's, and by a pull."""
    laptop.until(laptop.docker.reports, https=url, within=TURN_S)
    laptop.until(is_there, laptop, network, upstream, within=20)
    laptop.until(laptop.docker.pulls, IMAGE, within=20)


def through_all_places(laptop: Laptop) -> None:
    """From home to the office, by six changes of what Docker must run with."""
    office = laptop.office
    laptop.plug("office")
    arrived(laptop, "office", "office", office.squid.url_reported)
    office.squid.stop()
    arrived(laptop, "office", "backup", office.socks.url)
    office.squid.start()  # and gone before it has proved itself

    laptop.plug("cafe")
    laptop.until(is_there, laptop, ELSEWHERE, None, "waiting", within=20)
    laptop.cafe.pass_portal()
    arrived(laptop, ELSEWHERE, "direct", "")
    cafe = laptop.status()["network"]["fingerprint"]

    laptop.plug("guest")
    laptop.until(is_elsewhere_than, laptop, cafe)
    arrived(laptop, ELSEWHERE, "direct", "")

    laptop.plug("home")
    vpn = laptop.vpn()
    laptop.network(f"for half in 0.0.0.0/1 128.0.0.0/1; do ip route add $half via {vpn.GATEWAY}; done")
    laptop.write("/etc/resolv.conf", office.resolv_conf)
    arrived(laptop, "vpn", "by-vpn", office.tinyproxy.url)
    vpn.close()
    laptop.write("/etc/resolv.conf", laptop.home.resolv_conf)
    arrived(laptop, ELSEWHERE, "direct", "")

    laptop.unplug()
    laptop.until(is_in_state, laptop, "offline")
    laptop.plug("office")
    arrived(laptop, "office", "office", office.squid.url_reported)


@pytest.mark.long
@trixie
def test_a_day_through_all_places_with_the_fewest_restarts_and_a_story_to_tell(laptop: Laptop) -> None:
    laptop.plug("home")
    assert "no policy yet" in laptop.agent("install").stdout
    laptop.write(PASSWORD_FILE, laptop.office.squid.password, mode=0o600)
    laptop.policy(policy(laptop))
    arrived(laptop, ELSEWHERE, "direct", "")
    assert restarted(laptop, 0)

    through_all_places(laptop)

    assert restarted(laptop, 6)
    assert docker_starts(laptop) == 1 + 6
    assert laptop.guest.heard() == ""
    chosen = [record["facts"] for record in laptop.audit.records() if record["event"] == "upstream-chosen"]
    told = [(facts["network"], facts["upstream"]) for facts in chosen]
    story = [
        (ELSEWHERE, "direct"), ("office", "office"), ("office", "backup"), (ELSEWHERE, "direct"), ("vpn", "by-vpn"),
        (ELSEWHERE, "direct"), ("office", "office"),
    ]  # fmt: skip
    assert [line for number, line in enumerate(told) if line not in told[number - 1 : number]] == story
    verified = laptop.agent("audit", "verify")
    assert verified.ok, verified
    said = laptop.run("journalctl", "DPA_EVENT=docker-restarted", "--output=cat").stdout.splitlines()
    assert [line.partition(":")[0].partition(" (")[0] for line in said] == ["Docker restarted"] * 6
    secret = laptop.office.squid.password
    assert secret not in laptop.journal(NAME, lines=1000) + laptop.read("/var/log/docker-proxy-agent/audit.jsonl")
    screen = laptop.agent("status").stdout.splitlines()
    assert screen[0].startswith("STEADY         office via office, since ")
    assert len(screen) <= 24
