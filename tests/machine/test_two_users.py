"""Two users with a Docker of their own each, beside the system's: three agents, and none of them touches another's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.waiting import Seen

from .lab.laptop import Laptop
from .test_apply import office_policy
from .test_own_docker import Own, installed, own_instance
from .test_service import NAME, started
from .test_two_agents import failures


def entries(laptop: Laptop, own: Own) -> dict[str, str]:
    """The proxy of each engine that the user's config.json names one for."""
    read: dict[str, Any] = json.loads(laptop.read(f"{own.home}/.docker/config.json"))
    return {engine: entry.get("httpProxy", "") for engine, entry in read.get("proxies", {}).items()}


def are(laptop: Laptop, own: Own, wanted: dict[str, str]) -> Seen:
    found = entries(laptop, own)
    return Seen(found == wanted, found)


def socket(own: Own) -> str:
    return f"unix://{own.docker.socket}"


def mentions(records: list[dict[str, Any]], *others: Own) -> list[dict[str, Any]]:
    """What of these speaks of something of the others'."""
    theirs = [text for own in others for text in (f"{own.home}/", f"/run/user/{own.docker.uid}/")]
    return [one for one in records if any(text in json.dumps(one) for text in theirs)]


@pytest.mark.trixie
def test_home_office_home_each_user_has_what_is_the_users_own(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy.url
    office_policy(laptop)
    laptop.plug("home")
    alice, bob = users = own_instance(laptop, "alice"), own_instance(laptop, "bob")
    for own in users:
        laptop.write(f"{own.home}/.docker/config.json", '{"auths": {}}', 0o600, owner=own.docker.owner)
    started(laptop)
    for own in users:
        installed(own)
    for own in users:
        laptop.until(own.is_steady, "elsewhere on earth", within=30)

    for place, reached in (("office", proxy), ("home", "")):
        laptop.plug(place)
        for docker in (laptop.docker, alice.docker, bob.docker):
            laptop.until(docker.reports, http=reached, https=reached, within=90)
            laptop.until(docker.pulls, within=20)
        for own in users:
            wanted = {"default": proxy, socket(own): proxy} if reached else {}
            laptop.until(are, laptop, own, wanted, within=30)

    for own, other in ((alice, bob), (bob, alice)):
        laptop.until(own.is_steady, "elsewhere on earth", within=30)
        assert [one["event"] for one in own.records()].count("docker-restarted") == 2
        assert mentions(own.records(), own)
        assert mentions(own.records(), other) == []
        assert own.docker.show("NRestarts", NAME) == "0"
        owners = laptop.run("find", own.home, "-xdev", "-user", other.docker.owner).stdout
        assert owners == ""
    assert failures(laptop, *users) == []


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)  # the agents are the same there
def test_what_one_user_asks_for_the_others_docker_knows_nothing_of(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy.url
    laptop.plug("office")
    alice, bob = users = own_instance(laptop, "alice"), own_instance(laptop, "bob")
    for own in users:
        installed(own)
    for own in users:
        laptop.until(own.docker.reports, https=proxy, within=60)
        laptop.until(own.is_steady, "office", within=60)
    before = alice.docker.invocation_id(), entries(laptop, alice), alice.pid(), len(alice.records())

    assert bob.agent("pin", "direct").ok
    assert bob.agent("apply", "--now").ok
    laptop.until(bob.docker.reports, https="", within=60)
    laptop.until(lambda: not entries(laptop, bob).get(socket(bob)), within=30)
    ran = bob.agent("uninstall")

    assert ran.ok, ran
    assert entries(laptop, bob) == {}
    assert (alice.docker.invocation_id(), entries(laptop, alice), alice.pid(), len(alice.records())) == before
    assert before[1] == {socket(alice): proxy}
    assert alice.docker.pull().ok
