"""Which daemon.json a dockerd came up with: noted, judged before a restart, and put back when nothing else helps."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.docker import validate
from agent.docker.journal import Journal, Stage
from agent.docker.last_good import REFUSED, LastGood
from agent.docker.marks import Marks
from agent.docker.recover import recover
from agent.system.files import Changed
from agent.targets import drop_in
from agent.values.dockerd import FileHistory, Phase, UnitState
from agent.values.policy import Method
from agent.values.settings import DIRECT, Texts, settings

from .dockerd import Dockerd
from .test_lock import as_it_lies
from .test_reconcile import Place, at

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
GOOD = '{"debug": true}\n'
BAD = '{"data-root": "/gone"}\n'


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    return Dockerd(tmp_path)


def beside(dockerd: Dockerd) -> dict[str, str]:
    return {path.name: path.read_text() for path in dockerd.daemon_json.parent.iterdir() if REFUSED in path.name}


async def booted_with(dockerd: Dockerd, text: str | None) -> None:
    """Somebody restarted Docker with this file, and a pass has seen it."""
    if text is not None:
        dockerd.daemon_json.write_text(text)
    await dockerd.restart()
    dockerd.note(await dockerd.reality(DIRECT))


# Which one it is, on a real process.


class Born:
    """A process that stands for dockerd, and the file that it may have read."""

    def __init__(self, root: Path) -> None:
        self.file, self.good = root / "docker/daemon.json", LastGood(root / "state")
        self.file.parent.mkdir()
        self.file.write_text(GOOD)
        self.old = root / "old.json"
        self.old.write_text(BAD)
        _a_moment()
        self.process = subprocess.Popen(["sleep", "60"])
        _a_moment()
        self.unit = UnitState(Phase.RUNNING, pid=self.process.pid, invocation="a")

    def history(self) -> FileHistory:
        text = self.file.read_text() if self.file.exists() else None
        return self.good.history(self.file, text, self.unit)

    def keep(self) -> None:
        self.good.keep(str(self.file), self.file.read_text(), self.unit.invocation)


def _a_moment() -> None:
    """A process's birth is told to the hundredth of a second."""
    time.sleep(0.03)


@pytest.fixture
def born(tmp_path: Path) -> Iterator[Born]:
    made = Born(tmp_path)
    yield made
    made.process.kill()
    made.process.wait(60)


def test_a_file_that_is_older_than_dockerd_is_what_it_started_with(born: Born) -> None:
    assert born.history() == FileHistory(is_tried=True, is_good_known=False)


def test_one_that_was_written_since_is_not(born: Born) -> None:
    born.file.write_text(GOOD)

    assert born.history() == FileHistory(is_tried=False, is_good_known=False)


def test_one_that_was_moved_there_since_is_not_however_old_it_is(born: Born) -> None:
    other = born.file.with_name("other")
    other.write_text(BAD)
    os.utime(other, (1, 1))
    other.rename(born.file)

    assert born.history().is_tried is False


def test_a_link_that_leads_elsewhere_since_is_not(born: Born) -> None:
    born.file.unlink()
    born.file.symlink_to(born.old)

    assert born.history().is_tried is False


def test_no_file_is_one_unless_it_was_removed_since(born: Born) -> None:
    nowhere = born.file.parent.parent / "elsewhere/daemon.json"
    assert born.good.history(nowhere, None, born.unit).is_tried

    born.file.unlink()
    assert born.history().is_tried is False


def test_what_was_noted_for_this_very_start_counts_whatever_was_touched_since(born: Born) -> None:
    born.keep()
    born.file.write_text(GOOD)
    assert born.history() == FileHistory(is_tried=True, is_good_known=True)

    born.file.write_text(BAD)
    os.utime(born.file, (0, 0))
    assert born.history() == FileHistory(is_tried=False, is_good_known=True)


def test_one_of_another_start_is_one_to_go_back_to_and_no_more(born: Born) -> None:
    born.keep()
    born.unit = msgspec.structs.replace(born.unit, invocation="b")
    born.file.write_text(GOOD)

    assert born.history() == FileHistory(is_tried=False, is_good_known=True)


def test_one_of_another_path_is_none(born: Born) -> None:
    born.good.keep("/elsewhere/daemon.json", GOOD, "a")

    assert born.history() == FileHistory(is_tried=True, is_good_known=False)


def test_what_live_restore_is_open_in_is_not_what_dockerd_would_start_with(born: Born, tmp_path: Path) -> None:
    Journal(tmp_path / "state").open(str(born.file), GOOD)

    assert born.history().is_tried is None


# Noted in every pass.


async def test_a_pass_that_sees_it_notes_it_and_the_next_one_writes_nothing(dockerd: Dockerd) -> None:
    dockerd.daemon_json.write_text(GOOD)
    await dockerd.restart()
    place = Place(at("10.20.0.1"), dockerd, office="refused", direct="ok")

    await place.passed()

    noted = (dockerd.agent_state / "last-good.json").stat()
    assert b"debug" in (dockerd.agent_state / "last-good.json").read_bytes()
    await place.passed()
    assert (dockerd.agent_state / "last-good.json").stat() == noted

    dockerd.daemon_json.write_text(BAD)  # dockerd has not started with it
    await place.passed()
    assert b"gone" not in (dockerd.agent_state / "last-good.json").read_bytes()


async def test_no_file_is_a_good_one_too(dockerd: Dockerd) -> None:
    await booted_with(dockerd, None)
    dockerd.daemon_json.write_text(BAD)
    dockerd.refuses_file = "gone"

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert "was restored as it was when Docker last started" in outcome.rolled_back
    assert dockerd.is_running
    assert not dockerd.daemon_json.exists()
    assert beside(dockerd) == {"daemon.json.refused-by-dockerd": BAD}


# Nothing that dockerd never started with.


@pytest.mark.parametrize("method", [Method.DROP_IN, Method.DAEMON_JSON])
async def test_what_is_written_while_a_restart_is_verified_is_no_good_one(dockerd: Dockerd, method: Method) -> None:
    await booted_with(dockerd, GOOD)
    made, reality = await dockerd.plan(OFFICE, method)

    async def somebody_writes() -> None:
        dockerd.daemon_json.write_text(BAD)

    dockerd.after_it_started = somebody_writes
    noted = (dockerd.agent_state / "last-good.json").read_bytes()
    outcome = await dockerd.transaction().carry_out(made, reality)

    assert outcome.restarted_s is not None
    assert (dockerd.agent_state / "last-good.json").read_bytes() == noted
    wrote = await dockerd.reality(OFFICE)
    assert wrote.file.is_good_known
    if method is Method.DAEMON_JSON:  # nor is it what this dockerd was started with
        ours = Texts("http://office:3128", "http://office:3128", "localhost")
        assert Marks(dockerd.agent_state).started_with(wrote.unit.invocation, (ours,)) == ours


async def test_a_file_that_changes_after_it_was_judged_is_judged_again(dockerd: Dockerd) -> None:
    await booted_with(dockerd, GOOD)
    made, reality = await dockerd.plan(OFFICE)
    dockerd.daemon_json.write_text(BAD)

    with pytest.raises(Changed):
        await dockerd.transaction().carry_out(made, reality)

    assert dockerd.starts == 2
    assert dockerd.files() == {"daemon.json": BAD.encode()}


# Nobody is blamed who is innocent.


async def test_a_choice_that_met_a_bad_file_is_not_passed_over(dockerd: Dockerd) -> None:
    await booted_with(dockerd, GOOD)
    dockerd.daemon_json.write_text(BAD)
    dockerd.refuses_file = "gone"

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert "was restored as it was when Docker last started" in outcome.rolled_back
    assert outcome.condition is None
    assert not dockerd.is_quarantined(OFFICE)
    again = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))
    assert again.restarted_s is not None
    assert dockerd.runs_with == OFFICE


async def test_a_choice_that_fails_by_itself_is(dockerd: Dockerd) -> None:
    dockerd.refuses = OFFICE

    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert dockerd.is_quarantined(OFFICE)


async def test_one_that_dockerd_did_not_take_is_although_it_then_starts_with_nothing(dockerd: Dockerd) -> None:
    await booted_with(dockerd, GOOD)
    dockerd.takes_instead = Texts(http="http://other:1")

    def somebody_writes() -> None:
        dockerd.daemon_json.write_text(BAD)
        dockerd.refuses_file = "gone"

    dockerd.before_it_stops = somebody_writes
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert dockerd.is_quarantined(OFFICE)


async def test_a_docker_that_starts_with_nothing_is_down_and_nobody_is_blamed(dockerd: Dockerd) -> None:
    made, reality = await dockerd.plan(OFFICE)
    dockerd.refuses_file = BAD
    dockerd.last_good.keep(str(dockerd.daemon_json), BAD)

    def breaks() -> None:
        dockerd.daemon_json.write_text(BAD)

    dockerd.before_it_starts = breaks
    outcome = await dockerd.transaction().carry_out(made, reality)

    assert not dockerd.is_running
    assert outcome.condition is not None
    assert str(outcome.condition).startswith("Docker is down")
    assert not dockerd.is_quarantined(OFFICE)


async def test_after_a_crash_it_is_the_same(dockerd: Dockerd) -> None:
    await booted_with(dockerd, GOOD)
    dockerd.daemon_json.write_text(BAD)
    dockerd.refuses_file = "gone"
    environment = dockerd.root / "etc/dockerd.env"
    environment.write_text(drop_in.edit(OFFICE))
    journal = Journal(dockerd.agent_state)
    journal.note(str(environment), None, drop_in.edit(OFFICE), 0o600)
    journal.enter(Stage.RESTARTING)
    dockerd.phase = Phase.BROKEN

    await recover(dockerd, dockerd, dockerd.agent_state, dockerd.record(), is_systemd=True, may_restart=True)

    assert dockerd.is_running
    assert dockerd.daemon_json.read_text() == GOOD
    assert not dockerd.is_quarantined(OFFICE)


# What dockerd refused is kept.


async def test_each_file_that_dockerd_refused_is_kept_and_they_do_not_become_too_many(dockerd: Dockerd) -> None:
    await booted_with(dockerd, GOOD)
    dockerd.refuses_file = "gone"
    texts = [BAD.replace("gone", f"gone/{number}") for number in range(1, 13)]

    for text in texts:
        dockerd.daemon_json.write_text(text)
        await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))
        await dockerd.transaction().carry_out(*await dockerd.plan(DIRECT))

    kept = beside(dockerd)
    assert len(kept) == 9
    assert kept["daemon.json.refused-by-dockerd"] == texts[0]
    assert [kept[f"daemon.json.refused-by-dockerd.{number}"] for number in range(2, 9)] == texts[1:8]
    assert kept["daemon.json.refused-by-dockerd.9"] == texts[-1]


async def test_the_same_again_is_not_tried_again(dockerd: Dockerd) -> None:
    await booted_with(dockerd, GOOD)
    dockerd.refuses_file = "gone"
    dockerd.daemon_json.write_text(BAD)
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))
    starts = dockerd.starts
    dockerd.daemon_json.write_text(BAD)

    made, _reality = await dockerd.plan(OFFICE)

    assert not made.restarts
    assert made.condition is not None
    assert str(dockerd.daemon_json) + REFUSED in made.condition.text
    assert dockerd.starts == starts
    dockerd.daemon_json.write_text(GOOD)
    assert (await dockerd.plan(OFFICE))[0].restarts


# dockerd is asked as its unit starts it.


def asked(root: Path, dockerd: Dockerd, refuses: str = "hosts") -> Path:
    """A dockerd that notes how it is asked, and refuses a file with this in it."""
    script, notes = root / "dockerd", root / "asked"
    script.write_text(
        f"#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; last=$word; done >{notes}\nfor last; do :; done\n"
        f'grep -q {refuses} "$last" || exit 0\n'
        'echo "unable to configure the Docker daemon with file $last: the following directives are specified both as '
        'a flag and in the configuration file: hosts: (from flag: [fd://], from file: [http://u:Zecret9@x])" >&2\n'
        "exit 1\n"
    )
    script.chmod(0o755)
    dockerd.binary = str(script)
    dockerd.arguments = ("-H", "fd://", "--config-file", "/elsewhere", "--config-file=/there", "--tls")
    return notes


async def test_dockerd_is_asked_with_the_arguments_of_its_unit(dockerd: Dockerd, tmp_path: Path) -> None:
    notes = asked(tmp_path, dockerd)
    dockerd.daemon_json.write_text('{"hosts": []}')
    await booted_with(dockerd, None)

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert notes.read_text().split() == [
        "-H",
        "fd://",
        "--tls",
        "--validate",
        "--config-file",
        str(dockerd.daemon_json),
    ]
    assert outcome.condition is not None
    assert outcome.condition.text.endswith(
        "both as a flag and in the configuration file: hosts; nothing is written to it, and Docker is not restarted"
    )
    assert dockerd.starts == 2
    assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)
    assert "Zecret9" not in dockerd.audit.read_text()


async def test_with_the_settings_in_the_file_nothing_is_written(dockerd: Dockerd, tmp_path: Path) -> None:
    asked(tmp_path, dockerd)
    dockerd.daemon_json.write_text('{"hosts": []}')
    (dockerd.root / "etc/dockerd.env").write_text(drop_in.edit(DIRECT))
    before = dockerd.files()

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE, Method.DAEMON_JSON))

    assert outcome.written == ()
    assert outcome.is_failed
    assert dockerd.files() == before
    assert dockerd.starts == 1


async def test_what_is_ours_is_taken_out_of_it_all_the_same(dockerd: Dockerd, tmp_path: Path) -> None:
    await booted_with(dockerd, '{"labels": []}')
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE, Method.DAEMON_JSON))
    Journal(dockerd.agent_state).forget()  # its minute is over
    asked(tmp_path, dockerd, refuses="labels")
    owned = dockerd.owned(await dockerd.reality(DIRECT))

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(DIRECT, Method.DAEMON_JSON, owned))

    assert dockerd.daemon_json.read_text() == '{"labels": []}'
    assert outcome.condition is not None
    assert dockerd.runs_with == OFFICE


async def test_dockerd_is_asked_of_the_file_without_our_change(dockerd: Dockerd, tmp_path: Path) -> None:
    """What we wrote is no reason to blame others, nor to keep our own next value out."""
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE, Method.DAEMON_JSON))
    asked(tmp_path, dockerd, refuses="office")
    reality = await dockerd.reality(DIRECT)
    assert await validate.refused(reality, reality.daemon_json) is not None
    assert await validate.refused(reality, "{}") is None
    other = settings("http://other:1", "http://other:1", "localhost")

    outcome = await dockerd.transaction().carry_out(
        *await dockerd.plan(other, Method.DAEMON_JSON, dockerd.owned(reality))
    )

    assert outcome.restarted_s is not None


async def test_an_older_dockerd_is_not_asked(dockerd: Dockerd, tmp_path: Path) -> None:
    notes = asked(tmp_path, dockerd)
    await booted_with(dockerd, '{"labels": []}')
    dockerd.version = 20

    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert not notes.exists()
    assert dockerd.runs_with == OFFICE


async def test_two_who_ask_at_once_of_different_texts_get_their_own_answers(dockerd: Dockerd, tmp_path: Path) -> None:
    """A person's `plan` asks without the lock, beside the service."""
    script = tmp_path / "dockerd"
    script.write_text(
        '#!/bin/sh\nfor file; do :; done\nsleep 0.3\ngrep -q bad "$file" && echo bad >&2 && exit 1\nexit 0\n'
    )
    script.chmod(0o755)
    dockerd.binary = str(script)
    reality = await dockerd.reality(DIRECT)
    before = as_it_lies(dockerd.agent_state)

    good, bad = await asyncio.gather(
        validate.refused(reality, '{"labels": []}'), validate.refused(reality, '{"bad": "hunter2"}')
    )

    assert good is None
    assert bad is not None
    assert as_it_lies(dockerd.agent_state) == before
