"""A command where no agent runs: it makes the pass itself, in a root of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from agent.audit.files import full_name
from agent.audit.log import AuditLog
from agent.one_pass.refused_passwords import RefusedPasswords
from agent.values.events import Event
from agent.values.paths import Paths
from agent.values.secret import Secret
from agent.values.snapshot import Snapshot
from tests.upstreams import upstream

from .runs import ran

POLICY = """
[probe]
registry = ["http://127.0.0.1:1/"]
[clients]
users = []
[upstream.office]
url = "http://127.0.0.1:1"
[[network]]
use = ["office"]
"""


@pytest.mark.parametrize(
    ("words", "is_forgotten"),
    [
        pytest.param(["apply"], False, id="a-pass-is-no-reason"),
        pytest.param(["apply", "--now"], True, id="now"),
        pytest.param(["reload"], True, id="reload"),
    ],
)
def test_a_refused_password_is_sent_again_when_a_person_says_so(
    tmp_path: Path, words: list[str], is_forgotten: bool
) -> None:
    paths = Paths(tmp_path)
    refused = upstream("http://127.0.0.1:1", username="alice", password=Secret("hunter2"))
    RefusedPasswords(paths.state).add(refused, Snapshot())
    paths.policy.parent.mkdir(parents=True)
    paths.policy.parent.chmod(0o755)
    paths.policy.write_text(POLICY)
    paths.policy.chmod(0o644)

    done = asked(tmp_path, *words)

    assert "Traceback" not in done.stderr
    assert RefusedPasswords(paths.state).has(refused, Snapshot()) is not is_forgotten


BROKEN = "[upstream.office]\nurl = 3\n"


def with_policy(paths: Paths, text: str | None) -> None:
    paths.policy.parent.mkdir(parents=True)
    paths.policy.parent.chmod(0o755)
    if text is not None:
        paths.policy.write_text(text)
        paths.policy.chmod(0o644)


def asked(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return ran("--root", str(root), *words)


def test_a_client_that_is_no_user_here_is_told_by_check(tmp_path: Path) -> None:
    """On this machine itself: only there the name service is asked."""
    policy = tmp_path / "config.toml"
    policy.write_text('[clients]\nusers = ["root", "no-such-user-here"]\n[[network]]\nuse = ["direct"]\n')

    done = ran("check", "--policy", str(policy))

    told = [line for line in done.stderr.splitlines() if "clients.users" in line]
    assert done.returncode == 0
    assert told == [
        f'{policy}: warning: clients.users: there is no user "no-such-user-here" here, so no file is written for it'
    ]
    assert "clients.users" not in ran("check", "--offline", "--policy", str(policy)).stderr


@pytest.mark.parametrize("policy", [pytest.param(None, id="none"), pytest.param(BROKEN, id="refused")])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pause",), ["paused: nothing is written or restarted"]),
        (("resume",), ["it was not paused"]),
        (("unpin",), ["nothing was pinned"]),
    ],
)
def test_what_is_laid_down_without_a_policy_is_json_where_that_is_asked_for(
    tmp_path: Path, policy: str | None, words: tuple[str, ...], said: list[str]
) -> None:
    with_policy(Paths(tmp_path), policy)

    done = asked(tmp_path, *words, "--json")

    facts = json.loads(done.stdout)
    assert (done.returncode, facts["said"]) == (0, said)
    assert str(Paths(tmp_path).policy) in facts["problems"][0]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        *(pytest.param((word,), 1, id=word) for word in ("apply", "plan", "probe", "reload")),
        pytest.param(("pin", "office"), 1, id="pin"),
        pytest.param(("check",), 1, id="check"),
        pytest.param(("pause", "--for", "0s"), 64, id="misused"),
        pytest.param(("install",), 64, id="no-facts"),
        pytest.param((), 64, id="no-command"),
    ],
)
@pytest.mark.parametrize("policy", [pytest.param(None, id="none"), pytest.param(BROKEN, id="refused")])
def test_an_error_is_json_too_where_that_is_asked_for(
    tmp_path: Path, words: tuple[str, ...], status: int, policy: str | None
) -> None:
    with_policy(Paths(tmp_path), policy)

    done = asked(tmp_path, "--json", *words)

    assert done.returncode == status
    assert json.loads(done.stdout)["problems"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("pin", "office"), ["pinned to office"], id="pin"),
        pytest.param(("pause",), ["paused: nothing is written or restarted"], id="pause"),
        pytest.param(("apply",), None, id="apply"),
    ],
)
def test_what_was_obeyed_is_no_problem_where_the_pass_fails(
    tmp_path: Path, words: tuple[str, ...], said: list[str] | None
) -> None:
    paths = Paths(tmp_path)
    with_policy(paths, POLICY)
    in_the_way = paths.state / "journal.json"
    in_the_way.mkdir(parents=True)

    in_json = asked(tmp_path, *words, "--json")
    in_words = asked(tmp_path, *words)

    facts = json.loads(in_json.stdout)
    assert (in_json.returncode, facts.get("said")) == (1, said)
    assert [str(in_the_way) in problem for problem in facts["problems"]] == [True]
    assert (in_words.returncode, in_words.stdout.splitlines()) == (1, said or [])
    assert str(in_the_way) in in_words.stderr


def test_a_check_says_in_json_which_policy_it_was_as_the_status_does(tmp_path: Path) -> None:
    path = Paths(tmp_path).policy
    with_policy(Paths(tmp_path), POLICY)
    valid = json.loads(asked(tmp_path, "check", "--json").stdout)
    path.write_text(BROKEN)
    broken = json.loads(asked(tmp_path, "check", "--json").stdout)

    assert (valid["valid"], valid["problems"]) == (True, [])
    (part,) = valid["policy"].pop("files")
    assert part["file"] == str(path)
    assert valid["policy"] == {"path": str(path), "loaded": None, "error": None}
    assert (broken["valid"], broken["warnings"]) == (False, [])
    assert broken["policy"] == {"path": str(path), "loaded": None, "error": "; ".join(broken["problems"]), "files": []}


def test_a_check_says_in_which_file_everything_stands(tmp_path: Path) -> None:
    own = Paths(tmp_path).policy
    with_policy(Paths(tmp_path), '[probe]\nfailures = 3\n[[network]]\nuse = ["corp", "direct"]\n')
    corp = own.parent / "config.d/10-corp.toml"
    corp.parent.mkdir(mode=0o755)
    corp.write_text('[upstream.corp]\nurl = "http://proxy:1"\n[[network]]\nname = "lab"\nuse = ["direct"]\n')
    corp.chmod(0o644)

    done, facts = asked(tmp_path, "check"), json.loads(asked(tmp_path, "check", "--json").stdout)
    corp.write_text('[probe]\nfailures = 3\n[upstream.corp]\nurl = "proxy"\n')
    broken = asked(tmp_path, "check")
    own.unlink()
    corp.write_text('[upstream.corp]\nurl = "http://proxy:1"\n')
    alone = asked(tmp_path, "check")

    assert alone.stdout.splitlines() == [
        f"{corp.parent}: valid: 1 upstream and direct, 0 networks and elsewhere",
        f"{corp}: upstreams corp",
    ]
    assert done.stdout.splitlines() == [
        f"{own}: valid: 1 upstream and direct, 2 networks",
        f"{corp}: upstreams corp · networks lab",
        f"{own}: networks network 2 · tables probe",
    ]
    warning = f"network 1 (lab): has no match, so what is in {own} is never reached"
    assert done.stderr == f"{corp}: warning: {warning}\n"
    assert facts["warnings"] == [f"{corp}: {warning}"]
    assert [(one["file"], one["upstreams"], one["networks"], one["tables"]) for one in facts["policy"]["files"]] == [
        (str(corp), ["corp"], ["lab"], []),
        (str(own), [], ["network 2"], ["probe"]),
    ]
    assert broken.returncode == 1
    assert broken.stderr.splitlines() == [
        f"{own}: probe: is also in {corp}; keep all of it in one file",
        f'{corp}: upstream.corp.url: "proxy" is not a proxy\'s URL, such as "http://proxy.example:3128" or "socks5://…"',
    ]


def test_where_no_agent_has_ever_run_status_says_so_as_json(tmp_path: Path) -> None:
    done = asked(tmp_path, "status", "--json")

    assert (done.returncode, json.loads(done.stdout)) == (3, {"running": False})


def test_where_no_agent_has_ever_run_prometheus_is_told_so_and_it_is_no_failure(tmp_path: Path) -> None:
    done = asked(tmp_path, "status", "--format", "prometheus")

    assert (done.returncode, done.stderr) == (0, "")
    assert "\ndocker_proxy_agent_up 0\n" in done.stdout


@pytest.mark.parametrize("option", ["--watch", "--json", "-v"])
def test_metrics_are_printed_alone(tmp_path: Path, option: str) -> None:
    assert asked(tmp_path, "status", "--format", "prometheus", option).returncode == 64


def test_what_a_pass_says_first_is_among_its_facts(tmp_path: Path) -> None:
    with_policy(Paths(tmp_path), POLICY)

    done = asked(tmp_path, "pause", "--json")

    assert json.loads(done.stdout)["said"] == ["paused: nothing is written or restarted"]


@pytest.mark.parametrize("option", ["--js", "--json=1", "--roo=/", "--verb"])
def test_no_option_is_known_by_its_beginning(tmp_path: Path, option: str) -> None:
    """What looks like --json and is taken for it by one of two readers leaves stdout empty."""
    done = asked(tmp_path, "check", option)

    assert (done.returncode, done.stdout) == (64, "")
    assert option.partition("=")[0] in done.stderr


def test_json_behind_the_end_of_options_is_a_name(tmp_path: Path) -> None:
    done = asked(tmp_path, "pin", "--", "--json", "x")

    assert (done.returncode, done.stdout) == (64, "")


def test_an_error_behind_records_is_a_line_of_json_as_they_are(tmp_path: Path) -> None:
    log = Paths(tmp_path).audit_log
    AuditLog(log, Paths(tmp_path).state).append(Event.OFFLINE, "test", "", {})
    log.rename(full_name(log, 1))
    in_the_way = full_name(log, 2)
    in_the_way.mkdir()

    done = asked(tmp_path, "audit", "--json")

    record, error = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert record["event"] == "offline"
    assert error["problems"] == [f"{in_the_way}: cannot be read (a directory is there). See: ls -ld {in_the_way}"]


@pytest.mark.parametrize(
    ("policy", "is_named"),
    [
        pytest.param(
            POLICY.replace("[[", 'username = "al"\npassword_file = "/nowhere"\n[['), True, id="of-this-machine"
        ),
        pytest.param(BROKEN, False, id="of-every-machine"),
    ],
)
def test_check_names_offline_where_only_this_machine_is_in_the_way(tmp_path: Path, policy: str, is_named: bool) -> None:
    with_policy(Paths(tmp_path), policy)

    done = asked(tmp_path, "check")

    assert (done.returncode, done.stdout) == (1, "")
    assert ("check --offline" in done.stderr) is is_named
    assert done.stderr.startswith(f"{Paths(tmp_path).policy}: ")
