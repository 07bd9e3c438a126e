"""The places as data: each fact with its source, and what no place may lack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from agent.values.places import PLACES, Form, Place, Way
from agent.values.settings import no_proxy

ROOT: Final = Path(__file__).parents[2]
every_place = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())

DAEMON = "https://docs.docker.com/engine/daemon/proxy/"
DESKTOP = "https://docs.docker.com/desktop/settings-and-maintenance/settings/"
COLIMA_CODE = "https://github.com/abiosoft/colima/blob/v0.10.3/environment/container/docker/daemon.go"
SNAP = "https://github.com/canonical/docker-snap/blob/main/README.md"
WSL = "https://learn.microsoft.com/en-us/windows/wsl/networking"
ROOTLESS = "https://docs.docker.com/engine/security/rootless/tips/"


def paths(place: Place, form: Form) -> list[str]:
    return [file.path for way in place.ways if way.form is form for file in way.files]


# Where the daemon's settings are. Those of the first column that a manual names, and that count.
@pytest.mark.parametrize(
    ("name", "form", "files", "source"),
    [
        ("linux", Form.DAEMON_JSON, ["/etc/docker/daemon.json"], DAEMON),
        ("linux", Form.DROP_IN, ["/etc/systemd/system/docker.service.d/http-proxy.conf"], DAEMON),
        ("wsl", Form.DROP_IN, ["/etc/systemd/system/docker.service.d/http-proxy.conf"], DAEMON),
        ("rootless", Form.DAEMON_JSON, ["~/.config/docker/daemon.json"], ROOTLESS),
        ("rootless", Form.DROP_IN, ["~/.config/systemd/user/docker.service.d/http-proxy.conf"], ROOTLESS),
        ("snap", Form.DAEMON_JSON, ["/var/snap/docker/current/config/daemon.json"], SNAP),
        ("snap", Form.DROP_IN, ["/etc/systemd/system/snap.docker.dockerd.service.d/http-proxy.conf"], SNAP),
        ("windows", Form.DAEMON_JSON, ["C:\\ProgramData\\docker\\config\\daemon.json"], "https://docs.docker.com/engine/daemon/"),
        (
            "docker-desktop",
            Form.SETTINGS_STORE,
            [
                "~/Library/Group Containers/group.com.docker/settings-store.json",
                "%APPDATA%\\Docker\\settings-store.json",
                "~/.docker/desktop/settings-store.json",
            ],
            DESKTOP,
        ),
        ("docker-desktop", Form.DAEMON_JSON, [], DESKTOP),
        ("orbstack", Form.DAEMON_JSON, [], "https://docs.orbstack.dev/docker/network#proxies"),
        ("colima", Form.ENVIRONMENT_YAML, ["~/.colima/default/colima.yaml"], "https://github.com/abiosoft/colima/blob/v0.10.3/docs/FAQ.md"),
        ("lima", Form.ENVIRONMENT_YAML, ["~/.lima/docker/lima.yaml"], "https://github.com/lima-vm/lima/blob/v2.2.0/templates/default.yaml"),
        (
            "rancher",
            Form.ENVIRONMENT_YAML,
            [
                "~/Library/Application Support/rancher-desktop/lima/_config/override.yaml",
                "~/.local/share/rancher-desktop/lima/_config/override.yaml",
            ],
            "https://docs.rancherdesktop.io/how-to-guides/provisioning-scripts/",
        ),
    ],
)  # fmt: skip
def test_where_it_stands(name: str, form: Form, files: list[str], source: str) -> None:
    assert paths(PLACES[name], form) == files
    assert source in PLACES[name].sources["ways"]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("linux", ("sudo mkdir -p /etc/systemd/system/docker.service.d",), ("sudo systemctl daemon-reload", "sudo systemctl restart docker")),
        ("rootless", ("mkdir -p ~/.config/systemd/user/docker.service.d",), ("systemctl --user daemon-reload", "systemctl --user restart docker")),
        ("snap", ("sudo mkdir -p /etc/systemd/system/snap.docker.dockerd.service.d",), ("sudo systemctl daemon-reload", "sudo systemctl restart snap.docker.dockerd")),
        ("windows", (), ("Restart-Service docker",)),
        ("docker-desktop", ("docker desktop stop",), ("docker desktop start",)),
        ("orbstack", (), ()),
        ("colima", (), ("colima restart",)),
        ("lima", ("limactl stop docker",), ("limactl start docker",)),
        ("rancher", (), ("rdctl shutdown", "rdctl start")),
    ],
)  # fmt: skip
def test_how_it_is_put_in_force(name: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    way = PLACES[name].ways[0]

    assert (way.before, way.after) == (before, after)


@pytest.mark.parametrize(
    ("name", "gateway", "containers", "source"),
    [
        pytest.param("orbstack", "", "", "https://github.com/orbstack/orbstack/issues/226", id="orbstack"),
        pytest.param("linux", "", "172.17.0.1", "docs/facts.md: 20", id="linux"),
        pytest.param("snap", "", "172.17.0.1", "docs/facts.md: 20", id="snap"),
        pytest.param("rootless", "10.0.2.2", "10.0.2.2", "https://github.com/moby/moby/blob/master/contrib/dockerd-rootless.sh", id="rootless"),
        pytest.param("wsl", "", "", WSL, id="wsl"),
        pytest.param("windows", "", "", DAEMON, id="windows"),
        pytest.param("docker-desktop", "", "host.docker.internal", "https://docs.docker.com/desktop/features/networking/", id="docker-desktop"),
        pytest.param("colima", "", "host.docker.internal", COLIMA_CODE, id="colima"),
        pytest.param("lima", "", "host.docker.internal", "https://lima-vm.io/docs/config/network/user/", id="lima"),
        pytest.param("rancher", "", "host.docker.internal", "https://docs.rancherdesktop.io/faq/", id="rancher"),
    ],
)  # fmt: skip
def test_where_loopback_leads(name: str, gateway: str, containers: str, source: str) -> None:
    place = PLACES[name]

    assert (place.gateway, place.containers) == (gateway, containers)
    assert source in {place.sources[field] for field in ("gateway", "loopback", "containers") if field in place.sources}


@pytest.mark.parametrize(
    ("name", "what", "source"),
    [
        ("docker-desktop", "proxies in daemon.json", DAEMON),
        ("docker-desktop", "~/.docker/config/daemon.json", "https://docs.docker.com/engine/daemon/"),
        ("orbstack", "~/.orbstack/config/docker.json", "https://github.com/orbstack/orbstack/issues/1344"),
        ("snap", "/etc/docker/daemon.json", SNAP),
        ("rootless", "/etc/docker/daemon.json", ROOTLESS),
        ("colima", "daemon.json in the virtual machine", COLIMA_CODE),
        ("windows", "ALL_PROXY", DAEMON),
        ("linux", "ALL_PROXY", "docs/facts.md: 7"),
        ("wsl", "autoProxy", "https://learn.microsoft.com/en-us/windows/wsl/troubleshooting"),
    ],
)
def test_what_looks_right_there_and_does_nothing(name: str, what: str, source: str) -> None:
    place = PLACES[name]

    assert [one for one in place.ignored if what in one]
    assert source in place.sources["ignored"]


def test_what_the_agent_does_by_itself() -> None:
    assert [place.name for place in PLACES.values() if place.is_kept] == ["linux", "rootless", "snap", "wsl"]


@every_place
def test_every_fact_has_a_source(place: Place) -> None:
    said = {
        field
        for field in ("ways", "client", "loopback", "containers", "ignored")
        if getattr(place, field)  # what is empty says nothing
    } | {"gateway"}

    assert said <= place.sources.keys()
    assert all(re.search(r"https://|docs/\w+\.md: ", source) for source in place.sources.values())


@every_place
def test_a_source_in_a_document_of_ours_is_there(place: Place) -> None:
    for path, what in re.findall(r"(docs/\w+\.md): (.+)", "\n".join(place.sources.values())):
        text = (ROOT / path).read_text()
        assert re.search(rf"^(?:{what}\. |## {what}$)", text, re.MULTILINE), what


@every_place
def test_a_place_can_be_named_and_told_from_others(place: Place) -> None:
    assert re.fullmatch(r"[a-z]+(?:-[a-z]+)*", place.name)
    assert place.title
    assert place.ways
    assert [way for way in place.ways if not way.check] == []
    assert len(place.ways) == 1 or all(way.when for way in place.ways)
    assert bool(place.client) is not place.containers_follow


@every_place
def test_several_files_of_one_way_are_each_on_a_system(place: Place) -> None:
    for files in (place.client, *(way.files for way in place.ways)):
        assert len(files) <= 1 or all(file.on for file in files)


@every_place
def test_an_address_stands_where_addresses_do(place: Place) -> None:
    for host in (place.gateway, place.containers, *(way.gateway for way in place.ways)):
        assert not host or no_proxy(host) == (host,)


def test_a_way_is_a_file_or_commands() -> None:
    ways: list[Way] = [way for place in PLACES.values() for way in place.ways]

    assert {way.form for way in ways} == set(Form)
    assert {way.form for way in ways if not way.files} == {Form.ORB, Form.RDCTL}
