"""The same policy for another Docker: the one that runs is served, and what runs can change."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from pathlib import Path

import pytest

from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.docker.journal import Journal, Stage, UnderWay
from agent.service.policy_in_use import PolicyInUse
from agent.service.served import STAYS_AT_MOST_S, Served
from agent.values.paths import Paths
from agent.values.policy import Policy

from .dockerd import Dockerd
from .test_reconcile import POLICY, Place, at
from .test_which import SNAP, USUAL, System


class Agent:
    """Its policy, and the worlds that it had made from it."""

    def __init__(self, root: Path) -> None:
        self.paths, self.served = Paths(root), list[str]()
        (root / "dockerd").mkdir()
        self._place = Place(at("10.10.0.1"), Dockerd(root / "dockerd", self.paths.state))
        self.paths.policy.parent.mkdir(parents=True)
        self.paths.policy.parent.chmod(0o755)
        log = AuditLog(self.paths.audit_log, self.paths.state)
        self.in_use = PolicyInUse(
            self.paths.policy, self.paths, self._world, record=Record(log, "1", "test"), audit_log=log
        )

    def policy(self, text: str) -> None:
        self.paths.policy.write_text(text)
        self.paths.policy.chmod(0o644)

    def _world(self, paths: Paths, _policy: Policy) -> Place:
        self.served.append(paths.layout.service)
        return self._place


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


def test_another_docker_that_runs_is_served_by_the_policy_that_is_in_use(agent: Agent, tmp_path: Path) -> None:
    system = System(tmp_path)
    system.has(USUAL)
    system.has(SNAP)
    agent.policy(POLICY)
    assert agent.in_use.read()
    assert not agent.in_use.read()

    system.starts(SNAP)
    assert agent.in_use.read()

    assert not agent.in_use.read()
    assert agent.served == [USUAL, SNAP]
    assert agent.in_use.current is not None
    assert agent.in_use.current.service == SNAP
    assert len(agent.in_use.take_outgoing()) == 1
    assert tmp_path / f"etc/systemd/system/{SNAP}.d/zz-docker-proxy-agent.conf" in agent.in_use.watched
    assert tmp_path / "var/snap/docker/current/config/daemon.json" in agent.in_use.watched


@pytest.mark.parametrize("is_in_use", [True, False])
def test_a_refused_policy_does_not_keep_from_another_docker(agent: Agent, tmp_path: Path, is_in_use: bool) -> None:
    system = System(tmp_path)
    system.has(USUAL)
    system.has(SNAP)
    if is_in_use:
        agent.policy(POLICY)
        agent.in_use.read()
    agent.policy("nonsense")
    assert not agent.in_use.read()
    assert agent.in_use.world is not None

    system.starts(SNAP)

    assert agent.in_use.read() is is_in_use
    assert agent.in_use.refused is not None
    assert agent.in_use.world is not None
    assert agent.served == [USUAL, SNAP]


def test_another_docker_is_served_once_the_restart_of_this_one_is_over(agent: Agent, tmp_path: Path) -> None:
    system, journal = System(tmp_path), Journal(agent.paths.state, USUAL)
    system.has(USUAL)
    system.has(SNAP)
    agent.policy(POLICY)
    agent.in_use.read()
    journal.note(str(tmp_path / "env"), None, "new", 0o600, start="x")
    journal.enter(Stage.RESTARTING)
    served = agent.in_use.served

    system.starts(SNAP)

    assert not agent.in_use.read()
    assert (served.service, served.is_another_wanted, served.may_move) == (USUAL, True, False)
    journal.wait("x")
    assert served.may_move
    assert agent.in_use.read()
    assert (served.service, served.is_another_wanted, served.may_move) == (SNAP, False, False)


class Later:
    """A clock that a test moves."""

    now = 0.0

    def boottime_s(self) -> float:
        return self.now

    def monotonic_s(self) -> float:
        return self.now


def test_a_docker_whose_restart_does_not_end_is_let_go_with_its_files_as_they_were(tmp_path: Path) -> None:
    paths, system, clock = Paths(tmp_path), System(tmp_path), Later()
    system.has(USUAL)
    system.has(SNAP)
    system.starts(SNAP)
    values, file = tmp_path / "env", tmp_path / "daemon.json"
    values.write_text("new")
    file.write_text('{"debug": true}')
    journal = Journal(paths.state, USUAL)
    journal.note(str(values), "old", "new", 0o600, start="x")
    file.write_text(journal.open(str(file), file.read_text()).opened(file.read_text()))
    journal.enter(Stage.ROLLING_BACK)
    log = AuditLog(paths.audit_log, paths.state)
    served = Served(paths, Record(log, "1", "test"), clock)

    served.look(Policy())
    clock.now = STAYS_AT_MOST_S - 1
    served.look(Policy())
    assert served.service == USUAL
    clock.now += 1
    served.look(Policy())

    assert served.service == SNAP
    assert (values.read_text(), file.read_text()) == ("old", '{"debug": true}')
    assert journal.under_way() == UnderWay()
    assert "its restart does not end" in paths.audit_log.read_text()


def test_a_policy_that_names_its_docker_is_not_moved(agent: Agent, tmp_path: Path) -> None:
    system = System(tmp_path)
    agent.policy(f'[docker]\nservice = "{USUAL}"\n{POLICY}')
    agent.in_use.read()

    system.has(SNAP)
    system.starts(SNAP)

    assert not agent.in_use.read()
    assert agent.served == [USUAL]


def test_without_a_policy_it_looks_at_what_runs_too(agent: Agent, tmp_path: Path) -> None:
    system = System(tmp_path)
    agent.in_use.read()
    assert agent.in_use.world is agent.in_use.world

    system.has(SNAP)
    agent.in_use.read()

    assert agent.in_use.world is agent.in_use.world
    assert agent.served == [USUAL, SNAP]


WRONG = "[upstream.direct]\n"


def told(agent: Agent) -> list[tuple[str, str, list[str] | None]]:
    """Event, reason and difference of each record."""
    records = [json.loads(line) for line in agent.paths.audit_log.read_text().splitlines()]
    return [(one["event"], one["facts"].get("because", ""), one["facts"].get("diff")) for one in records]


def test_each_change_of_the_policy_is_recorded_with_what_changed(agent: Agent) -> None:
    agent.policy(POLICY)
    assert agent.in_use.read()
    agent.policy(POLICY + "# a comment\n")
    assert not agent.in_use.read()  # the same policy
    os.utime(agent.paths.policy, (1e9, 1e9))
    assert not agent.in_use.read()
    assert not agent.in_use.read()
    agent.policy(POLICY + '[audit]\nkeep = "30d"\n')
    assert agent.in_use.read()
    agent.policy(WRONG)
    assert not agent.in_use.read()
    agent.policy(POLICY + '[audit]\nkeep = "30d"\n')
    assert not agent.in_use.read()  # the same again, and that it is right again is news
    assert not agent.in_use.read()
    agent.paths.policy.unlink()
    assert not agent.in_use.read()
    assert not agent.in_use.read()

    assert told(agent) == [
        ("policy-loaded", "the agent started", None),
        ("policy-loaded", "only comments, blanks or the order changed", []),
        ("policy-loaded", "it was written again with the same content", []),
        ("policy-loaded", "it changed", ['+audit.keep = "30d"']),
        ("policy-rejected", "", None),
        ("policy-loaded", "it is fixed", []),
        ("policy-removed", "", None),
    ]
    assert agent.served == [agent.served[0]] * 2  # nothing is made anew for a comment


def test_a_pac_file_beside_the_policy_is_watched_and_no_other_file(agent: Agent) -> None:
    """What a `file://` elsewhere leads to may hang."""
    beside = agent.paths.policy.parent / "corp.pac"
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text("")
    agent.policy(
        '[upstream.corp]\npac = "file:///etc/docker-proxy-agent/corp.pac"\n'
        '[upstream.other]\npac = "file:///srv/other.pac"\n[upstream.web]\npac = "http://wpad.corp.example/"\n'
    )
    assert agent.in_use.read()

    assert [one for one in agent.in_use.watched if one.suffix == ".pac"] == [beside]


PART = '[[network]]\nname = "lab"\nmatch.gateway = ["10.9.9.9"]\nuse = ["direct"]\n'


def test_a_file_of_config_d_that_comes_changes_breaks_and_goes(agent: Agent) -> None:
    folder = agent.paths.policy.parent / "config.d"
    part = folder / "10-lab.toml"

    def names() -> list[str]:
        return [network.name for network in agent.in_use.policy.networks]

    agent.policy(POLICY)
    assert agent.in_use.read()
    own = names()
    assert folder in agent.in_use.watched
    folder.mkdir(mode=0o755)
    part.write_text(PART)
    assert agent.in_use.read()
    assert names() == ["lab", *own]
    assert part in agent.in_use.watched
    part.write_text("nonsense")
    assert agent.in_use.read_early()
    assert not agent.in_use.read()
    assert names() == ["lab", *own]  # the last good one is in force, whole
    (condition,) = agent.in_use.conditions()
    assert condition.target == str(part)
    assert str(agent.in_use.status.error).startswith(f"{part}: not TOML: ")
    assert [one.file for one in agent.in_use.status.files] == [str(part), str(agent.paths.policy)]
    part.unlink()
    assert agent.in_use.read()
    assert names() == own

    assert [(event, because) for event, because, _ in told(agent)] == [
        ("policy-loaded", "the agent started"),
        ("policy-loaded", "it changed"),
        ("policy-rejected", ""),
        ("policy-loaded", "it is fixed"),
    ]
    assert told(agent)[1][2] == [
        '+config.d/10-lab.toml: network.1.name = "lab"',
        "+config.d/10-lab.toml: network.1.match.gateway = •••",
        '+config.d/10-lab.toml: network.1.use = ["direct"]',
    ]
    facts = [json.loads(line)["facts"] for line in agent.paths.audit_log.read_text().splitlines()]
    assert facts[1]["files"] == [
        f"{hashlib.sha256(text.encode()).hexdigest()}  {file}"
        for text, file in ((PART, part), (POLICY, agent.paths.policy))
    ]
    assert facts[1]["policy_sha256"] == hashlib.sha256((PART + POLICY).encode()).hexdigest()
    assert "files" not in facts[0]


def test_without_config_toml_what_is_in_config_d_is_the_policy(agent: Agent) -> None:
    folder = agent.paths.policy.parent / "config.d"
    folder.mkdir(mode=0o755)
    (folder / "10.toml").write_text(POLICY)
    assert agent.in_use.read()

    (folder / "10.toml").unlink()

    assert not agent.in_use.read()
    assert agent.in_use.current is None
    assert told(agent)[-1][0] == "policy-removed"


def test_what_was_changed_while_no_agent_ran_is_said_by_the_next(agent: Agent, tmp_path: Path) -> None:
    agent.policy(POLICY)
    agent.in_use.read()
    agent.policy(POLICY + '[audit]\nkeep = "30d"\n')
    log = AuditLog(agent.paths.audit_log, agent.paths.state)
    (tmp_path / "again").mkdir()
    place = Place(at("10.10.0.1"), Dockerd(tmp_path / "again", agent.paths.state))

    record = Record(log, "1", "test")
    PolicyInUse(agent.paths.policy, agent.paths, lambda *_: place, record=record, audit_log=log).read()

    assert told(agent)[-1] == ("policy-loaded", "the agent started", ['+audit.keep = "30d"'])


def test_the_record_is_of_the_very_file(agent: Agent) -> None:
    agent.policy(POLICY)
    agent.in_use.read()

    facts = json.loads(agent.paths.audit_log.read_text().splitlines()[-1])["facts"]
    assert facts["policy_sha256"] == hashlib.sha256(POLICY.encode()).hexdigest()
    assert facts["size"] == len(POLICY.encode())
    assert dt.datetime.fromisoformat(facts["changed"]).timestamp() == pytest.approx(
        agent.paths.policy.stat().st_mtime, abs=1e-5
    )


def test_what_was_kept_of_the_last_policy_is_written_anew_if_it_is_damaged(agent: Agent) -> None:
    agent.policy(POLICY)
    agent.in_use.read()
    (agent.paths.state / "policy-lines.json").write_text("{")
    for keep in ("30d", "31d"):
        agent.policy(POLICY + f'[audit]\nkeep = "{keep}"\n')
        agent.in_use.read()

    assert [diff for _, _, diff in told(agent)][1:] == [None, ['-audit.keep = "30d"', '+audit.keep = "31d"']]


@pytest.mark.parametrize(
    ("before", "says_where"),
    [('[audit]\nplaces = "names"\n', False), ('[audit]\nplaces = "full"\n', True), (None, False)],
)
def test_a_refused_policy_says_where_its_networks_are_only_if_the_log_may(
    agent: Agent, before: str | None, says_where: bool
) -> None:
    if before is not None:
        agent.policy(POLICY + before)
        agent.in_use.read()
    for match in ('{ssid = "CorpNet"}', '"CorpNet"', '{CorpNet = "x"}', '{gateway = ["192.168.77.300"]}'):
        agent.policy(f'[[network]]\nname = "office"\nuse = ["direct"]\nmatch = {match}\n')
        agent.in_use.read()

    written = agent.paths.audit_log.read_text()
    assert written.count("policy-rejected") == 4
    assert "network 1 (office).match" in written
    assert [("CorpNet" in written), ("192.168.77" in written)] == [says_where] * 2
