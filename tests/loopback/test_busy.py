"""What a process is in the middle of, asked of the kernel: real processes, real sockets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from agent.docker.busy import transfer
from agent.values.dockerd import BUILD, TRANSFER

FAMILY = {"127.0.0.1": "AF_INET", "::1": "AF_INET6"}


class Process:
    """Python that has done something, says so in a line, and waits."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen
        self.pid = popen.pid

    def says(self) -> str:
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().strip()


@contextmanager
def process(*does: str) -> Iterator[Process]:
    program = "; ".join(["import socket, subprocess, sys", *does, "print('done', flush=True)", "sys.stdin.read()"])
    argv = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as popen:
        try:
            yield Process(popen)
        finally:
            os.killpg(popen.pid, signal.SIGKILL)


def listens(address: str) -> tuple[str, str]:
    family = f"socket.{FAMILY[address]}"
    return (
        f"listener = socket.create_server(('{address}', 0), family={family})",
        "print(listener.getsockname()[1], flush=True)",
    )


@pytest.mark.parametrize("address", FAMILY)
def test_who_connects_is_in_a_transfer_and_who_is_connected_to_is_not(address: str) -> None:
    with process(*listens(address), "peer, _ = listener.accept()") as called:
        port = called.says()
        assert transfer(called.pid) == ""

        with process(f"client = socket.create_connection(('{address}', {port}))") as caller:
            assert caller.says() == "done"
            assert called.says() == "done"

            assert transfer(caller.pid) == TRANSFER
            assert transfer(called.pid) == ""  # as dockerd with a client of its API


def test_a_transfer_is_over_when_its_connection_is_closed() -> None:
    with process(*listens("127.0.0.1")) as called:
        port = called.says()
        with process(f"client = socket.create_connection(('127.0.0.1', {port}))", "client.close()") as caller:
            assert caller.says() == "done"
            assert transfer(caller.pid) == ""


def test_a_step_of_a_build_is_a_child_that_works_below_the_executor() -> None:
    # It says so itself: a process that was just started has no command line yet.
    runc = ["sh", "-c", "echo; sleep 600; true", "--bundle", "/var/lib/docker/buildkit/executor/x"]
    with process(f"step = subprocess.Popen({runc}, stdout=subprocess.PIPE)", "step.stdout.readline()") as dockerd:
        assert dockerd.says() == "done"
        assert transfer(dockerd.pid) == BUILD


def test_the_proxy_of_a_published_port_is_no_build() -> None:
    with process("proxy = subprocess.Popen(['sleep', '600'])") as dockerd:
        assert dockerd.says() == "done"
        assert transfer(dockerd.pid) == ""


def test_one_that_is_gone_is_in_nothing() -> None:
    with process() as dockerd:
        dockerd.says()
    assert transfer(dockerd.pid) == ""
    assert transfer(0) == ""


ROW = "%4d: 0100007F:%s 0100007F:0050 %s 00000000:00000000 00:00000000 00000000  1000        0 %d 1 0 20 4 0 10 -1"


def table(tmp_path: Path, *others: str) -> Path:
    """A /proc with a dockerd that pulls by socket 7, and a table of everybody's connections."""
    (tmp_path / "42/fd").mkdir(parents=True)
    (tmp_path / "42/net").mkdir()
    (tmp_path / "42/stat").write_text("42 (dockerd) S 1 1")
    (tmp_path / "42/fd/3").symlink_to("socket:[7]")
    (tmp_path / "42/net/tcp").write_text("".join(f"{line:<149}\n" for line in ["  sl  local_address", *others]))
    return tmp_path


def test_among_however_many_connections_of_others_its_own_is_found_in_little_memory(tmp_path: Path) -> None:
    """And not in the same table beyond a bound: nobody can hold a restart off by filling it."""
    of_others = [ROW % (number, "1F90", "01", 1000 + number) for number in range(60_000)]
    few = table(tmp_path / "few", *of_others, ROW % (60_000, "1F90", "01", 7))
    many = table(tmp_path / "many", *of_others, *of_others, ROW % (60_000, "1F90", "01", 7))

    tracemalloc.start()
    assert transfer(42, few) == TRANSFER
    assert transfer(42, many) == ""
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 1_000_000


def test_a_torn_row_is_passed_over(tmp_path: Path) -> None:
    assert transfer(42, table(tmp_path, "   0: 0100007F:1F90 0100", ROW % (1, "1F90", "01", 7))) == TRANSFER


def test_the_sockets_that_it_looks_at_leave_no_texts_behind() -> None:
    """Python 3.12 would keep each for good, and others a slot for it (FACTS 146)."""
    with process() as few, process("held = [socket.socket() for _ in range(100)]") as many:
        for one in (few, many):
            assert one.says() == "done"

        assert _texts_kept(few.pid) == _texts_kept(many.pid)


def _texts_kept(pid: int) -> int:
    """By one look."""
    kept = 0

    def note(_: FrameType, event: str, called: object) -> None:
        nonlocal kept
        kept += event == "c_call" and called is sys.intern

    sys.setprofile(note)
    try:
        transfer(pid)
    finally:
        sys.setprofile(None)
    return kept
