"""Restarts that hurt nobody: containers, pulls and builds on a real Docker, by each rule of docker.restart."""

from __future__ import annotations

import json

import pytest

from tests.waiting import Seen

from .lab.docker import Container
from .lab.laptop import Laptop
from .lab.places import IMAGE
from .test_apply import DAEMON_JSON, ENVIRONMENT, applied, docker_20, office_policy
from .test_service import started

WHEN_IDLE = '[docker]\nrestart = "when-idle"\n'
SIX_NAMES = "HTTP_PROXY http_proxy HTTPS_PROXY https_proxy NO_PROXY no_proxy"
DOCKERD = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock"
FOLDER = "/etc/systemd/system/docker.service.d"
JOURNAL = "/var/lib/docker-proxy-agent/journal.json"
THEIRS = '{\n\t"log-driver": "json-file",\n\t"debug" : false\n}'


def five_containers(laptop: Laptop) -> list[Container]:
    """None of them restarts by itself; one with a published port."""
    options = [(), (), (), ("--publish", "8080:80"), ("--stop-timeout", "30")]
    return [laptop.docker.start_container("--restart=no", *some) for some in options]


def unharmed(containers: list[Container]) -> bool:
    return [one.pid() for one in containers] == [one.first_pid for one in containers]


def is_deferred(laptop: Laptop) -> Seen:
    shown = laptop.status()
    return Seen(shown.get("state") == "deferred", shown)


def nothing_under_way(laptop: Laptop) -> bool:
    """But for the minute in which a restart is not believed yet."""
    journal = json.loads(laptop.read(JOURNAL))["state"]
    return journal["stage"] in (None, "tried") and not journal["bracket"] and not journal["units"]


def starts_by_others(laptop: Laptop) -> int:
    """Such as systemd's after a crash; those of the agent are its restarts."""
    started = [record["facts"] for record in laptop.audit.records() if record["event"] == "docker-started"]
    return len([facts for facts in started if facts["cause"] == "others"])


@pytest.mark.sid
def test_five_containers_run_on_over_a_roam(laptop: Laptop) -> None:
    """Docker's own file is as it was, to the byte, and live-restore off, after each restart."""
    laptop.write(DAEMON_JSON, THEIRS)
    laptop.docker.restart()
    office_policy(laptop)
    containers = five_containers(laptop)
    laptop.run("systemd-run", "--quiet", "--unit=attached", "docker", "attach", "--no-stdin", containers[0].name)
    laptop.run("systemd-run", "--quiet", "--unit=events", "docker", "events")
    started(laptop)

    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=40)
    laptop.until(nothing_under_way, laptop, within=10)

    assert unharmed(containers)
    assert laptop.read(DAEMON_JSON) == THEIRS
    assert not laptop.docker.info()["LiveRestoreEnabled"]
    assert laptop.docker.pull().ok
    assert laptop.network("ss -Htln sport = :8080") != ""
    restarted = [record for record in laptop.audit.records() if record["event"] == "docker-restarted"]
    assert [record["facts"]["containers_kept"] for record in restarted] == [5]

    laptop.plug("home")
    laptop.until(laptop.docker.reports, https="", within=60)
    laptop.until(nothing_under_way, laptop, within=10)

    assert unharmed(containers)
    assert laptop.read(DAEMON_JSON) == THEIRS
    laptop.until(laptop.docker.pulls, IMAGE, within=20)


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_containers_are_waited_for_while_what_docker_runs_with_still_works(laptop: Laptop) -> None:
    """At home again with a proxy that is reachable from there, too: no reason to touch anybody."""
    laptop.plug("home")
    laptop.policy(f'[upstream.app]\nurl = "{laptop.start_proxy(7890).url}"\n[[network]]\nuse = ["app", "direct"]\n')
    applied(laptop)
    web = laptop.docker.start_container("--restart=no")
    laptop.policy('[upstream.app]\nurl = "http://127.0.0.1:7890"\n[[network]]\nuse = ["direct"]\n')
    before = laptop.docker.invocation_id()

    printed = applied(laptop)

    assert "1 container runs, and app still works here" in printed
    assert unharmed([web])
    assert laptop.docker.invocation_id() == before


def test_when_idle_waits_for_the_last_container_and_then_does_it(laptop: Laptop) -> None:
    office_policy(laptop, docker=WHEN_IDLE)
    web, last = laptop.docker.start_container("--restart=no"), laptop.docker.start_container("--restart=no")
    started(laptop)
    laptop.plug("office")
    laptop.until(is_deferred, laptop, within=20)
    before = laptop.docker.invocation_id()
    assert "2 containers run" in laptop.status()["docker"]["deferred"]
    assert unharmed([web, last])

    laptop.run("docker", "kill", web.name)
    assert laptop.docker.invocation_id() == before

    laptop.run("docker", "kill", last.name)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    assert laptop.status()["state"] in ("steady", "working")


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_deferred_restart_is_moot_when_the_laptop_moves_back(laptop: Laptop) -> None:
    office_policy(laptop, docker=WHEN_IDLE)
    laptop.plug("home")
    started(laptop)
    laptop.docker.start_container("--restart=no")
    before = laptop.docker.invocation_id()
    laptop.plug("office")
    laptop.until(is_deferred, laptop, within=20)

    laptop.plug("home")
    laptop.until(lambda: laptop.status()["state"] == "steady", within=20)

    assert laptop.docker.invocation_id() == before
    assert laptop.audit.events().count("docker-restarted") == 0


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_build_is_not_broken_off_while_the_old_way_works(laptop: Laptop) -> None:
    laptop.plug("home")
    app = laptop.start_proxy(7890)
    laptop.policy(f'[upstream.app]\nurl = "{app.url}"\n[[network]]\nuse = ["app", "direct"]\n')
    applied(laptop)
    laptop.docker.import_image()
    laptop.write("/build/Dockerfile", "FROM lab/busybox:latest\nRUN sleep 20\n")
    laptop.run("systemd-run", "--quiet", "--unit=build", "docker", "build", "--tag", "built", "/build")
    laptop.until(lambda: "sleep 20" in laptop.run("ps", "-ef").stdout, within=15)
    laptop.policy(f'[upstream.app]\nurl = "{app.url}"\n[[network]]\nuse = ["direct"]\n')

    printed = applied(laptop)

    assert "a build is in flight, and app still works here" in printed
    laptop.until(lambda: laptop.docker.show("ActiveState", "build.service") == "inactive", within=40)
    assert laptop.run("docker", "image", "inspect", "built", check=False).ok
    applied(laptop)
    assert laptop.docker.reports(https="")


def test_a_pull_is_not_broken_off_while_the_old_way_works(laptop: Laptop) -> None:
    """It hangs in a registry that never answers; dockerd's connection is what tells."""
    laptop.plug("home")
    app = laptop.start_proxy(7890)
    laptop.policy(f'[upstream.app]\nurl = "{app.url}"\n[[network]]\nuse = ["app", "direct"]\n')
    applied(laptop)
    laptop.run("systemd-run", "--quiet", "--unit=silent", "busybox", "nc", "-ll", "-p", "7891", "-e", "sleep", "600")
    laptop.until(lambda: laptop.network("ss -Htln sport = :7891"), within=5)
    laptop.run("systemd-run", "--quiet", "--unit=pull", "docker", "pull", "127.0.0.1:7891/hangs")
    laptop.until(lambda: laptop.network("ss -Htn dport = :7891"), within=10)
    laptop.policy(f'[upstream.app]\nurl = "{app.url}"\n[[network]]\nuse = ["direct"]\n')
    before = laptop.docker.invocation_id()

    assert "a pull or push is in flight, and app still works here" in applied(laptop)
    assert laptop.docker.invocation_id() == before

    app.stop()
    assert "a pull or push is interrupted" in laptop.agent("plan").stdout
    applied(laptop)
    assert laptop.docker.reports(https="")


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_in_a_swarm_containers_are_waited_for(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    laptop.run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1")
    web = laptop.docker.start_container("--restart=no")

    printed = applied(laptop)

    assert "1 container runs and would not survive: live-restore does not work with Swarm" in printed
    assert unharmed([web])
    assert laptop.exists(ENVIRONMENT)


def test_live_restore_that_is_a_flag_or_stands_in_the_file_stays_so(laptop: Laptop) -> None:
    laptop.write(DAEMON_JSON, '{"live-restore": true}')
    laptop.docker.restart()
    office_policy(laptop)
    web = laptop.docker.start_container("--restart=no")

    laptop.plug("office")
    applied(laptop)

    assert unharmed([web])
    assert laptop.read(DAEMON_JSON) == '{"live-restore": true}'
    assert laptop.docker.info()["LiveRestoreEnabled"]

    laptop.write(DAEMON_JSON, "{}")
    laptop.docker.drop_in(
        "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock "
        "--live-restore=false\n"
    )
    second = laptop.docker.start_container("--restart=no")
    laptop.plug("home")

    assert "would not survive: live-restore is set by a flag of dockerd" in applied(laptop)
    assert unharmed([second])


def test_containers_survive_a_roll_back(laptop: Laptop) -> None:
    """The unit's own check fails once the office's proxy is in its environment, as a broken dockerd would."""
    laptop.write(DAEMON_JSON, THEIRS)
    laptop.docker.drop_in(
        "[Service]\nExecStartPre=/bin/sh -c 'case \"$HTTPS_PROXY\" in *8888*) exit 1;; esac'\nRestartSec=100ms\n"
    )
    office_policy(laptop)
    web = laptop.docker.start_container("--restart=no")
    laptop.plug("office")

    ran = laptop.agent("apply")

    assert ran.code == 1, ran
    assert "Docker runs with the old settings again" in ran.stdout
    assert unharmed([web])
    assert laptop.docker.is_active()
    assert laptop.read(DAEMON_JSON) == THEIRS
    assert not laptop.docker.info()["LiveRestoreEnabled"]
    assert nothing_under_way(laptop)
    assert "is skipped for 10 min" in laptop.agent("apply").stdout


def test_a_file_that_validates_and_that_dockerd_does_not_take_makes_way_for_the_last_good_one(laptop: Laptop) -> None:
    good = '{\n  "log-driver": "local"\n}\n'
    laptop.write(DAEMON_JSON, good)
    laptop.docker.restart()
    office_policy(laptop)
    laptop.plug("office")
    applied(laptop)
    bad = '{"data-root": "/proc/no-such"}\n'
    laptop.write(DAEMON_JSON, bad)
    laptop.plug("home")

    ran = laptop.agent("apply")

    assert ran.code == 1, ran
    assert laptop.docker.is_active()
    assert laptop.docker.show("ActiveState", "docker.socket") == "active"
    assert laptop.read(DAEMON_JSON) == good
    assert laptop.read(f"{DAEMON_JSON}.refused-by-dockerd") == bad
    assert "the file that dockerd refused is kept as /etc/docker/daemon.json.refused-by-dockerd" in ran.stdout, (
        ran.stdout
    )

    # It is not tried again, and another one is kept beside the first.
    laptop.write(DAEMON_JSON, bad)
    assert "it failed when it was tried (/etc/docker/daemon.json.refused-by-dockerd)" in laptop.agent("apply").stdout
    other = bad.replace("such", "other")
    laptop.write(DAEMON_JSON, other)
    assert "rolled back" in laptop.agent("apply").stdout
    assert laptop.read(f"{DAEMON_JSON}.refused-by-dockerd") == bad
    assert laptop.read(f"{DAEMON_JSON}.refused-by-dockerd.2") == other

    # It was not the choice: with the good file it is in force at once.
    applied(laptop)
    assert laptop.docker.reports(https="")


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_the_fourth_restart_within_a_minute_by_somebody_else_works_too(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    applied(laptop)

    for _ in range(3):
        laptop.run("systemctl", "restart", "docker.service")

    assert laptop.docker.is_active()
    laptop.plug("home")
    applied(laptop)
    assert laptop.docker.reports(https="")


@docker_20
def test_a_downgrade_that_our_key_in_its_file_bricked_is_mended(laptop: Laptop) -> None:
    """As after Docker 26 with method daemon-json: 20.10 does not start with what stands there for it."""
    theirs = '{\n  "log-driver": "local"\n}\n'
    keep = (
        "from pathlib import Path; from agent.docker.originals import OriginalFile, daemon_originals; "
        f"daemon_originals(Path('/var/lib/docker-proxy-agent')).keep('{DAEMON_JSON}', "
        f"OriginalFile.of('{DAEMON_JSON}', {theirs!r}, 0o644))"
    )
    laptop.run("/opt/docker-proxy-agent/bin/python", "-c", keep)
    proxy = laptop.office.tinyproxy.url
    ours = f'{{\n  "log-driver": "local",\n  "proxies": {{"http-proxy": "{proxy}", "https-proxy": "{proxy}"}}\n}}\n'
    laptop.write(DAEMON_JSON, ours)
    laptop.run("systemctl", "restart", "docker.service", check=False)
    laptop.until(lambda: laptop.docker.show("ActiveState") == "failed", within=10)
    office_policy(laptop)
    laptop.plug("office")

    started(laptop)

    laptop.until(laptop.docker.reports, https=proxy, within=20)
    assert laptop.read(DAEMON_JSON) == theirs
    assert laptop.docker.pull().ok


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_docker_that_takes_its_time_is_waited_for_and_a_person_is_told(laptop: Laptop) -> None:
    laptop.docker.drop_in("[Service]\nExecStartPre=/bin/sh -c '[ -z \"$HTTPS_PROXY\" ] || sleep 24'\n")
    office_policy(laptop)
    started(laptop)
    laptop.plug("office")

    laptop.until(lambda: "engine-slow" in str(laptop.status()["conditions"]), within=40)
    assert laptop.agent("status").stdout.startswith("WORKING        office: a pass is running")

    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    laptop.until(lambda: laptop.status()["state"] == "steady", within=10)
    assert "engine-slow" not in str(laptop.status()["conditions"])
    assert laptop.audit.events().count("docker-restarted") == 1


def test_a_docker_that_a_person_stops_on_the_way_stays_stopped_with_the_settings_written(laptop: Laptop) -> None:
    # As dockerd does, it ends in good order when it is told to stop.
    laptop.docker.drop_in(
        '[Service]\nExecStartPre=/bin/sh -c \'[ -z "$HTTPS_PROXY" ] || { trap "exit 0" TERM; sleep 5 & wait; }\'\n'
    )
    office_policy(laptop)
    started(laptop)
    laptop.plug("office")
    laptop.until(lambda: laptop.docker.show("ActiveState") == "activating", within=20)

    laptop.run("systemctl", "stop", "docker.service", "docker.socket", timeout=30)

    laptop.until(lambda: laptop.audit.has("restart-deferred"), within=20)
    assert laptop.docker.show("ActiveState") == "inactive"
    assert laptop.exists(ENVIRONMENT)
    laptop.run("systemctl", "start", "docker.service", timeout=30)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=20)
    assert laptop.audit.events().count("docker-restarted") == 0


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_docker_that_gets_other_values_is_restarted_once_and_it_is_said(laptop: Laptop) -> None:
    """A script takes the names away: the restart succeeds, and dockerd is direct. No clock tries it again."""
    laptop.write("/usr/local/sbin/start-docker", f"#!/bin/sh\nunset {SIX_NAMES}\nexec {DOCKERD}\n", 0o755)
    laptop.docker.drop_in("[Service]\nExecStart=\nExecStart=/usr/local/sbin/start-docker\n")
    office_policy(laptop)
    web = laptop.docker.start_container("--restart=no")
    laptop.plug("office")

    ran = laptop.agent("apply")
    again = laptop.agent("apply")

    assert ran.code == 1, ran
    assert "Docker came up and runs with proxy direct instead of what was written" in ran.stdout
    assert laptop.audit.events().count("docker-restarted") == 1
    assert "rolled-back" not in laptop.audit.events()
    assert again.code == 1, again
    assert "itself sets HTTP_PROXY, http_proxy, HTTPS_PROXY, https_proxy, NO_PROXY, no_proxy" in again.stdout
    assert laptop.docker.is_active()
    assert unharmed([web])
    assert not laptop.docker.info()["LiveRestoreEnabled"]


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_what_would_not_count_is_known_before_the_restart(laptop: Laptop) -> None:
    """A later EnvironmentFile=, UnsetEnvironment=, `env` in front of dockerd: each named by its file, nothing is done."""
    office_policy(laptop)
    laptop.plug("office")
    laptop.write("/etc/docker-other.env", "HTTPS_PROXY=http://other.example:1\n")
    beaten = {
        "zzz-later-wins.conf": ("EnvironmentFile=/etc/docker-other.env", "/etc/docker-other.env"),
        "http-proxy.conf": ("UnsetEnvironment=HTTP_PROXY HTTPS_PROXY", f"{FOLDER}/http-proxy.conf"),
        "wrapper.conf": (
            f"ExecStart=\nExecStart=/usr/bin/env HTTPS_PROXY=http://other.example:1 {DOCKERD}", f"{FOLDER}/wrapper.conf",
        ),
    }  # fmt: skip
    for name, (text, named) in beaten.items():
        laptop.write(f"{FOLDER}/{name}", f"[Service]\n{text}\n")
        laptop.run("systemctl", "daemon-reload")
        laptop.docker.restart()

        ran = laptop.agent("apply")

        assert ran.code == 1, ran
        assert f"{named}: " in ran.stdout, ran
        assert not laptop.exists(ENVIRONMENT)
        laptop.run("rm", f"{FOLDER}/{name}")
    laptop.run("systemctl", "daemon-reload")
    assert not {"docker-restarted", "rolled-back"} & set(laptop.audit.events())

    assert laptop.agent("apply").code == 0


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_change_of_method_moves_the_settings_and_no_container_notices(laptop: Laptop) -> None:
    """There and back, with a password; and what each leaves is what the next start runs with."""
    proxy = laptop.office.squid
    office_policy(laptop, proxy)
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=proxy.url_reported, within=40)
    laptop.until(written_to, laptop, "docker.service drop-in", within=10)
    laptop.until(nothing_under_way, laptop, within=10)
    web = laptop.docker.start_container("--restart=no")
    restarted = laptop.audit.events().count("docker-restarted")

    office_policy(laptop, proxy, docker='[docker]\nmethod = "daemon-json"\n')
    laptop.until(written_to, laptop, "daemon.json", within=20)
    assert proxy.url.partition("://")[2] in laptop.read(DAEMON_JSON)
    assert not laptop.exists(ENVIRONMENT)
    assert not laptop.exists(f"{FOLDER}/zz-docker-proxy-agent.conf")
    assert laptop.docker.pull().ok

    office_policy(laptop, proxy)
    laptop.until(written_to, laptop, "docker.service drop-in", within=20)
    assert not laptop.exists(DAEMON_JSON)
    assert unharmed([web])
    assert laptop.audit.events().count("docker-restarted") == restarted

    laptop.docker.restart()
    assert laptop.docker.pull().ok
    assert laptop.agent("plan").code == 0


def written_to(laptop: Laptop, name: str) -> Seen:
    shown = laptop.status()
    targets = [(target["name"], target["state"]) for target in shown.get("targets", ())]
    return Seen((name, "right") in targets and not shown["docker"]["deferred"], shown)


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_docker_that_cannot_be_told_to_keep_containers_waits_for_them(laptop: Laptop) -> None:
    """Its unit knows no reload."""
    laptop.write(DAEMON_JSON, THEIRS)
    laptop.docker.drop_in("[Service]\nExecReload=\n")
    office_policy(laptop)
    web = laptop.docker.start_container("--restart=no")
    started(laptop)

    laptop.plug("office")
    laptop.until(is_deferred, laptop, within=30)

    assert unharmed([web])
    assert laptop.read(DAEMON_JSON) == THEIRS
    written = laptop.run("stat", "-c", "%Y %i", DAEMON_JSON).stdout
    laptop.until(lambda: "would not survive: live-restore" in laptop.status()["docker"]["deferred"], within=30)
    assert laptop.run("stat", "-c", "%Y %i", DAEMON_JSON).stdout == written  # it is not tried again and again

    laptop.run("docker", "kill", web.name)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)


def test_a_container_of_run_rm_is_not_ended_by_a_docker_that_would(laptop: Laptop) -> None:
    """20.10 ends it at its start, with live-restore, too (FACTS 195); 26 keeps it."""
    office_policy(laptop)
    web, job = laptop.docker.start_container("--restart=no"), laptop.docker.start_container("--rm")
    started(laptop)

    laptop.plug("office")
    if laptop.suite == "bookworm":
        waits = (
            "would not survive: Docker 20.10.24+dfsg1 removes containers of docker run --rm when it starts: container-2"
        )
        laptop.until(lambda: waits in str(laptop.status()["docker"]["deferred"]), within=30)
        assert unharmed([web, job])
        laptop.agent("apply", "--now")
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=40)
    laptop.until(laptop.audit.has, "docker-restarted", within=10)

    restarted = next(record for record in laptop.audit.records() if record["event"] == "docker-restarted")
    names = laptop.docker.cli("ps", "--all", "--format", "{{.Names}}").stdout
    stays = [web] if laptop.suite == "bookworm" else [web, job]
    assert unharmed(stays), names
    assert restarted["facts"]["containers_kept"] == len(stays)
    assert restarted["facts"]["containers_lost"] == []
    assert restarted["facts"]["containers_stopped"] == ([] if job in stays else [job.name])
    assert ("container-2" in names) is (job in stays)
    assert "containers-lost" not in str(laptop.status()["conditions"])


DIES = """[Service]
ExecStartPost=/bin/sh -c 'if cat /proc/$MAINPID/environ /etc/docker/daemon.json | grep -q :8888; then sleep 1.5; kill -9 $MAINPID; fi >/dev/null 2>&1 &'
RestartSec=500ms
"""


@pytest.mark.parametrize(("method", "restarts"), [("systemd-drop-in", "always"), ("daemon-json", "no")])
@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_docker_that_dies_of_its_new_settings_in_the_minute_after_is_rolled_back(
    laptop: Laptop, method: str, restarts: str
) -> None:
    """It is up, reports what was written, and dies 1.5 s later, as often as systemd starts it."""
    laptop.docker.drop_in(f"{DIES}Restart={restarts}\n")
    office_policy(laptop, docker=f'[docker]\nmethod = "{method}"\n')
    laptop.plug("home")
    started(laptop)
    laptop.until(lambda: laptop.status().get("state") == "steady", within=20)

    laptop.plug("office")

    laptop.until(laptop.audit.has, "rolled-back", within=40)
    laptop.until(laptop.docker.reports, https="", within=20)
    because = next(record["facts"]["because"] for record in laptop.audit.records() if record["event"] == "rolled-back")
    assert "Docker came up with the new settings, but within 60 s it was down or had crashed 2 times" in because
    laptop.until(lambda: "quarantined" in str(laptop.status()["conditions"]), within=10)
    assert laptop.docker.is_active()
    assert laptop.docker.show("ActiveState", "docker.socket") == "active"
    # The start after the second crash is seen, too, unless the roll-back comes first.
    assert starts_by_others(laptop) <= (2 if restarts == "always" else 0)
    assert nothing_under_way(laptop)


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_docker_that_a_person_restarts_with_what_waited_comes_up_again(laptop: Laptop) -> None:
    laptop.docker.drop_in(
        "[Service]\nExecStartPre=/bin/sh -c 'case \"$HTTPS_PROXY\" in *8888*) exit 1;; esac'\nRestartSec=100ms\n"
    )
    office_policy(laptop, docker='[docker]\nrestart = "never"\n')
    started(laptop)
    laptop.plug("office")
    laptop.until(laptop.audit.has, "restart-deferred", within=20)

    laptop.run("sh", "-c", "systemctl restart docker.service || true", timeout=60)

    laptop.until(laptop.audit.has, "rolled-back", within=30)
    laptop.until(laptop.docker.reports, https="", within=20)
    assert laptop.docker.show("ActiveState", "docker.socket") == "active"


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_without_a_service_it_is_the_next_apply_that_rolls_back(laptop: Laptop) -> None:
    laptop.docker.drop_in(f"{DIES}Restart=no\n")
    office_policy(laptop)
    laptop.plug("office")
    assert "no service is running to watch Docker" in applied(laptop)
    laptop.until(lambda: laptop.docker.show("ActiveState") == "failed", within=20)

    ran = laptop.agent("apply")

    assert "it is skipped for 10 min" in ran.stdout  # and here nothing else works
    assert "nobody watches" not in ran.stdout
    assert laptop.docker.is_active()
    assert laptop.docker.show("ActiveState", "docker.socket") == "active"
    assert laptop.docker.reports(https="")
    assert "rolled-back" in laptop.audit.events()


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_one_crash_after_a_restart_is_told_and_a_stop_by_a_person_is_let_be(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=20)
    laptop.until(laptop.audit.has, "docker-restarted")

    laptop.run("sh", "-euc", "kill -9 $(systemctl show --value --property MainPID docker.service)")

    laptop.until(lambda: starts_by_others(laptop) > 0, within=20)
    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)
    laptop.run("systemctl", "stop", "docker.service", "docker.socket", timeout=60)
    # Nothing is on trial any more; whoever starts it with what was written begins another minute.
    laptop.until(lambda: '"stage":"writing"' in laptop.read(JOURNAL), within=10)
    assert laptop.docker.show("ActiveState") == "inactive"
    assert "rolled-back" not in laptop.audit.events()
