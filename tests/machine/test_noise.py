"""What must be no reason for anything: containers, reloads, a Wi-Fi that cannot decide; and what bounds the answer to it."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from tests.waiting import NotInTime, Seen

from .lab.laptop import POLICY, Laptop
from .lab.places import REGISTRY
from .test_apply import PASSWORD_FILE, office_policy, through
from .test_boot import docker_starts
from .test_roam import AT_ONCE, by_mac, is_there, restarted, trixie
from .test_service import NAME, started

AT_TIMES = f'[probe]\nregistry = ["https://{REGISTRY}"]\n'
ONLY_EVENTS = AT_TIMES + 'recheck = "0s"\n'  # no timer is asked for: what is probed all the same was no event's due
STATE = "/var/lib/docker-proxy-agent"
EVERYWHERE = f"/etc /root /home /run/docker-proxy-agent {STATE} /var/log/docker-proxy-agent"
# The minute after the agent's own restart of Docker ends by the clock, on a busy machine before the last container does.
OF_THE_MINUTE_AFTER = {STATE, f"{STATE}/journal.json", f"{STATE}/last-good.json"}
A_LOOK_TICKS = 30  # that nothing but the clock asks for may ask helpers; 60 containers that did would make it 150


@pytest.mark.long
@trixie
def test_sixty_containers_and_a_restart_of_our_own_are_no_reason_to_probe_write_or_restart(
    laptop: Laptop,
) -> None:
    laptop.docker.import_image()
    office_policy(laptop, docker=ONLY_EVENTS)
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=60)
    laptop.until(is_there, laptop, "office", "office", within=30)
    laptop.until(is_at_rest, laptop, within=60)
    shown = laptop.status()
    probed, before = laptop.internet.requests(), docker_starts(laptop)
    laptop.run("touch", "/run/before")
    helpers = cpu_of_children(laptop)

    at_once = "seq 60 | xargs -P 3 -I {} docker run --rm --network {net} lab/busybox:latest true"
    laptop.run("sh", "-euc", f"docker network create other; {at_once.replace('{net}', 'other')}", timeout=900)

    assert laptop.status() == shown
    written = laptop.run("find", *EVERYWHERE.split(), "-newer", "/run/before").stdout.splitlines()
    assert {*written} <= OF_THE_MINUTE_AFTER
    assert laptop.internet.requests() == probed
    assert docker_starts(laptop) == before == 2
    spent = cpu_of_children(laptop) - helpers
    # One after the restart, and one at the end of its minute.
    assert spent < 2 * A_LOOK_TICKS, f"{spent} ticks: a pass that found nothing to do started processes"
    # It has not gone deaf.
    laptop.plug("home")
    laptop.until(laptop.docker.reports, https="", within=60)


def is_at_rest(laptop: Laptop) -> bool:
    """Whether the passes that follow a restart have shown what they saw."""
    return laptop.run("find", *EVERYWHERE.split(), "-newermt", "3 seconds ago").stdout == ""


def cpu_of_children(laptop: Laptop) -> int:
    """The clock ticks of all the agent's children that have ended."""
    stat = laptop.read(f"/proc/{laptop.docker.show('MainPID', NAME)}/stat").rpartition(")")[2].split()
    return int(stat[13]) + int(stat[14])


@pytest.mark.long
@trixie
def test_a_wifi_that_changes_every_seven_seconds_costs_a_bounded_number_of_restarts(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy
    laptop.policy(by_mac(laptop, through(proxy)))
    laptop.plug("home")
    started(laptop)
    laptop.until(is_there, laptop, "elsewhere on earth", "direct")

    began, began_at = time.monotonic(), time.time()
    for turn in range(9):
        laptop.plug(("office", "guest")[turn % 2])
        time.sleep(max(0.0, began + 7 * (turn + 1) - time.monotonic()))

    laptop.until(is_there, laptop, "office", "office", within=15)
    laptop.until(laptop.docker.reports, https=proxy.url)
    assert laptop.docker.pull().ok
    made = [
        dt.datetime.fromisoformat(record["ts"]).timestamp()
        for record in laptop.audit.records()
        if record["event"] == "docker-restarted"
    ]
    # To the office, back, and then not before it is the office to stay.
    assert docker_starts(laptop) == 1 + len(made) == 1 + 3, made
    assert made[2] - began_at >= 7 * 8 + 10, made
    assert "the network keeps changing" in str([record["facts"] for record in laptop.audit.records()])
    assert "unsteady" in str(laptop.status()["conditions"])
    assert laptop.guest.heard() == ""


@trixie
def test_a_dns_that_fails_for_a_while_where_the_laptop_stays_costs_no_restart(laptop: Laptop) -> None:
    laptop.policy(f'{AT_TIMES}{through(laptop.office.tinyproxy)}[[network]]\nuse = ["direct", "office"]\n')
    laptop.plug("home")
    # By which the office's proxy is in reach, and that one knows all names.
    laptop.network(f"ip route add {laptop.office.PROXIES} via {laptop.vpn().GATEWAY}")
    started(laptop)
    laptop.until(is_there, laptop, "network 1", "direct")
    good = laptop.read("/etc/resolv.conf")

    def fails() -> Seen:
        verdicts = {name: found["verdict"] for name, found in laptop.status()["verdicts"].items()}
        return Seen(verdicts.get("direct") in {"dns", "timeout"} and verdicts.get("office") == "ok", verdicts)

    def is_restarted() -> Seen:
        events = laptop.audit.events()
        return Seen("docker-restarted" in events, events)

    laptop.network("ip address add 10.20.0.77/16 dev wlan0")
    laptop.write("/etc/resolv.conf", "nameserver 10.20.0.99\n")  # nobody is there
    laptop.until(fails, within=10)
    with pytest.raises(NotInTime):
        laptop.until(is_restarted, within=15)
    laptop.write("/etc/resolv.conf", good)

    laptop.until(lambda: laptop.status()["verdicts"]["direct"]["verdict"] == "ok", within=10)
    laptop.until(is_there, laptop, "network 1", "direct")
    assert restarted(laptop, 0)
    assert laptop.docker.pull().ok


@trixie
def test_a_hundred_reloads_while_nothing_answers(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy
    laptop.policy(
        '[upstream.hole]\nurl = "http://10.99.0.71:3128"\n'
        f'{through(proxy)}[[network]]\nname = "office"\nuse = ["hole", "office"]\n'
    )
    laptop.office.swallow()
    proxy.freeze()
    laptop.plug("office")
    started(laptop)
    agent = laptop.docker.show("InvocationID", NAME)

    laptop.run("sh", "-euc", f"for i in $(seq 100); do systemctl reload {NAME}; done", timeout=120)

    laptop.until(
        lambda: Seen(laptop.docker.show("ActiveState", NAME) == "active", laptop.docker.show("ActiveState", NAME))
    )
    assert laptop.docker.show("InvocationID", NAME) == agent
    assert laptop.docker.show("NRestarts", NAME) == "0"
    laptop.until(is_there, laptop, "office", None, "waiting", within=20)
    assert docker_starts(laptop) == 1
    asked = laptop.agent("reload", timeout=30)
    assert asked.code == 1, asked
    assert "nothing works" in asked.stdout
    proxy.start()
    laptop.until(laptop.docker.reports, https=proxy.url, within=20)
    assert laptop.docker.pull().ok
    assert laptop.audit.events().count("agent-started") == 1
    assert restarted(laptop, 1)


def shown_error(laptop: Laptop) -> Seen:
    policy = laptop.status().get("policy") or {}
    return Seen(policy.get("error") is not None, policy)


def shown_no_error(laptop: Laptop) -> Seen:
    return Seen(not shown_error(laptop), shown_error(laptop))


@pytest.mark.trixie
def test_a_policy_that_is_broken_mended_removed_and_back(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy
    office_policy(laptop, docker=AT_ONCE)
    good = laptop.read(POLICY)
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=proxy.url, within=15)

    laptop.write(POLICY, good.replace('match.gateway = ["10.10.0.1"]', 'match.gateway = ["10.10.0.300"]'))
    laptop.until(shown_error, laptop)
    for said in (laptop.status()["policy"]["error"], laptop.agent("status").stdout):
        assert 'network 1 (office).match.gateway: "10.10.0.300" is not an address' in said
    laptop.run("touch", POLICY)
    # The last good one is still at work.
    laptop.plug("home")
    laptop.until(laptop.docker.reports, https="", within=20)
    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=proxy.url, within=20)
    assert laptop.audit.events().count("policy-rejected") == 1

    laptop.write(POLICY, good + "# mended\n")
    laptop.until(shown_no_error, laptop)
    laptop.until(is_there, laptop, "office", "office")

    before = laptop.docker.invocation_id()
    laptop.run("rm", POLICY)
    laptop.until(lambda: laptop.agent("status").stdout.startswith(f"IDLE           {POLICY}: there is no policy"))
    laptop.plug("home")
    assert laptop.docker.reports(https=proxy.url)
    assert laptop.docker.invocation_id() == before
    laptop.write(POLICY, good)
    laptop.until(laptop.docker.reports, https="", within=30)  # the third move in a minute has to stand for 10 s
    laptop.until(is_there, laptop, "elsewhere on earth", "direct")
    assert restarted(laptop, 4)


@trixie
def test_a_password_that_changes_is_sent_once_in_vain_and_then_the_new_one_is_used(laptop: Laptop) -> None:
    squid = laptop.office.squid
    office_policy(laptop, squid, docker=AT_TIMES + 'recheck = "1s"\n' + AT_ONCE)
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=squid.url_reported, within=15)
    assert laptop.docker.pull().ok

    def sent_in_vain() -> Seen:
        times = squid.log_text().count("3128 407 ")
        return Seen(times > 1, f"refused {times} times")

    laptop.office.change_password("an0ther")
    laptop.until(is_there, laptop, "office", None, "waiting", within=20)
    with pytest.raises(NotInTime, match="refused 1 times"):
        laptop.until(sent_in_vain, within=11)

    laptop.write(PASSWORD_FILE, "an0ther\n", mode=0o600)
    laptop.until(
        lambda: laptop.docker.environment().get("HTTPS_PROXY", "").startswith("http://alice:an0ther@"), within=20
    )
    laptop.until(is_there, laptop, "office", "office")
    assert laptop.docker.pull().ok
    assert not sent_in_vain()
    assert restarted(laptop, 2)
    assert "an0ther" not in laptop.read("/var/log/docker-proxy-agent/audit.jsonl") + laptop.journal(NAME, lines=1000)
