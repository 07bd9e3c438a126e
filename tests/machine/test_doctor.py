"""`doctor` on a real systemd and a real Docker: what it names is there, and gone once what it says was done."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from .lab.laptop import Laptop
from .test_apply import DAEMON_JSON, office_policy

CONF = "/etc/systemd/system/docker.service.d/http-proxy.conf"
DEFAULT = "/etc/default/docker"
AGENT = "docker-proxy-agent.service"


def found(laptop: Laptop) -> dict[str, dict[str, Any]]:
    ran = laptop.agent("doctor", "--json")
    these = json.loads(ran.stdout)
    assert ran.code == (1 if these["broken"] else 0), ran
    return {one["code"]: one for one in these["findings"]}


def does(laptop: Laptop, one: dict[str, Any]) -> None:
    laptop.run(*shlex.split(one["command"].removeprefix("sudo ")))


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_unit_that_others_changed(laptop: Laptop) -> None:
    laptop.plug("office")
    office_policy(laptop)
    laptop.write(DEFAULT, "export HTTPS_PROXY=http://deaf.test:1\n")
    laptop.write(DAEMON_JSON, '{"https-proxy": "http://beside.test:1"}\n')
    laptop.write(
        CONF,
        """\
[Service]
Environment=HTTP_PROXY=http://old.test:1 HTTPS_PROXY=http://old.test:1 ALL_PROXY=socks5://old.test:2
""",
    )
    laptop.write("/home/alice/.docker/config.json", '{"auths": {"proxy.corp.example:5000": {}}}', owner="alice")
    started = laptop.docker.invocation_id()

    seen = found(laptop)

    assert seen["needs-daemon-reload"]["where"] == "docker.service"
    assert seen["agent-down"]["where"] == AGENT
    assert "foreign-setting" not in seen  # systemd has not read it yet

    does(laptop, seen["needs-daemon-reload"])
    seen = found(laptop)

    assert "needs-daemon-reload" not in seen
    assert seen["foreign-setting"]["where"] == CONF
    assert seen["file-not-read"]["where"] == DEFAULT
    assert seen["top-level-proxy"]["where"] == DAEMON_JSON
    assert laptop.docker.invocation_id() == started

    laptop.docker.restart()

    given = laptop.docker.environment()
    assert given["HTTP_PROXY"] == "http://old.test:1"
    assert given["HTTPS_PROXY"] == "http://old.test:1"
    assert laptop.docker.reports(http="http://old.test:1", https="http://old.test:1")

    seen = found(laptop)

    assert seen["all-proxy"]["what"] == "dockerd was started with ALL_PROXY"
    assert seen["registry-by-proxy"]["what"].startswith(
        "alice logged in to this registry, which is at 10.10.0.2, a private address,"
    )

    laptop.agent("doctor", "--bundle", "/root/bundle.json")

    bundle = json.loads(laptop.read("/root/bundle.json"))
    assert bundle["unseen"] == []
    assert bundle["units"]["docker.service"]["ActiveState"] == "active"
    assert bundle["settings"]["effective"]["http"] == "http://old.test:1"
    assert not re.search(r"10\.10\.0\.[0-9]", json.dumps(bundle))
