"""`status --watch` and `status --short`: on a terminal, in a pipe, for a bar."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from agent.cli import main
from agent.cli.status import NOT_RUNNING
from agent.one_pass.picture import State, UpstreamShown
from agent.service.status_file import Status
from agent.system.process_start import started
from agent.values.condition import Code, Condition
from agent.values.paths import Paths
from tests.pure.test_status_page import AT_THE_OFFICE
from tests.sources import ROOT

ENTERED: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
LEFT: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
WITHIN_S: Final = 30
AGENT: Final = (sys.executable, "-W", "error", "-c", "import sys; from agent.cli import main; sys.exit(main())")


def show(root: Path, status: Status = AT_THE_OFFICE, *, is_running: bool = True, **changes: Any) -> None:
    """As an agent that is this process writes it, or one that is gone."""
    pid = os.getpid()
    status = msgspec.structs.replace(status, pid=pid, started=started(pid) if is_running else 1, **changes)
    path = Paths(root).status
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name("new")
    new.write_bytes(msgspec.json.encode(status))
    new.replace(path)


class Terminal:
    """One that a command has for itself, as a shell gives it."""

    def __init__(
        self, root: Path, *words: str, columns: int = 80, rows: int = 24, environment: Mapping[str, str] | None = None
    ) -> None:
        self._ours, theirs = os.openpty()
        self.resize(columns, rows)
        self.modes = termios.tcgetattr(theirs)
        terminal = os.ttyname(theirs)
        self._theirs = theirs
        # Who leads a session and opens a terminal has it: then keys are signals.
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" <>{terminal} >&0 2>&0', "sh", *AGENT, "--root", str(root), *words],
            cwd=ROOT, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8", **(environment or {})},
        )  # fmt: skip
        self.text = ""

    def resize(self, columns: int, rows: int) -> None:
        termios.tcsetwinsize(self._ours, (rows, columns))

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def until(self, pattern: str) -> str:
        """All that was printed up to what has this in it, which is then forgotten."""
        ends = time.monotonic() + WITHIN_S
        while (found := re.search(pattern, self.text, re.DOTALL)) is None:
            left = ends - time.monotonic()
            assert left > 0, f"{pattern} did not come; it says {self.text!r}"
            if select.select([self._ours], [], [], left)[0]:
                self.text += os.read(self._ours, 65536).decode()
        seen, self.text = self.text[: found.end()], self.text[found.end() :]
        return seen

    def ended(self) -> int:
        return self.process.wait(WITHIN_S)

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._theirs) == self.modes

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WITHIN_S)
        os.close(self._ours)
        os.close(self._theirs)


@contextlib.contextmanager
def watching(root: Path, *words: str, **how: Any) -> Iterator[Terminal]:
    terminal = Terminal(root, "status", "--watch", *words, **how)
    with contextlib.closing(terminal):
        yield terminal


def lines_of(frame: str) -> list[str]:
    """The last picture that was drawn whole."""
    drawn = re.findall(r"\x1b\[H(.*?)\x1b\[J", frame, re.DOTALL)[-1]
    return [re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", line) for line in drawn.split("\r\n")]


def test_it_is_drawn_in_place_and_follows_what_changes(tmp_path: Path) -> None:
    show(tmp_path)
    with watching(tmp_path) as terminal:
        first = terminal.until(r"\x1b\[J")
        assert first.startswith(ENTERED)
        assert "\x1b[2J" not in first  # it would flicker
        heading, blank, headline, *_ = lines_of(first)
        assert re.fullmatch(r"\d\d:\d\d:\d\d  Ctrl-C ends this", heading)
        assert blank == ""
        assert headline.startswith("STEADY         office via corp")
        assert "\x1b[32mSTEADY\x1b[0m " in first

        show(tmp_path, state=State.DEFERRED)
        changed = terminal.until(r"\x1b\[33mDEFERRED\x1b\[0m .*?\x1b\[J")
        assert len(re.findall("DEFERRED", changed)) == 1

        terminal.type("\x03")
        terminal.until(re.escape(LEFT))
        assert terminal.ended() == 0
        assert terminal.is_as_before()


@pytest.mark.waits
def test_it_survives_a_restart_of_the_service(tmp_path: Path) -> None:
    with watching(tmp_path, environment={"NO_COLOR": "1"}) as terminal:
        before = terminal.until(r"\x1b\[J")
        shown = " ".join(" ".join(lines_of(before)).split())
        assert "no agent is running here; to start it: systemctl enable --now docker-proxy-agent" in shown

        show(tmp_path)
        steady = terminal.until(r"STEADY.*?\x1b\[J")
        assert "no agent" not in lines_of(steady)[0]
        assert not re.search(r"\x1b\[\d*m", steady)

        show(tmp_path, is_running=False, at="2026-03-01T11:59:48Z")
        frame = terminal.until(r"no agent is running.*?\x1b\[J")
        assert re.search(
            r"no agent is running here; this is what the last one knew \d+ days ago", " ".join(lines_of(frame))
        )
        assert "\nSTEADY " in "\n".join(lines_of(frame))

        show(tmp_path)
        terminal.until(r"Ctrl-C ends this.*?STEADY")
        terminal.type("q")
        assert terminal.ended() == 0


def test_what_another_version_wrote_is_not_drawn(tmp_path: Path) -> None:
    path = Paths(tmp_path).status
    path.parent.mkdir(parents=True)
    path.write_text('{"version": "0.0.1", "pid": 1, "started": 1, "state": "steady", "verdicts": null}')
    with watching(tmp_path) as terminal:
        terminal.until(r"version 0\.0\.1 of the agent wrote status\.json")


def test_it_has_the_size_of_its_window_also_of_a_new_one(tmp_path: Path) -> None:
    show(tmp_path)
    with watching(tmp_path, columns=60, rows=6) as terminal:
        frame = lines_of(terminal.until(r"\x1b\[J"))
        assert len(frame) == 6
        assert max(map(len, frame)) <= 60
        assert re.fullmatch(r"  \d+ more lines: make the window higher", frame[-1])

        terminal.resize(100, 50)
        frame = lines_of(terminal.until(r"upstreams.*?\x1b\[J"))
        assert max(map(len, frame)) > 60
        assert "more lines" not in frame[-1]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_terminal_is_put_right_when_it_is_ended(tmp_path: Path, number: signal.Signals, status: int) -> None:
    show(tmp_path)
    with watching(tmp_path) as terminal:
        terminal.until(r"\x1b\[J")
        terminal.process.send_signal(number)
        terminal.until(re.escape(LEFT))

        assert terminal.ended() == status
        assert terminal.is_as_before()


def test_the_terminal_is_put_right_while_it_is_suspended(tmp_path: Path) -> None:
    show(tmp_path)
    with watching(tmp_path) as terminal:
        terminal.until(r"\x1b\[J")
        # By a shell: the terminal's own Ctrl-Z stops nobody in a session without one that would wake him.
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.until(re.escape(LEFT))
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(re.escape(ENTERED) + r".*?STEADY")


def test_a_terminal_that_cannot_be_drawn_on_is_a_roll_of_paper(tmp_path: Path) -> None:
    show(tmp_path)
    with watching(tmp_path, environment={"TERM": "dumb"}) as terminal:
        first = terminal.until("upstreams")
        show(tmp_path, state=State.DEFERRED)

        assert "\x1b" not in first + terminal.until("DEFERRED")


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": ""}, False),
    ],
)
def test_only_the_state_has_a_colour(tmp_path: Path, environment: dict[str, str], is_coloured: bool) -> None:
    show(tmp_path)
    with contextlib.closing(Terminal(tmp_path, "status", environment=environment)) as terminal:
        text = terminal.until("docker restarted")

    word = "\x1b[32mSTEADY\x1b[0m" if is_coloured else "STEADY"
    assert text.startswith(f"{word}         office via corp")
    assert text.count("\x1b") == 2 * is_coloured


@contextlib.contextmanager
def piped(root: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*AGENT, "--root", str(root), "status", "--watch", *words],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], WITHIN_S)[0], "it says nothing"
    return process.stdout.readline().rstrip("\n")


def test_in_a_pipe_each_change_is_a_line_of_json(tmp_path: Path) -> None:
    with piped(tmp_path, "--json") as process:
        assert json.loads(read_line(process)) == {"running": False}
        show(tmp_path)
        assert (steady := json.loads(read_line(process)))["state"] == "steady"
        assert steady["running"] is True
        show(tmp_path, is_running=False)
        assert json.loads(read_line(process))["running"] is False

        process.send_signal(signal.SIGINT)
        assert process.wait(WITHIN_S) == 130  # as of `audit --follow`


def test_in_a_pipe_it_ends_when_nobody_reads_any_more(tmp_path: Path) -> None:
    show(tmp_path)
    with piped(tmp_path, "--short") as process:
        assert read_line(process) == "STEADY corp"
        assert process.stdout is not None
        process.stdout.close()

        assert process.wait(WITHIN_S) == 0


NAMED: Final = UpstreamShown(name="a" * 50, why="it works")
SHORT: Final[Mapping[str, tuple[dict[str, Any], str]]] = {
    "steady": ({}, "STEADY corp"),
    "deferred": ({"state": State.DEFERRED}, "DEFERRED corp"),
    "paused": ({"state": State.IDLE, "conditions": (Condition(Code.PAUSED, "paused"),)}, "IDLE paused"),
    "portal": ({"state": State.WAITING, "conditions": (Condition(Code.PORTAL, "x"),)}, "WAITING portal"),
    "docker-down": ({"state": State.FAILED, "conditions": (Condition(Code.ENGINE_DOWN, "x"),)}, "FAILED docker down"),
    "offline": ({"state": State.OFFLINE}, "OFFLINE"),
    "nothing-chosen": ({"upstream": None}, "STEADY"),
    "long-name": ({"upstream": NAMED}, f"STEADY {'a' * 28}…"),
}


@pytest.mark.parametrize("name", SHORT)
def test_one_line_for_a_bar(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    changes, line = SHORT[name]
    show(tmp_path, **changes)

    assert main(["--root", str(tmp_path), "status", "--short"]) == 0
    assert capsys.readouterr() == (f"{line}\n", "")
    assert len(line.replace("…", "...")) <= 40

    assert main(["--root", str(tmp_path), "status", "--short", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [*shown] == ["text", "alt", "tooltip", "class"]
    assert shown["text"] == line
    assert shown["class"] == shown["alt"] == line.split(" ")[0].lower()
    assert shown["tooltip"].startswith(line.split(" ")[0])


def test_without_an_agent_a_bar_has_a_line_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["--root", str(tmp_path), "status", "--short"]) == NOT_RUNNING
        assert capsys.readouterr() == ("STOPPED\n", "")
        assert main(["--root", str(tmp_path), "status", "--short", "--json"]) == NOT_RUNNING
        shown = json.loads(capsys.readouterr().out)
        assert (shown["text"], shown["class"]) == ("STOPPED", "stopped")
        assert shown["tooltip"].startswith("no agent is running here")
        show(tmp_path, is_running=False)


def test_a_bar_that_takes_markup_gets_none_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = Condition(Code.PORTAL, 'a portal: "<b>&amp;</b>\x1b[2J\n"')
    show(tmp_path, state=State.WAITING, conditions=(said,))

    main(["--root", str(tmp_path), "status", "--short", "--json"])

    tooltip = json.loads(capsys.readouterr().out)["tooltip"]
    assert '"&lt;b&gt;&amp;amp;&lt;/b&gt;\\x1b[2J\\x0a"' in tooltip


def test_it_also_draws_what_systemd_and_docker_say(tmp_path: Path) -> None:
    show(tmp_path)
    with watching(tmp_path, "-v", rows=60) as terminal:
        terminal.until(r"\x1b\[J")
        frame = lines_of(terminal.until(r"\x1b\[J"))  # also of the second picture, for which nobody is asked

        assert "  process      dockerd: it does not run" in frame
