"""A daemon.json that somebody edited while Docker runs: Docker is not restarted onto what it would not start with."""

from __future__ import annotations

import pytest

from tests.waiting import Seen

from .lab.laptop import Laptop
from .test_apply import DAEMON_JSON, DROP_IN, ENVIRONMENT, applied, office_policy
from .test_service import started

REFUSED = [
    (
        '{"hosts": ["unix:///var/run/docker.sock"]}\n',
        "the following directives are specified both as a flag and in the configuration file: hosts",
    ),
    (
        '{"registry-mirrors": ["ftp://mirror.example.net"]}\n',
        'invalid mirror: unsupported scheme "ftp" in "ftp://mirror.example.net"',
    ),
]


def says(laptop: Laptop, code: str, words: str) -> Seen:
    conditions = laptop.status().get("conditions", [])
    return Seen(any(one["code"] == code and words in one["text"] for one in conditions), conditions)


def is_deferred(laptop: Laptop, words: str) -> Seen:
    docker = laptop.status().get("docker") or {}
    return Seen(words in (docker.get("deferred") or ""), docker)


def test_docker_is_not_restarted_onto_a_file_that_it_would_not_start_with(laptop: Laptop) -> None:
    office_policy(laptop)
    web = laptop.docker.start_container("--restart=no")
    before = laptop.docker.invocation_id()
    laptop.write(DAEMON_JSON, '{"log-level": "info"}\n')  # nobody knows, and nobody has seen a good one
    started(laptop)

    laptop.plug("office")
    laptop.until(is_deferred, laptop, "no version is known that Docker starts with", within=30)
    for text, words in REFUSED:
        laptop.write(DAEMON_JSON, text)
        laptop.until(says, laptop, "foreign-config-broken", words, within=30)
        assert words in laptop.agent("status").stdout
        assert words in laptop.agent("plan").stdout
        assert laptop.read(DAEMON_JSON) == text

    assert laptop.docker.invocation_id() == before
    assert laptop.docker.is_active()
    assert laptop.docker.show("ActiveState", "docker.socket") == "active"
    assert web.pid() == web.first_pid

    laptop.run("rm", DAEMON_JSON)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=40)
    assert web.pid() == web.first_pid
    assert "rolled-back" not in laptop.audit.events()


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_nothing_is_written_into_a_file_that_dockerd_refuses(laptop: Laptop) -> None:
    theirs = '{"proxies": {"default": {"httpProxy": "http://proxy.example.net:3128"}}}\n'
    office_policy(laptop, docker='[docker]\nmethod = "daemon-json"\n')
    laptop.plug("office")
    laptop.write(DAEMON_JSON, theirs)
    before = laptop.docker.invocation_id()

    ran = laptop.agent("apply")

    assert ran.code == 1, ran
    assert "the following directives don't match any configuration option: default" in ran.stdout
    assert laptop.read(DAEMON_JSON) == theirs
    assert not laptop.exists(DROP_IN)
    assert not laptop.exists(ENVIRONMENT)
    assert laptop.docker.invocation_id() == before

    laptop.run("rm", DAEMON_JSON)
    applied(laptop)
    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_docker_that_starts_with_nothing_is_said_first_and_the_choice_is_not_blamed(laptop: Laptop) -> None:
    laptop.docker.drop_in("[Service]\nExecStartPre=/usr/bin/test ! -e /run/no-docker\nRestartSec=100ms\n")
    office_policy(laptop)
    laptop.plug("home")
    started(laptop)
    laptop.run("touch", "/run/no-docker")

    laptop.plug("office")
    laptop.until(lambda: laptop.audit.has("rolled-back"), within=60)
    laptop.until(says, laptop, "engine-down", "Docker is down", within=10)
    assert laptop.agent("status").stdout.startswith("FAILED         Docker is down: docker.service does not start")
    assert laptop.status()["state"] == "failed"
    assert not says(laptop, "quarantined", "")

    laptop.run("rm", "/run/no-docker")
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=120)
    laptop.until(lambda: laptop.status()["state"] == "steady", within=30)


def test_a_docker_that_its_own_file_keeps_down_is_said_with_the_key(laptop: Laptop) -> None:
    text, words = REFUSED[0]
    office_policy(laptop)
    laptop.plug("home")
    started(laptop)
    laptop.write(DAEMON_JSON, text)
    laptop.run("systemctl", "restart", "docker.service", check=False, timeout=60)

    laptop.until(says, laptop, "engine-down", words, within=60)

    assert laptop.agent("status").stdout.startswith(
        "FAILED         Docker is down: docker.service does not start with "
    )
    assert laptop.status()["state"] == "failed"
    ran = laptop.agent("apply")
    assert ran.code == 1
    assert f"does not start with {DAEMON_JSON}: {words}" in " ".join(ran.stdout.split())
    assert laptop.read(DAEMON_JSON) == text

    laptop.run("rm", DAEMON_JSON)
    laptop.run("systemctl", "reset-failed", "docker.service", "docker.socket")
    laptop.run("systemctl", "start", "docker.service")
    laptop.until(lambda: laptop.status()["state"] == "steady", within=30)
