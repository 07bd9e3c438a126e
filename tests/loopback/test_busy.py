"""What a process is in the middle of, asked of the kernel: real processes, real sockets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.docker.busy import transfer
from agent.dockerd import BUILD, TRANSFER

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
