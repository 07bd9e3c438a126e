"""What was made in another place, on a real Docker: it is listed, and gone from the list once its command was run."""

from __future__ import annotations

import json
from typing import Any

from tests.waiting import Seen

from .lab.docker import LOCAL_IMAGE
from .lab.laptop import Laptop
from .test_apply import office_policy
from .test_service import is_at, started

SECRET = "hunter2 and $HOME's"
OF_COMPOSE = {
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "db",
    "com.docker.compose.project.working_dir": "/srv/shop",
    "com.docker.compose.project.config_files": "/srv/shop/compose.yaml",
    "com.docker.compose.version": "2.26.1",
}
FOREVER = ("sleep", "1000000")


def listed(laptop: Laptop) -> dict[str, dict[str, Any]]:
    """By kind and name."""
    ran = laptop.agent("stale", "--json")
    found = json.loads(ran.stdout)
    assert ran.code == (2 if found["stale"] else 0), ran
    return {f"{one['kind']} {one['name']}": one for one in found["stale"]}


def says(laptop: Laptop, *texts: str) -> Seen:
    """What the status says of containers."""
    said = [one["text"] for one in laptop.status().get("conditions", ()) if one["code"] == "containers-stale"]
    return Seen(said == list(texts), said)


def made_at_home(laptop: Laptop) -> None:
    docker = laptop.docker.cli
    laptop.docker.import_image()
    docker("network", "create", "shop")
    web = (
        "--name",
        "web",
        "--env",
        f"SECRET={SECRET}",
        "--env",
        "PEM=begin\nOUTSIDE\nend==",
        "--publish",
        "127.0.0.1:8080:80",
        "--network",
        "shop",
    )
    docker("run", "--detach", "--init", *web, "--volume", "/data", "--hostname", "www", LOCAL_IMAGE, *FOREVER)
    docker("exec", "web", "sh", "-c", "echo kept >/data/file; echo lost >/file")
    docker("create", "--name", "job", LOCAL_IMAGE, "true")
    labels = [word for name, value in OF_COMPOSE.items() for word in ("--label", f"{name}={value}")]
    docker("run", "--detach", "--init", "--name", "shop-db-1", *labels, LOCAL_IMAGE, *FOREVER)
    emptied = ("--env", "HTTP_PROXY=", "--env", "http_proxy=", "--env", "HTTPS_PROXY=", "--env", "https_proxy=")
    docker("run", "--detach", "--init", "--name", "meant", *emptied, LOCAL_IMAGE, *FOREVER)
    dockerfile = f"FROM {LOCAL_IMAGE}\nENV HTTP_PROXY=http://hotel:3128\n"
    laptop.run("docker", "build", "--tag", "app:1", "-", input=dockerfile, timeout=120)


def make_a_builder(laptop: Laptop) -> None:
    """As buildx leaves one: its own image is not to be had here."""
    docker = laptop.docker.cli
    docker(
        "buildx", "create", "--name", "multi", "--driver", "docker-container", "--driver-opt", f"image={LOCAL_IMAGE}"
    )
    docker("run", "--detach", "--init", "--name", "buildx_buildkit_multi0", LOCAL_IMAGE, *FOREVER)


def test_what_was_made_at_home_is_listed_at_the_office_until_its_command_was_run(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("home")
    started(laptop)
    laptop.until(is_at, laptop, "elsewhere on earth", within=20)
    has_buildx = laptop.docker.cli("buildx", "version", check=False).ok
    made_at_home(laptop)
    if has_buildx:
        make_a_builder(laptop)

    assert listed(laptop).keys() == {"image app:1"}

    laptop.plug("office")

    count = 2 + has_buildx
    laptop.until(says, laptop, f"{count} containers still have proxy settings that a new one would not get", within=90)
    # Docker 20.10 removes it when it is restarted; so it comes later, by a client without a config.json.
    rm = ("run", "--detach", "--init", "--rm", "--name", "guest", LOCAL_IMAGE, *FOREVER)
    laptop.docker.cli("--config", "/nowhere", *rm)
    found = listed(laptop)
    kinds = {"container web", "container job", "container guest", "compose-service shop/db", "image app:1"}
    asked_dns = {f"name-servers {name}" for name in ("meant", "shop-db-1")}
    if has_buildx:
        kinds |= {"builder multi"}
        asked_dns |= {"name-servers buildx_buildkit_multi0"}
    assert found.keys() - {"name-servers web"} == kinds | asked_dns
    assert found["container web"]["carries"] == {"proxy": "direct"}
    # Every key of its HostConfig is known, or it would be named.
    variable, lost = sorted(found["container web"]["lost"], key=lambda one: "wrote" in one)
    assert variable == "the variable PEM, which has several lines"
    assert lost.endswith("that it wrote outside its volumes")
    assert found["container job"]["lost"] == []
    assert SECRET not in json.dumps(found)

    for name in found.keys() - {"compose-service shop/db"}:
        one = found[name]
        assert one["is_whole"], one
        if name.startswith("name-servers") and not laptop.docker.cli("inspect", one["name"], check=False).ok:
            continue  # a builder's container, which is gone
        laptop.run("sh", "-euc", f"export OUTSIDE=leaked; {one['command']}", timeout=120)
    assert found["compose-service shop/db"]["command"] == (
        "docker compose --project-name shop --project-directory /srv/shop --file /srv/shop/compose.yaml"
        " up --detach --no-deps --force-recreate db"
    )
    laptop.docker.cli("rm", "--force", "shop-db-1")

    assert listed(laptop) == {}
    laptop.agent("apply")
    laptop.until(says, laptop, within=10)
    env = laptop.docker.cli("exec", "web", "env").stdout
    assert f"SECRET={SECRET}\n" in env
    assert "leaked" not in env
    assert f"http_proxy={laptop.office.tinyproxy.url}" in env
    assert laptop.docker.cli("exec", "web", "cat", "/data/file").stdout == "kept\n"
    assert laptop.docker.cli("exec", "web", "cat", "/etc/hostname").stdout == "www\n"
    assert laptop.docker.cli("port", "web").stdout == "80/tcp -> 127.0.0.1:8080\n"
    assert laptop.docker.cli("ps", "--all", "--format", "{{.Names}}").stdout.count("again") == 0
    if has_buildx:
        shown = laptop.docker.cli("buildx", "inspect", "multi").stdout
        assert f'env.HTTP_PROXY="{laptop.office.tinyproxy.url}"' in shown or laptop.office.tinyproxy.url in shown


def test_a_docker_that_is_stopped_is_not_started_for_it(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    started(laptop)
    laptop.until(is_at, laptop, "office", within=20)
    laptop.docker.systemctl("stop", "docker.socket", "docker.service")
    laptop.docker.systemctl("start", "docker.socket")

    ran = laptop.agent("stale")

    assert ran.code == 1
    assert (
        ran.stderr
        == "docker.service: is not running, so it cannot be asked. Start it first: systemctl start docker.service\n"
    )
    assert not laptop.docker.is_active()
