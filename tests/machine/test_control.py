"""A person and the running agent: pin, pause, reload, apply, over the real socket of the installed service."""

from __future__ import annotations

import json
import re

import pytest

from .lab.laptop import Laptop
from .test_apply import office_policy
from .test_service import NAME, started


@pytest.fixture
def at_the_office(laptop: Laptop) -> Laptop:
    office_policy(laptop)
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=15)
    laptop.until(lambda: laptop.status()["state"] == "steady", within=15)
    return laptop


@pytest.mark.trixie
def test_a_pin_overrules_the_choice_until_it_is_taken_back(at_the_office: Laptop) -> None:
    laptop = at_the_office

    pinned = laptop.agent("pin", "direct", "--for", "2h")
    assert pinned.ok, pinned
    assert re.match(r"pinned to direct until \d\d:\d\d\n", pinned.stdout), pinned
    laptop.until(laptop.docker.reports, https="", within=60)
    assert "pinned" in {condition["code"].removesuffix("-but-failing") for condition in laptop.status()["conditions"]}
    laptop.run("systemctl", "restart", NAME, timeout=30)
    assert laptop.status()["upstream"]["name"] == "direct"

    unpinned = laptop.agent("unpin")
    assert unpinned.stdout.startswith("no longer pinned to direct"), unpinned
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=60)
    events = laptop.audit.events()
    assert events.index("pinned") < events.index("unpinned")


@pytest.mark.trixie
def test_paused_it_keeps_its_hands_off(at_the_office: Laptop) -> None:
    laptop = at_the_office
    before = laptop.docker.invocation_id()

    assert laptop.agent("pause").ok
    laptop.plug("home")
    laptop.until(lambda: laptop.status()["network"]["name"] != "office", within=15)
    laptop.until(lambda: laptop.status()["state"] == "idle", within=15)
    assert laptop.docker.invocation_id() == before
    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)

    assert laptop.agent("resume").ok
    laptop.until(laptop.docker.reports, https="", within=60)


@pytest.mark.trixie
def test_apply_and_reload_are_answered_when_the_pass_has_ended(at_the_office: Laptop) -> None:
    laptop = at_the_office

    applied = laptop.agent("apply", "--json")
    assert applied.ok, applied
    assert json.loads(applied.stdout)["upstream"]["name"] == "office"

    laptop.write("/etc/docker-proxy-agent/config.toml", "use = 1\n")
    refused = laptop.agent("reload")
    assert refused.code == 1
    assert "config.toml" in refused.stderr
    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)


@pytest.mark.trixie
def test_only_root_is_answered(at_the_office: Laptop) -> None:
    laptop = at_the_office

    asked = laptop.agent("pause", user="alice")

    assert asked.code == 1
    assert asked.stderr.strip().endswith("Try: sudo docker-proxy-agent pause")
    assert laptop.status()["state"] == "steady"
    mode = laptop.run("stat", "-c", "%a %U", "/run/docker-proxy-agent/control.sock").stdout.split()
    assert mode == ["600", "root"]


def test_a_container_that_runs_is_spared_until_apply_now(at_the_office: Laptop) -> None:
    laptop = at_the_office
    office_policy(laptop, docker='[docker]\nrestart = "when-idle"\n')
    laptop.docker.start_container()
    laptop.plug("home")
    laptop.until(lambda: laptop.status()["state"] == "deferred", within=20)

    ran = laptop.agent("apply", timeout=90)
    assert ran.ok, ran
    assert "1 container runs" in ran.stdout

    forced = laptop.agent("apply", "--now", timeout=90)
    assert forced.ok, forced
    assert laptop.docker.reports(https="")
