"""`doctor` as a command: on a machine where all is well, where the proxy has ended, and without a policy."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import tempfile
from pathlib import Path

import pytest

from agent.cli.doctor.people import addresses_for
from agent.cli.misused import USAGE
from agent.clients.users import Account, FoundBy
from agent.decide.relay import Relayed
from agent.one_pass.picture import Picture, State
from agent.service.status_file import PolicyStatus, StatusFile, status_of
from agent.system.programs import PATH_FOR_OTHERS
from agent.values.condition import Code, Condition
from agent.values.errors import AgentError, TargetFailed, Unexpected

from .installation import PASSWORD, Installation, is_offline, knows_no_name, proxy

pytestmark = pytest.mark.skipif(is_offline(), reason="a pass does nothing without a network")


def test_what_may_be_in_the_way_later_is_told_and_nothing_is_changed(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        assert machine.ran("apply").returncode == 0
        before = as_it_lies(tmp_path)

        ran = machine.ran("doctor")

        assert ran.returncode == 0, ran
        where = f"{machine.paths.policy}: upstream.office at 127.0.0.1:{port}"
        assert ran.stdout.startswith(
            f"nothing is broken now\n\nworth knowing:\n  1. {where} has no owner, so anybody's program may answer\n"
        )
        assert '  do           Add to [upstream.office]: owner = "alice"\n' in ran.stdout
        assert as_it_lies(tmp_path) == before


def test_without_a_policy_the_rest_is_looked_at(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        assert machine.ran("apply").returncode == 0
        machine.paths.policy.unlink()

        ran = machine.ran("doctor", "--json")

    found = json.loads(ran.stdout)
    assert ran.returncode == 1, ran
    assert [one["condition"] for one in found["findings"] if one["is_broken"]] == ["no-policy"]
    assert found["unseen"] == []


def test_a_proxy_that_has_ended_is_what_is_broken(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with proxy() as port:
            machine = stack.enter_context(Installation(tmp_path, port))
            assert machine.ran("apply").returncode == 0

        ran = machine.ran("doctor", "--json")

    first = json.loads(ran.stdout)["findings"][0]
    assert ran.returncode == 1, ran
    assert (first["code"], first["where"], first["is_broken"]) == ("listener-absent", f"127.0.0.1:{port}", True)


def test_a_pin_that_fails_here_is_broken_while_docker_still_runs_with_what_works(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        assert machine.ran("apply").returncode == 0
        assert machine.ran("pause").returncode == 0
        assert machine.ran("pin", "direct").returncode == 0

        ran = machine.ran("doctor")

    assert ran.returncode == 1, ran
    assert ran.stdout.startswith("broken now:\n  1. the agent: direct is pinned, but fails here: ")
    assert "  do           To end it: sudo docker-proxy-agent unpin\n" in ran.stdout


def test_a_persons_file_that_cannot_be_used_is_broken_and_none_of_it_is_shown(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        assert machine.ran("apply").returncode == 0
        machine.config_json.write_text('{"proxies": {"httpProxy": "http://alice:tr0ub4dor@old.test:1"}}')

        ran = machine.ran("doctor")

    assert ran.returncode == 1, ran
    assert ran.stdout.startswith(f"broken now:\n  1. {machine.config_json}: ")
    assert "tr0ub4dor" not in ran.stdout + ran.stderr


def test_what_a_client_never_reads_is_told_and_whom_else_the_proxy_reaches(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        context = machine.config_json.parent / "contexts/meta/0123/meta.json"
        context.parent.mkdir(parents=True)
        context.write_text('{"Name": "far", "Endpoints": {"docker": {"Host": "ssh://me@far.test"}}}')
        machine.config_json.write_text('{"proxies": {"far": {"httpProxy": "http://alice:tr0ub4dor@old.test:1"}}}')
        assert machine.ran("apply").returncode == 0

        ran = machine.ran("doctor", "--json")

    told = [one["code"] for one in json.loads(ran.stdout)["findings"] if one["where"] == str(machine.config_json)]
    assert told == ["client-entry", "remote-context"], ran
    assert "tr0ub4dor" not in ran.stdout + ran.stderr


def test_a_registry_of_a_persons_own_that_no_proxy_should_name(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        names = ("10.9.8.7:5000", "192.0.2.7", "127.0.0.1:5000", "10.9.8.6")
        named = {name: {"auth": "aHVudGVyMg=="} for name in names}
        machine.config_json.write_text(json.dumps({"auths": named}))
        machine.daemon_json.write_text('{"insecure-registries": ["10.9.8.6"]}')
        assert machine.ran("apply").returncode == 0

        ran = machine.ran("doctor", "--json")

    (found,) = [one for one in json.loads(ran.stdout)["findings"] if one["code"] == "registry-by-proxy"]
    assert found["where"] == "10.9.8.7"
    assert found["what"].startswith("alice logged in to this registry")
    assert "aHVudGVyMg" not in ran.stdout + ran.stderr


@pytest.mark.waits
def test_what_a_pull_needs_besides_and_the_proxy_does_not_lead_to(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        assert machine.ran("apply").returncode == 0
        text = machine.paths.policy.read_text()
        machine.paths.policy.write_text(text.replace("[probe]\n", '[probe]\nreach = ["blobs.test:8443"]\n'))

        ran = machine.ran("doctor", "--json")

    found = [(one["code"], one["condition"], one["where"]) for one in json.loads(ran.stdout)["findings"]]
    assert found[:2] == [("layers-host", "", "blobs.test:8443"), ("condition", "unreachable", "this network")]


@pytest.mark.needs_root  # to serve at port 53
def test_a_proxy_whose_name_containers_cannot_look_up(tmp_path: Path) -> None:
    with knows_no_name("127.0.0.78"), proxy() as port, Installation(tmp_path, port) as machine:
        machine.daemon_json.write_text('{"dns": ["127.0.0.78"]}')
        assert machine.ran("apply").returncode == 0

        ran = machine.ran("doctor", "--json")

    first, *others = json.loads(ran.stdout)["findings"]
    assert (first["code"], first["where"]) == ("name-unknown-to-containers", "proxy.office.test")
    assert "ask 127.0.0.78 (dns in daemon.json)" in first["what"]
    assert "client-unreachable" not in [one["condition"] for one in others]


@pytest.mark.needs_root  # only root can become another user
def test_a_name_that_a_person_wrote_is_looked_up_as_that_person(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        program = Path(folder, "getent")
        program.write_text('#!/bin/sh\necho "$(id -u)-$(id -G)-$3$HTTPS_PROXY  STREAM"\n')
        program.chmod(0o755)
        monkeypatch.setattr("agent.system.programs.PATH_FOR_OTHERS", f"{folder}:{PATH_FOR_OTHERS}")
        monkeypatch.setenv("HTTPS_PROXY", "http://root:open-sesame@proxy.test:1")
        nobody = Account("nobody", 65534, 65534, (0,), Path("/"), Path("/x"), may_create=False, found_by=FoundBy.NAMED)

        found = asyncio.run(addresses_for(nobody, "registry.corp.test"))

    assert found == ("65534-65534-registry.corp.test",)


def test_what_only_the_running_agent_knows_is_told(tmp_path: Path) -> None:
    unwatched = Condition(Code.FILES_UNWATCHED, "/home cannot be watched", "Raise fs.inotify.max_user_watches")
    with proxy() as port, Installation(tmp_path, port) as machine:
        assert machine.ran("apply").returncode == 0
        shown = status_of(Picture(state=State.STEADY, conditions=(unwatched,)), PolicyStatus("config.toml"), ())
        StatusFile(machine.paths.status).show(shown)  # by this process, which runs

        ran = machine.ran("doctor")

    assert ran.returncode == 0, ran
    assert ". the agent: /home cannot be watched\n" in ran.stdout
    assert "  do           Raise fs.inotify.max_user_watches\n" in ran.stdout


def test_a_restart_that_waits_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        assert machine.ran("apply").returncode == 0
        policy = machine.paths.policy.read_text()
        never = '[no_proxy]\nalways = ["registry.local"]\n\n[docker]\nrestart = "never"\n'
        machine.paths.policy.write_text(policy.replace("[docker]\n", never))

        ran = machine.ran("doctor")

    assert ran.returncode == 0, ran
    told = " ".join(ran.stdout.split())
    assert 'Docker: needs a restart for new settings, but that waits: docker.restart = "never" why' in told
    assert "do sudo docker-proxy-agent apply --now" in told


def test_a_refused_policy_is_told_once_with_the_one_that_is_still_used(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        loaded, refused = "2026-11-29T09:48:59+00:00", PolicyStatus("config.toml", "2026-11-29T09:48:59+00:00", "typo")
        StatusFile(machine.paths.status).show(status_of(Picture(state=State.STEADY), refused, ()))
        network = '\n[[network]]\nname = "{}"\nuse = ["offfice"]\n'
        with machine.paths.policy.open("a") as policy:
            policy.write(network.format("home") + network.format("lab"))

        checked, ran = machine.ran("check"), machine.ran("doctor")

    at = dt.datetime.fromisoformat(loaded).astimezone().strftime("%H:%M:%S")
    used = f"the agent still uses the policy loaded at {at}"
    assert used in checked.stderr.split("\n"), checked
    told = " ".join(ran.stdout.split())
    assert 'config.toml: network 2 (home).use, network 3 (lab).use: "offfice" is not an upstream' in told
    assert f"why {used} do To see whether it is right: docker-proxy-agent check" in told
    assert told.count("offfice") == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(
            TargetFailed("docker-proxy-relay.socket", "something else listens at 127.0.0.1:3150", "Set another port"),
            "relay-not-kept",
            id="its-port-is-taken",
        ),
        pytest.param(Unexpected("the relay", "KeyError at one_pass/relay.py:1"), "internal-error", id="unexpected"),
    ],
)
def test_what_only_the_agent_that_runs_has_met_is_found_by_its_code(
    tmp_path: Path, fault: AgentError, code: str
) -> None:
    another = Condition(Code.TARGET_FAILED, "the relay: a name that somebody gave to a file", target="/etc/a")
    with proxy() as port, Installation(tmp_path, port) as machine:
        shown = Picture(state=State.FAILED, conditions=(*Relayed(fault=fault).conditions, another))
        StatusFile(machine.paths.status).show(status_of(shown, PolicyStatus("config.toml"), ()))

        findings = json.loads(machine.ran("doctor", "--json").stdout)["findings"]

    found = {one["where"]: (one["condition"], one["what"]) for one in findings}
    assert found[fault.where] == (code, f"the relay: {fault.what}")
    assert "/etc/a" not in found


def test_services_of_compose_that_containers_would_ask_the_proxy_for(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        assert machine.ran("apply").returncode == 0
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
        containers = [
            {"Id": f"{number:064x}", "Config": {"Labels": {**labels, "com.docker.compose.service": name}}}
            | {"State": {"Running": True}, "Image": "sha256:0"}
            for number, name in enumerate(("web", "db"))
        ]
        documents = {"/containers/json": [{"Id": one["Id"]} for one in containers], "/images/json": []}
        documents |= {f"/containers/{one['Id']}/json": one for one in containers}  # type: ignore[misc]
        (tmp_path / "run/documents.json").write_text(json.dumps(documents))

        ran = machine.ran("doctor", "--json")

    (found,) = [one for one in json.loads(ran.stdout)["findings"] if one["code"] == "compose-services"]
    assert found["what"] == "the containers' no_proxy lacks db, web"


def test_a_bundle_is_a_new_private_file_with_all_its_parts_and_no_secret(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    with proxy() as port, Installation(tmp_path / "root", port) as machine:
        assert machine.ran("apply").returncode == 0

        ran = machine.ran("doctor", "--bundle", str(bundle))

        again = machine.ran("doctor", "--bundle", str(bundle))
    assert ran.returncode == 0, ran
    assert ran.stderr.endswith(f"{bundle}: written, readable only by you. Read it before you send it\n")
    assert bundle.stat().st_mode & 0o777 == 0o600
    text = bundle.read_text()
    found = json.loads(text)
    assert PASSWORD not in text
    assert "alice" not in text
    assert [found[part] != {} for part in ("versions", "policy", "settings", "doctor")] == [True] * 4
    assert found["settings"]["effective"]["http"] == f"http://•••@127.0.0.1:{port}"
    assert "settings-written" in [record["event"] for record in found["audit"]]
    # A second time it is refused, and stays.
    assert again.returncode == 1
    assert again.stderr == f"{bundle}: already exists, and is left as it is. Name a file that does not exist\n"
    assert bundle.read_text() == text


def test_a_bundle_follows_no_link(tmp_path: Path) -> None:
    aim, link = tmp_path / "aim", tmp_path / "link"
    link.symlink_to(aim)
    with proxy() as port, Installation(tmp_path / "root", port) as machine:
        ran = machine.ran("doctor", "--bundle", str(link))

    assert ran.returncode == 1, ran
    assert not aim.exists()


def test_a_bundle_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    bundle = tmp_path / "gone" / "bundle.json"
    with proxy() as port, Installation(tmp_path / "root", port) as machine:
        ran = machine.ran("doctor", "--bundle", str(bundle))

    assert ran.returncode == 1, ran
    assert ran.stderr.endswith(f"{bundle}: cannot be written: No such file or directory\n")


def test_full_is_about_a_bundle(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        ran = machine.ran("doctor", "--full")

    assert ran.returncode == USAGE, ran
    assert "--full needs --bundle" in ran.stderr


def as_it_lies(root: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
