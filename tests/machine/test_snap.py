"""The snap of Docker is served by a policy that names no unit."""

from __future__ import annotations

import json

import pytest

from .lab.laptop import Laptop
from .test_apply import office_policy
from .test_roam import is_there
from .test_service import started

ON_TRIXIE = pytest.mark.parametrize("laptop", ["trixie"], indirect=True)


@ON_TRIXIE
def test_a_policy_that_names_no_unit_serves_the_snap_from_place_to_place(laptop: Laptop) -> None:
    snap = laptop.snap()
    laptop.run("sh", "-euc", "cd; mkdir -p snap/docker/2904/.docker; ln -s 2904 snap/docker/current", user="alice")
    laptop.run("sh", "-euc", "cd; echo '{}' >snap/docker/current/.docker/config.json", user="alice")
    office_policy(laptop)
    proxy = laptop.office.tinyproxy.url

    started(laptop)
    laptop.plug("office")
    laptop.until(snap.reports, https=proxy, within=60)
    laptop.until(is_there, laptop, "office", "office", within=20)

    assert snap.pull().ok
    assert laptop.exists(f"{snap.drop_ins}/zz-docker-proxy-agent.conf")
    assert not laptop.exists(f"{laptop.docker.drop_ins}/zz-docker-proxy-agent.conf")
    config = json.loads(laptop.read("/home/alice/snap/docker/2904/.docker/config.json"))
    assert config["proxies"]["default"]["httpsProxy"] == proxy
    assert json.loads(laptop.read(snap.daemon_json)) == {"log-level": "error"}

    laptop.plug("home")
    laptop.until(snap.reports, https="", within=60)
    laptop.until(snap.pulls, within=20)


@ON_TRIXIE
def test_its_containers_cannot_be_kept_so_the_restart_waits_for_them(laptop: Laptop) -> None:
    snap = laptop.snap()
    web = snap.start_container()
    office_policy(laptop)
    start = snap.invocation_id()

    laptop.plug("office")
    ran = laptop.agent("apply")

    assert "KillMode=control-group, which stops them with it" in ran.stdout, ran
    assert web.pid() == web.first_pid
    assert snap.invocation_id() == start


@ON_TRIXIE
def test_its_daemon_json_is_edited_under_the_name_that_stays_over_revisions(laptop: Laptop) -> None:
    snap = laptop.snap()
    office_policy(laptop, docker='[docker]\nmethod = "daemon-json"\n')

    laptop.plug("office")
    ran = laptop.agent("apply")

    assert ran.ok, ran
    assert snap.daemon_json in ran.stdout
    assert snap.reports(https=laptop.office.tinyproxy.url)
    assert "proxies" in json.loads(laptop.read("/var/snap/docker/2904/config/daemon.json"))
    assert laptop.agent("restore").ok
    assert laptop.read(snap.daemon_json) == '{"log-level": "error"}\n'


@ON_TRIXIE
def test_restore_looks_at_the_snap_that_was_left_for_docker_too(laptop: Laptop) -> None:
    snap, docker = laptop.snap(), laptop.docker
    office_policy(laptop)
    laptop.plug("office")
    assert laptop.agent("apply").ok
    assert snap.reports(https=laptop.office.tinyproxy.url)
    docker.systemctl("start", "containerd.service", "docker.socket", "docker.service")  # it takes over the socket
    # The snap is not left in the minute after its restart, nor restarted for what the other one says.
    first = snap.invocation_id()
    assert f"{snap.service}: another dockerd listens" in laptop.agent("apply", "--now").stdout
    laptop.run("sed", "-i", 's/"until":[0-9.]*/"until":0/', "/var/lib/docker-proxy-agent/journal.json")
    laptop.agent("apply", "--now")
    applied = laptop.agent("apply", "--now")
    assert applied.ok, applied.stdout
    assert docker.reports(https=laptop.office.tinyproxy.url)

    ran = laptop.agent("restore", "--now")

    assert ran.ok, ran
    assert not laptop.exists(f"{snap.drop_ins}/zz-docker-proxy-agent.conf")
    assert not laptop.exists(f"{docker.drop_ins}/zz-docker-proxy-agent.conf")
    assert docker.reports(https="")
    # Nobody can ask what the one without a socket keeps running: it is left to the person, by its name.
    assert snap.invocation_id() == first
    (said,) = [line for line in ran.stdout.split("\n") if "still runs with the settings that the agent gave it" in line]
    assert snap.service in said
    assert "another dockerd listens" in said
    assert f"systemctl restart {snap.service}" in ran.stdout
    started = [record["facts"] for record in laptop.audit.records() if record["event"] == "docker-started"]
    by_agent = [facts["unit"] for facts in started if facts["cause"] == "agent"]
    assert by_agent == [snap.service, "docker.service", "docker.service"]
