"""What a restart of Docker takes along or loses on a real systemd, and what the agent makes of it."""

from __future__ import annotations

import pytest

from tests.waiting import Seen

from .lab.docker import LOCAL_IMAGE
from .lab.laptop import Laptop
from .test_apply import DAEMON_JSON, applied, office_policy
from .test_restart import DIES, is_deferred, nothing_under_way, unharmed
from .test_service import started

STACK = f"""[Unit]
Description=A stack as most how-tos write it
Requires=docker.service
After=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
# Left over where Docker died while it was made.
ExecStartPre=-/usr/bin/docker rm -f stack
ExecStart=/usr/bin/docker run -d --name stack {LOCAL_IMAGE} sleep 3000
ExecStop=/usr/bin/docker rm -f stack
"""
OTHER = "[Unit]\n{how}\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n{stop}\n"
# On its own way down when Docker is up again, for which Docker does not wait.
SLOW = "ExecStop=/bin/sleep 3"
KINDS = {
    "bound": "BindsTo=docker.service\nAfter=docker.service",
    "part": "PartOf=docker.service",
    "requisite": "Requisite=docker.service\nAfter=docker.service",
    "below": "Requires=part.service\nAfter=part.service",
    "follower": "StopPropagatedFrom=docker.service",
    "wanting": "Wants=docker.service",
}
ALL = ["stack.service", *(f"{name}.service" for name in KINDS)]
OWN_CONTAINERD = "[Service]\nKillMode={mode}\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd://\n"


def stacked(laptop: Laptop) -> str:
    """All kinds of units that depend on Docker, and one that does not, all of them up; when the stack's container began."""
    laptop.docker.import_image()
    laptop.write("/etc/systemd/system/stack.service", STACK)
    for name, how in KINDS.items():
        stop = SLOW if name == "follower" else ""
        laptop.write(f"/etc/systemd/system/{name}.service", OTHER.format(how=how, stop=stop))
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "start", *ALL)
    return stack_since(laptop)


def stack_since(laptop: Laptop) -> str:
    return str(laptop.docker.api("/containers/stack/json")["State"]["StartedAt"])


def all_up(laptop: Laptop) -> Seen:
    states = laptop.run("systemctl", "is-active", *ALL, "docker.service", "docker.socket", check=False).stdout
    return Seen(set(states.split()) == {"active"}, states)


def test_a_restart_waits_for_what_hangs_on_docker_and_a_person_overrules_that(laptop: Laptop) -> None:
    """Also while nothing else runs: what ExecStop= would remove is not known."""
    office_policy(laptop)
    since = stacked(laptop)
    laptop.plug("office")
    names = "below.service, bound.service, follower.service, part.service and 2 more"

    planned = laptop.agent("plan").stdout
    printed = applied(laptop)

    assert f"restart      later: {names} depend on Docker" in planned, planned
    assert f"{names} depend on Docker and would be stopped with it" in printed
    assert stack_since(laptop) == since
    assert laptop.docker.reports(https="")

    applied(laptop, "--now")

    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)
    laptop.until(all_up, laptop, within=20)
    assert stack_since(laptop) != since
    restarted = next(record for record in laptop.audit.records() if record["event"] == "docker-restarted")
    taken = [name for name in sorted(ALL) if name != "wanting.service"]
    assert restarted["facts"]["taken_along"] == taken
    assert "are taken along" in restarted["facts"]["allowed"]


def test_it_is_made_when_the_last_of_them_is_down_and_status_says_what_it_waits_for(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.docker.import_image()
    laptop.write("/etc/systemd/system/part.service", OTHER.format(how=KINDS["part"], stop=""))
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "start", "part.service")
    started(laptop)
    before = laptop.docker.invocation_id()

    laptop.plug("office")
    laptop.until(is_deferred, laptop, within=20)

    assert "part.service depends on Docker" in laptop.status()["docker"]["deferred"]
    assert "part.service depends on Docker" in laptop.agent("status").stdout
    assert laptop.docker.invocation_id() == before
    laptop.run("systemctl", "stop", "part.service")
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    assert laptop.docker.show("ActiveState", "part.service") == "inactive"


def test_what_may_be_taken_along_is_up_again_after_a_roll_back(laptop: Laptop) -> None:
    """Docker is stopped and started for it, after which systemd leaves what hung on it down."""
    fails = "[Service]\nExecStartPre=/bin/sh -c 'case \"$HTTPS_PROXY\" in *8888*) exit 1;; esac'\nRestartSec=100ms\n"
    laptop.docker.drop_in(fails)
    office_policy(laptop, docker='[docker]\ntake_along = ["stack.service", "bound.*", "part.service", "[bfr][eo]*"]\n')
    stacked(laptop)
    laptop.plug("office")

    ran = laptop.agent("apply")

    assert ran.code == 1, ran
    assert "Docker runs with the old settings again" in ran.stdout
    laptop.until(all_up, laptop, within=20)
    assert nothing_under_way(laptop)
    rolled_back = next(record for record in laptop.audit.records() if record["event"] == "rolled-back")
    assert "stack.service" in rolled_back["facts"]["started_again"]
    assert "wanting.service" not in rolled_back["facts"]["started_again"]

    laptop.run("rm", "/etc/systemd/system/docker.service.d/50-by-hand.conf")
    laptop.run("systemctl", "daemon-reload")
    since = stack_since(laptop)
    reloaded = laptop.agent("reload")

    assert reloaded.ok, reloaded
    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)
    laptop.until(all_up, laptop, within=20)
    assert stack_since(laptop) != since


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_and_after_one_within_the_minute(laptop: Laptop) -> None:
    """The crash has taken those along that are bound to it. The stack's ExecStop= would wait for Docker for 90 s."""
    laptop.docker.drop_in(f"{DIES}Restart=no\n")
    office_policy(laptop, docker='[docker]\ntake_along = ["*"]\n')
    laptop.plug("home")
    started(laptop)
    laptop.until(lambda: laptop.status().get("state") == "steady", within=20)
    stacked(laptop)

    laptop.plug("office")

    laptop.until(laptop.audit.has, "rolled-back", within=40)
    laptop.until(laptop.docker.reports, https="", within=20)
    laptop.until(all_up, laptop, within=20)
    assert nothing_under_way(laptop)


def test_a_restore_waits_for_them_too(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    applied(laptop)
    since = stacked(laptop)
    laptop.plug("home")

    printed = laptop.agent("restore").stdout
    assert "depend on Docker" in printed, printed
    assert stack_since(laptop) == since


@pytest.mark.parametrize(
    ("laptop", "mode"),
    [
        pytest.param("trixie", "mixed", id="trixie-mixed"),
        pytest.param("trixie", "control-group", id="trixie-control-group"),
        pytest.param("bookworm", "control-group", id="bookworm-control-group"),
    ],
    indirect=["laptop"],
)
def test_where_the_containers_end_with_the_unit_they_are_waited_for(laptop: Laptop, mode: str) -> None:
    """dockerd has a containerd of its own, as on many a distribution: live-restore keeps nothing there."""
    laptop.run("systemctl", "mask", "--now", "containerd.service")
    laptop.run("rm", "-f", "/run/containerd/containerd.sock")
    laptop.write(DAEMON_JSON, '{"live-restore": true}')
    laptop.docker.drop_in(OWN_CONTAINERD.format(mode=mode))
    office_policy(laptop)
    web = laptop.docker.start_container("--restart=no")
    started(laptop)  # as closed as its unit makes it, it still sees where they live

    laptop.plug("office")
    laptop.until(is_deferred, laptop, within=30)

    why = f"docker.service has KillMode={mode}, which stops them with it"
    assert f"1 container runs and would not survive: {why}" in laptop.status()["docker"]["deferred"]
    assert unharmed([web])

    laptop.docker.restart()  # by hand: so it is

    assert not web.is_running()


def test_containers_are_kept_where_only_dockerd_ends(laptop: Laptop) -> None:
    """KillMode=mixed, and the shims live with containerd.service."""
    laptop.docker.drop_in("[Service]\nKillMode=mixed\n")
    office_policy(laptop)
    web = laptop.docker.start_container("--restart=no")
    laptop.plug("office")

    applied(laptop)

    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)
    assert unharmed([web])


def test_kept_is_what_ran_on_and_what_did_not_is_said(laptop: Laptop) -> None:
    """One is killed while dockerd is away, one was stopped by hand and is started by dockerd, one begins anew."""
    kill = '/usr/bin/pkill -f "sleep 42424"'
    laptop.docker.drop_in(f"[Service]\nExecStopPost=-{kill}\n")
    office_policy(laptop)
    web = laptop.docker.start_container("--restart=no")
    paused = laptop.docker.start_container("--restart=no")
    laptop.run("docker", "pause", paused.name)
    stopped = laptop.docker.start_container("--restart=always")
    laptop.run("docker", "kill", stopped.name)
    laptop.docker.start_container("--restart=no", command="sleep 42424")
    laptop.docker.start_container("--restart=always", command="sleep 42424")
    started(laptop)

    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=40)
    laptop.until(lambda: laptop.audit.has("docker-restarted"), within=20)

    assert unharmed([web, paused])
    facts = next(record for record in laptop.audit.records() if record["event"] == "docker-restarted")["facts"]
    assert (facts["containers_kept"], facts["containers_lost"]) == (2, ["container-4", "container-5"])
    laptop.until(lambda: "2 containers kept" in laptop.agent("status").stdout, within=10)
    lost = [one["text"] for one in laptop.status()["conditions"] if one["code"] == "containers-lost"]
    assert "container-4 and container-5" in str(lost)
    laptop.until(lambda: laptop.status()["state"] == "steady", within=10)
    assert stopped.is_running()
