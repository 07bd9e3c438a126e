"""The demo as a person runs it, and its self-check as somebody would break it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.cli.demo.check import Aftermath, problems
from agent.cli.demo.roam import roam
from agent.cli.demo.root import DAEMON_JSON, PASSWORD, USER, throw_away_root
from agent.cli.demo.stop import Pulled, Stop
from agent.decide.choose import Choice, Ending
from agent.docker.engine import EngineSocket
from agent.values.errors import EngineSilent
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.settings import DIRECT
from tests.waiting import Seen, until

COMMAND = (sys.executable, "-W", "error", "-c", "from agent.cli import main; raise SystemExit(main())", "demo")
WITHIN_S = 120  # on a busy machine
KEPT = Aftermath(is_log_whole=True, daemon_json=DAEMON_JSON, daemon_json_before=DAEMON_JSON, texts={})


def _at_a_terminal() -> None:
    """Tests that were started in the background of a shell ignore ctrl-C, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Run:
    """The command in a directory for temporary files of its own."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self._running = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": str(directory), "PYTHONPATH": str(Path(__file__).parents[2])},
            preexec_fn=_at_a_terminal,  # noqa: PLW1509 - no thread of this process holds a lock that it needs
        )  # fmt: skip

    def ended(self) -> tuple[int, str, str]:
        try:
            out, err = self._running.communicate(timeout=WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        return self._running.returncode, out, err

    def until_it_is_under_way(self) -> None:
        assert self._running.stdout is not None
        for line in self._running.stdout:
            if "office" in line and "──" in line:
                return

    def send(self, number: signal.Signals) -> None:
        self._running.send_signal(number)

    def kill(self) -> None:
        self._running.kill()
        self._running.communicate(timeout=WITHIN_S)


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("d")


def processes_below(directory: Path) -> list[str]:
    """The command lines of what still runs with a path in there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue  # it has ended meanwhile
        if str(directory) in words:
            found.append(words)
    return found


def until_nothing_runs_below(directory: Path) -> None:
    until(WITHIN_S, lambda: Seen(not (found := processes_below(directory)), found), "the end of all processes")


# As a person runs it.


def test_every_place_is_seen_and_nothing_stays_behind(directory: Path) -> None:
    status, out, err = Run(directory).ended()

    assert (status, err) == (0, "")
    headlines = [line for line in out.splitlines() if line and not line.startswith((" ", "──", "A laptop"))]
    assert headlines == [
        "home, direct",
        "office via corp",
        "café: a portal is in the way",
        "café, direct",
        "home, direct",
    ]
    pulls = re.findall(r"^  pull +registry\.test/hello (works|fails)", out, re.MULTILINE)
    assert pulls == ["works", "fails", "works", "fails", "fails", "works", "works"]
    assert "guest proxy-denied · corp ok" in out
    assert "5 passes and 2 restarts, all as they should be" in out
    assert PASSWORD.reveal() not in out
    assert [line for line in out.replace(str(directory), "/tmp").splitlines() if len(line) > 100] == []
    assert "\x1b" not in out
    assert list(directory.iterdir()) == []
    assert processes_below(directory) == []


def test_a_heading_is_one_line_also_where_its_command_gets_a_sudo(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")

    _, out, _ = Run(directory).ended()

    [last] = [line for line in out.splitlines() if line.startswith("── afterwards")]
    assert last.startswith("── afterwards ── sudo docker-proxy-agent audit --network office; audit verify ─")
    assert len(last) == 100


def test_a_kept_root_holds_what_was_written(directory: Path) -> None:
    status, out, err = Run(directory, "--keep").ended()

    (root,) = directory.iterdir()
    assert (status, err) == (0, "")
    assert f"ROOT = {root}" in " ".join(out.split())  # folded, where the path is long
    assert Paths(root).daemon_json.read_text() == DAEMON_JSON
    log = Paths(root).audit_log.read_text()
    assert '"event":"docker-restarted"' in log
    assert "•••@proxy.test" in log
    assert processes_below(directory) == []


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-C"),
        pytest.param(signal.SIGTERM, 143, id="terminated"),
    ],
)
def test_ended_on_the_way_it_leaves_nothing_behind(directory: Path, number: signal.Signals, status: int) -> None:
    run = Run(directory)
    run.until_it_is_under_way()

    run.send(number)

    assert run.ended()[0] == status
    assert list(directory.iterdir()) == []
    assert processes_below(directory) == []


def test_the_engine_ends_even_if_the_demo_is_killed(directory: Path) -> None:
    run = Run(directory)
    run.until_it_is_under_way()

    run.kill()

    until_nothing_runs_below(directory)


def test_only_a_terminal_gets_bold_headings(directory: Path) -> None:
    reader, writer = os.openpty()
    subprocess.run(COMMAND, stdout=writer, check=True, timeout=WITHIN_S, env={**os.environ, "TERM": "xterm"})
    os.close(writer)

    with os.fdopen(reader, "rb") as terminal:
        assert re.search(rb"\x1b\[1m.*1  home", terminal.read1())


# The self-check.


@pytest.fixture(scope="module")
def journey() -> Iterator[tuple[Policy, tuple[Stop, ...]]]:
    with throw_away_root(is_kept=False) as paths:
        yield asyncio.run(roam(paths, lambda _policy, _stop: None))


Journey = tuple[Policy, tuple[Stop, ...]]


def test_a_journey_as_it_must_be_has_no_problems(journey: Journey) -> None:
    policy, stops = journey

    assert problems(stops, policy, KEPT, username=USER, password=PASSWORD) == ()


def at(number: int, journey: Journey, **wrong: object) -> tuple[Stop, ...]:
    """The journey, with something else at one stop."""
    stops = list(journey[1])
    stops[number - 1] = msgspec.structs.replace(stops[number - 1], **wrong)
    return tuple(stops)


def test_an_engine_with_other_settings_is_a_problem(journey: Journey) -> None:
    assert problems(at(2, journey, reported=DIRECT), journey[0], KEPT, username=USER, password=PASSWORD) == (
        "stop 2, office: the engine does not run with the settings of corp",
    )


def test_a_restart_too_many_is_a_problem(journey: Journey) -> None:
    stops = at(5, journey, restarts=1, is_same_engine=False)

    assert problems(stops, journey[0], KEPT, username=USER, password=PASSWORD) == (
        "stop 5, home: the engine was restarted 1 times, not 0",
        "stop 5, home: the engine is another process than before",
    )


def test_a_pull_that_still_fails_is_a_problem(journey: Journey) -> None:
    stops = at(2, journey, after=Pulled(False, "407"))

    assert problems(stops, journey[0], KEPT, username=USER, password=PASSWORD) == (
        "stop 2, office: the pull after the pass failed: 407",
    )


def test_another_choice_is_a_problem(journey: Journey) -> None:
    done = journey[1][1].done
    seen = msgspec.structs.replace(done.seen, choice=Choice(Ending.CHOSEN, "because", "guest"))
    stops = at(2, journey, done=msgspec.structs.replace(done, seen=seen))

    assert problems(stops, journey[0], KEPT, username=USER, password=PASSWORD) == (
        "stop 2, office: guest was chosen, not corp",
    )


def test_a_journey_cut_short_is_a_problem(journey: Journey) -> None:
    policy, stops = journey

    assert problems(stops[:4], policy, KEPT, username=USER, password=PASSWORD) == ("4 stops, not 5",)


@pytest.mark.parametrize(
    ("left", "problem"),
    [
        pytest.param({"is_log_whole": False}, "the audit log is not whole", id="log"),
        pytest.param({"daemon_json": "{}"}, "daemon.json is not as it was before", id="daemon-json"),
        pytest.param(
            {"texts": {"the audit log": f"http://x:{PASSWORD.reveal()}@y"}},
            "the password is in the audit log",
            id="password",
        ),
        pytest.param(
            {"texts": {"what is shown": "office%20%231%3A%2050%25%20more%40work"}},
            "the password is in what is shown",
            id="password-in-a-url",
        ),
    ],
)
def test_what_is_left_behind_is_looked_at(journey: Journey, left: dict[str, object], problem: str) -> None:
    policy, stops = journey

    assert problems(stops, policy, msgspec.structs.replace(KEPT, **left), username=USER, password=PASSWORD) == (
        problem,
    )


def test_after_the_journey_nobody_answers(tmp_path: Path) -> None:
    with throw_away_root(is_kept=False) as paths:
        asyncio.run(roam(paths, lambda _policy, _stop: None))

        with pytest.raises(EngineSilent):
            EngineSocket(paths.below("/run/docker.sock")).peer()
