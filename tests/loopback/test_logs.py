"""The three forms of a log line: a real terminal, a real file, and a socket where journald's would be."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.audit import logs
from agent.audit.logs import Form, form_for, log
from agent.values.shown import BOUNDS

pytestmark = pytest.mark.usefixtures("logging_as_before")


# Which form.


def test_systemd_gets_journal_fields_only_if_it_is_this_very_stream_that_it_connected(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream, (tmp_path / "other").open("w") as other:
        status = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}

        assert form_for(stream, environment) is Form.JOURNAL
        assert form_for(other, environment) is Form.JSON  # 2>somewhere in a unit's ExecStart
        assert form_for(stream, {}) is Form.JSON
    assert form_for(stream, environment) is Form.JSON  # closed
    assert form_for(io.StringIO(), environment) is Form.JSON


def test_a_terminal_gets_the_console_form() -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        assert form_for(stream, {}) is Form.CONSOLE
        logs.configure(stream=stream)

        log.info("upstream-chosen", network="office\x1b[2J", because="first that works")
        shown = os.read(controller, 4096).decode()
    os.close(controller)

    plain = re.sub(r"\x1b\[\d*m", "", shown)  # colours are for a terminal
    assert "upstream-chosen" in plain
    assert "because='first that works'" in plain
    assert "office\\x1b[2J" in plain  # and nothing else that a terminal obeys


def test_everything_goes_to_stderr() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from agent.audit import logs; logs.configure(); logs.log.info('offline', was='office')",
        ],
        capture_output=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"},
        timeout=60,
    )

    assert done.stdout == b""
    assert json.loads(done.stderr)["was"] == "office"


def test_nothing_is_shown_before_it_is_configured_either() -> None:
    code = "from agent.audit.logs import log; log.info('x', url='http://u:hunter2@h')"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == ""
    assert json.loads(done.stderr)["url"] == "http://•••@h"


def test_debug_lines_are_for_those_who_ask() -> None:
    for level, expected in ((logging.INFO, ["info"]), (logging.DEBUG, ["debug", "info"])):
        stream = io.StringIO()
        logs.configure(level, form=Form.JSON, stream=stream)
        log.debug("x")
        log.info("x")
        assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == expected


def test_what_other_libraries_log_takes_the_same_way() -> None:
    stream = io.StringIO()
    logs.configure(form=Form.JSON, stream=stream)

    logging.getLogger("watchdog").warning("lost %s", "http://u:p@h")
    logging.getLogger("watchdog").info("chatter")
    inactive = "InotifyEmitter.queue_events() called when the thread is inactive"
    logging.getLogger("watchdog.observers.inotify").error(inactive)

    [line] = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (line["event"], line["logger"], line["level"]) == ("lost http://•••@h", "watchdog", "warning")


def test_rich_is_not_imported_even_where_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise SystemExit('rich was imported')\n")
    code = (
        "import sys; from agent.audit import logs; logs.configure(); "
        "logs.log.info('x'); sys.exit(sys.modules['rich'] or 0)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr


# The journal.


class Journald:
    """Takes datagrams as journald does (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(5)

    def entry(self) -> dict[str, str]:
        data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 20, 1)
        if descriptors:
            with os.fdopen(descriptors[0], "rb") as memory:
                os.lseek(descriptors[0], 0, os.SEEK_SET)
                data = memory.read()
        fields = {}
        while data:
            line, _, data = data.partition(b"\n")
            name, is_short, value = line.partition(b"=")
            if not is_short:
                length = int.from_bytes(data[:8], "little")
                value, data = data[8 : 8 + length], data[8 + length :]
                assert data[:1] == b"\n"
                data = data[1:]
            fields[name.decode()] = value.decode()
        return fields


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    running = Journald(tmp_path / "socket")
    yield running
    running.socket.close()


def test_the_journal_gets_a_sentence_and_every_fact_as_a_field(journald: Journald) -> None:
    stream = io.StringIO()
    logs.configure(form=Form.JOURNAL, stream=stream, journal=journald.path)

    log.warning(
        "docker-restarted",
        upstream="office",
        took_s=0.71,
        settings={"http": "http://proxy:3128"},
        audit_seq=7,
        severity="notice",
        none=None,
    )

    assert journald.entry() == {
        "MESSAGE": "Docker restarted (0.7 s)",
        "PRIORITY": "5",  # by severity, which knows more than the level
        "SYSLOG_IDENTIFIER": "docker-proxy-agent",
        "DPA_SEVERITY": "notice",
        "MESSAGE_ID": "a43965843d3a1371ec2d77335a054eab",
        "DPA_EVENT": "docker-restarted",
        "DPA_UPSTREAM": "office",
        "DPA_TOOK_S": "0.71",
        "DPA_SETTINGS": '{"http":"http://proxy:3128"}',
        "DPA_AUDIT_SEQ": "7",
    }
    assert stream.getvalue() == ""


def test_a_fact_with_lines_is_one_line(journald: Journald) -> None:
    logs.configure(form=Form.JOURNAL, stream=io.StringIO(), journal=journald.path)

    log.info("apply-started", diff="-a\n+MESSAGE=forged\n\n")

    assert journald.entry()["DPA_DIFF"] == r"-a\x0a+MESSAGE=forged\x0a\x0a"


def test_facts_that_are_too_large_for_a_datagram_arrive_whole(journald: Journald) -> None:
    logs.configure(form=Form.JOURNAL, stream=io.StringIO(), journal=journald.path)
    targets = [f"{number} " + "x" * (BOUNDS.text - 4) for number in range(BOUNDS.items)]

    log.info("apply-started", targets=targets)

    entry = journald.entry()
    assert json.loads(entry["DPA_TARGETS"]) == targets
    assert entry["DPA_EVENT"] == "apply-started"


def test_a_traceback_keeps_its_lines_and_nobody_elses_text_makes_one(journald: Journald) -> None:
    logs.configure(form=Form.JOURNAL, stream=io.StringIO(), journal=journald.path)

    try:
        raise OSError("\x1b[2Kx\u202e\r\ud800 http://u:Zec ret9@h")  # noqa: TRY301 - a real one has to be caught
    except OSError:
        log.exception("a pass failed")

    lines = journald.entry()["MESSAGE"].split("\n")
    assert lines[1].startswith("Traceback")
    assert lines[-1] == r"OSError: \x1b[2Kx\u202e\x0d\ud800 http://‹unparsable›"
    assert all(line.isprintable() for line in lines)


def test_of_a_long_traceback_the_beginning_and_the_end_are_kept(journald: Journald) -> None:
    logs.configure(form=Form.JOURNAL, stream=io.StringIO(), journal=journald.path)

    try:
        raise OSError("\n".join(map(str, range(10_000))))  # noqa: TRY301 - a real one has to be caught
    except OSError:
        log.exception("a pass failed")

    lines = journald.entry()["MESSAGE"].split("\n")
    assert len(lines) < 200
    assert lines[1].startswith("Traceback")
    assert lines[-1] == "9999"


def test_names_that_journald_would_drop_or_that_are_taken_become_others(journald: Journald) -> None:
    logs.configure(form=Form.JOURNAL, stream=io.StringIO(), journal=journald.path)

    log.info("a plain line", **{"_pid": "1", "message": "2", "x-y": "3", "": "4", "n" * 80: "5"})

    assert journald.entry() == {
        "MESSAGE": "a plain line",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "docker-proxy-agent",
        "DPA__PID": "1",
        "DPA_MESSAGE": "2",
        "DPA_X_Y": "3",
        "DPA_": "4",
        "DPA_" + "N" * 60: "5",
    }


def test_a_traceback_is_in_the_message(journald: Journald) -> None:
    logs.configure(form=Form.JOURNAL, stream=io.StringIO(), journal=journald.path)

    try:
        raise OSError("http://u:p@h")  # noqa: TRY301 - a real one has to be caught
    except OSError:
        log.exception("a pass failed")

    message = journald.entry()["MESSAGE"]
    assert message.startswith("a pass failed\nTraceback")
    assert message.endswith("OSError: http://•••@h")


def test_without_journald_the_line_goes_to_stderr_which_systemd_reads(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure(form=Form.JOURNAL, stream=stream, journal=tmp_path / "nobody")

    log.info("offline", was="office")

    assert json.loads(stream.getvalue()) == {"level": "info", "event": "offline", "was": "office"}
