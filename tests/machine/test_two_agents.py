"""One config.json and two agents: the system's keeps `default`, the user's own the entry of that user's Docker."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.waiting import Seen

from .lab.docker import LOCAL_IMAGE
from .lab.laptop import Laptop
from .lab.places import REGISTRY
from .test_apply import PLACES, applied, office_policy, through
from .test_clients import ENOUGH, LOGINS
from .test_own_docker import Own, installed, own_instance
from .test_service import started

SYSTEMS = ("unix:///var/run/docker.sock", "unix:///run/docker.sock")
CONFIG_JSON = "/home/alice/.docker/config.json"


def both_agents(laptop: Laptop) -> Own:
    """With one and the same proxy, and an exclusion that only alice's policy has."""
    laptop.plug("home")
    office_policy(laptop)
    own = own_instance(laptop)
    own.policy(f'{through(laptop.office.tinyproxy)}no_proxy = ["own.example"]\n{PLACES}')
    logged_in = json.dumps({"auths": {}, "currentContext": "rootless"})
    laptop.write(CONFIG_JSON, logged_in, 0o600, owner="alice")
    started(laptop)
    installed(own)
    laptop.until(own.is_steady, "elsewhere on earth", within=30)
    return own


def entries(laptop: Laptop) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(laptop.read(CONFIG_JSON)).get("proxies", {})
    return found


def each_has_its_own(laptop: Laptop, own: Own, proxy: str) -> Seen:
    """`proxy`: '' for none."""
    found = entries(laptop)
    default, mine = (found.get(name, {}) for name in ("default", f"unix://{own.docker.socket}"))
    is_right = [one.get("httpProxy", "") for one in (default, mine)] == [proxy, proxy]
    are_apart = not proxy or ["own.example" in one["noProxy"] for one in (default, mine) if one] == [False, True]
    return Seen(is_right and are_apart, found)


def given(own: Own, laptop: Laptop, *docker: str) -> str:
    """What a container of alice's gets."""
    run = (*docker, "run", "--rm", LOCAL_IMAGE)
    return laptop.in_a_container("echo $http_proxy", *run, user=own.docker.owner).stdout.strip()


def failures(laptop: Laptop, *owners: Own) -> list[str]:
    found = [*laptop.audit.events(), *(record["event"] for own in owners for record in own.records())]
    return [event for event in found if event in ("gave-up", "target-failed", "drift-corrected")]


def test_each_keeps_its_own_while_alice_logs_in_on_the_move(laptop: Laptop) -> None:
    own, proxy = both_agents(laptop), laptop.office.tinyproxy.url
    said: list[str] = []

    def logs_in() -> None:
        said.append(laptop.run("python3", "-c", LOGINS, user="alice", timeout=300).stdout)

    logging_in = threading.Thread(target=logs_in)
    logging_in.start()
    try:
        for place, reached in (("office", proxy), ("home", ""), ("office", proxy)):
            laptop.plug(place)
            laptop.until(each_has_its_own, laptop, own, reached, within=90)
    finally:
        laptop.run("touch", ENOUGH)
        logging_in.join(200)
        assert not logging_in.is_alive()

    lost, logins = json.loads(said[0])
    assert lost == 0
    assert logins > 10
    laptop.until(each_has_its_own, laptop, own, proxy, within=30)
    laptop.until(own.docker.reports, https=proxy, within=60)
    own.docker.cli("login", "--username", "alice", "--password", "x", REGISTRY, check=False)
    laptop.until(each_has_its_own, laptop, own, proxy, within=30)
    laptop.until(own.is_steady, "office", within=60)
    before = laptop.run("stat", "--format=%i %Z", CONFIG_JSON).stdout
    assert own.agent("apply").ok
    applied(laptop)
    assert laptop.run("stat", "--format=%i %Z", CONFIG_JSON).stdout == before
    assert failures(laptop, own) == []


@pytest.mark.trixie
def test_what_one_of_them_takes_away_the_other_does_not_give(laptop: Laptop) -> None:
    own, proxy = both_agents(laptop), laptop.office.tinyproxy.url
    laptop.plug("office")
    laptop.until(each_has_its_own, laptop, own, proxy, within=90)
    laptop.until(own.is_steady, "office", within=60)
    own.docker.import_image()
    mine = f"unix://{own.docker.socket}"

    assert own.agent("pin", "direct").ok

    laptop.until(lambda: entries(laptop).get(mine) == {}, within=30)
    assert entries(laptop)["default"]["httpProxy"] == proxy
    assert given(own, laptop, "docker", "--context", "rootless") == ""

    assert own.agent("unpin").ok
    laptop.until(each_has_its_own, laptop, own, proxy, within=30)
    assert given(own, laptop, "docker", "--context", "rootless") == proxy

    laptop.plug("home")
    laptop.until(lambda: entries(laptop) == {}, within=90)
    laptop.plug("office")
    laptop.until(each_has_its_own, laptop, own, proxy, within=90)

    ran = own.agent("uninstall")

    assert ran.ok, ran
    assert list(entries(laptop)) == ["default"]
    assert failures(laptop, own) == []


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)  # the rootlesskit of bookworm has no such switch
def test_a_proxy_on_loopback_is_given_to_each_dockers_containers_as_they_reach_it(laptop: Laptop) -> None:
    laptop.plug("office")
    laptop.start_proxy(7890, "0.0.0.0", upstream=laptop.office.tinyproxy)  # on the bridge of the system's Docker, too
    policy = f'[upstream.office]\nurl = "http://127.0.0.1:7890"\n{PLACES}'
    own = own_instance(laptop)
    own.policy(policy)
    laptop.policy(policy)
    own.docker.drop_in(
        "[Service]\nEnvironment=DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=false\n", "40-loopback.conf"
    )

    started(laptop)
    installed(own)

    laptop.until(own.docker.reports, https="http://10.0.2.2:7890", within=60)
    laptop.until(laptop.docker.reports, https="http://127.0.0.1:7890", within=60)
    laptop.until(own.is_steady, "office", within=60)
    systems, mine = "http://172.17.0.1:7890", "http://10.0.2.2:7890"
    given_to = {f"unix://{own.docker.socket}": mine, **dict.fromkeys(SYSTEMS, systems)}
    laptop.until(
        lambda: Seen(
            {name: one.get("httpProxy") for name, one in entries(laptop).items()} == given_to, entries(laptop)
        ),
        within=30,
    )
    own.docker.import_image()
    run = ("docker", "--context", "rootless", "run", "--rm", LOCAL_IMAGE)
    ran = laptop.in_a_container("wget -q -T 5 -O - http://10.99.0.10/hello", *run, user="alice")
    assert ran.stdout == "hello from the internet\n"
