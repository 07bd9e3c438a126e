"""`stale` as a command, on a dockerd that has things of another place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pure.test_make_again import COMPOSE, IMAGE, NUMBER, inspected

from . import quick_engine
from .installation import Installation, is_offline, proxy

NEW = "http://proxy.office.test:3128"
PASSWORD = "tr0ub4dor"
OLD = f"http://alice:{PASSWORD}@hotel.test:3128"
BY_THE_CLIENT = [f"{name}={OLD}" for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")]
pytestmark = pytest.mark.skipif(is_offline(), reason="a pass does nothing without a network")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Installation]:
    with proxy() as port, Installation(tmp_path, port) as installed:
        yield installed


def has(machine: Installation, *containers: dict[str, Any], image: dict[str, Any] | None = None) -> None:
    """They lie in its Docker."""
    named = [{**one, "Id": f"{number:064x}"} for number, one in enumerate(containers)]
    documents: dict[str, Any] = {"/containers/json": [{"Id": one["Id"]} for one in named]}
    documents |= {f"/containers/{one['Id']}/json": one for one in named}
    documents |= {"/images/json": [{"Id": NUMBER}], f"/images/{NUMBER.replace(':', '%3A')}/json": image or IMAGE}
    (machine.root / "run/documents.json").write_text(json.dumps(documents))


def test_what_is_stale_is_read_from_top_to_bottom(machine: Installation) -> None:
    resolv = machine.root / "hotel.resolv.conf"
    resolv.write_text("nameserver 10.20.0.1\n")
    (machine.root / "etc/resolv.conf").write_text("nameserver 10.10.0.1\n")
    app = {**IMAGE, "RepoTags": ["corp/app:1"], "Config": {"Env": ["HTTP_PROXY=http://old.test:1"]}}
    web = inspected(config={"Env": [*BY_THE_CLIENT, "KEY=7"], "Hostname": "", "Image": "corp/app:1"}, SizeRw=1_234_567)
    db = inspected("shop-db-1", config={"Labels": COMPOSE}, ResolvConfPath="/hotel.resolv.conf")
    has(machine, web, db, image=app)

    ran = machine.ran("stale")

    docker = f"docker --host unix://{machine.root}/run/docker.sock"
    assert ran.returncode == 2, ran
    assert f"a new container gets http://•••@{NEW.removeprefix('http://')}\n" in ran.stdout
    assert PASSWORD not in ran.stdout
    shown = re.sub(r"(?m)^    docker .* create .*$", "    CREATE", ran.stdout).replace(docker, "docker")
    assert shown.partition("\n")[2] == (
        "\n"
        "containers and builders:\n"
        "  service shop/web (nginx:1.27) has no proxy\n"
        "  lost         what it wrote outside its volumes\n"
        "    docker compose --project-name shop --project-directory '/home/al/my shop'"
        " --file '/home/al/my shop/compose.yaml' --file '/home/al/my shop/dev.yaml'"
        " up --detach --no-deps --force-recreate web\n"
        "  web (corp/app:1) has http://•••@hotel.test:3128\n"
        "  lost         1.2 MB that it wrote outside its volumes\n"
        "    CREATE\n"
        "\n"
        "images whose ENV holds a proxy:\n"
        "  corp/app:1: http http://old.test:1\n"
        "    printf 'FROM %s\\nENV HTTP_PROXY=\\n' corp/app:1 | docker build --tag corp/app:1 -\n"
        "\n"
        "DNS of another network:\n"
        "  shop-db-1 asks 10.20.0.1\n"
        "    docker restart shop-db-1\n"
    )


def test_what_is_stale_as_json(machine: Installation) -> None:
    has(machine, inspected(config={"Cmd": ["serve", f"--upstream={OLD}"]}))

    ran = machine.ran("--json", "stale")

    (one,) = json.loads(ran.stdout)["stale"]
    assert (one["kind"], one["name"], one["carries"]) == ("container", "web", {"proxy": "direct"})
    assert not one["is_whole"]
    assert PASSWORD not in ran.stdout


@pytest.mark.parametrize(
    ("command", "why"),
    [
        pytest.param(["serve", f"--upstream={OLD}"], "what may be a password is left out", id="password"),
        pytest.param(["sh", "-c", "echo a\necho b"], "something in it is not one line of text", id="lines"),
        pytest.param(["echo", *(["x" * 90] * 30)], "it is too long", id="long"),
    ],
)
def test_a_command_that_is_not_whole_is_nothing_to_paste(machine: Installation, command: list[str], why: str) -> None:
    has(machine, inspected(config={"Cmd": command}))

    ran = machine.ran("stale")

    assert f"  not whole    {why}: docker inspect shows it." in ran.stdout
    assert [line for line in ran.stdout.split("\n") if " rm " in line and not line.startswith("    # docker")] == []


def test_where_nothing_is_stale_that_is_said(machine: Installation) -> None:
    has(machine)

    ran = machine.ran("stale")

    assert ran.returncode == 0
    assert ran.stdout.endswith("\nnothing was created with other settings\n")


def test_a_docker_that_is_down_is_not_asked(machine: Installation) -> None:
    with quick_engine.alone(machine.root):
        quick_engine.stop(machine.root)

    ran = machine.ran("stale")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "is not running" in ran.stderr


def test_a_clients_file_that_nobody_keeps_gives_a_container_nothing(machine: Installation) -> None:
    policy = machine.paths.policy.read_text().replace('users = ["alice"]', "users = []")
    machine.write(machine.paths.policy, policy, 0o644)
    has(machine, inspected())

    assert machine.ran("stale").returncode == 0
