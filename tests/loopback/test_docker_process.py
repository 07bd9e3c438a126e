"""What /proc says of a real process."""

from __future__ import annotations

import os
import subprocess

from agent.docker.process import command_line, environment


def test_a_process_that_shows_no_arguments_does_not_show_an_empty_environment() -> None:
    """As one that has died and is not reaped yet, or whose execve is still at work."""
    with subprocess.Popen(["true"], env={"HTTP_PROXY": "http://office:3128"}) as dead:
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)

        assert command_line(dead.pid) is None
        assert environment(dead.pid) is None


def test_an_empty_environment_is_one() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "-c", "echo; read line"], env={}, stdin=pipe, stdout=pipe) as started:
        assert started.stdout is not None
        started.stdout.readline()  # it is past its execve, and waits for its line

        assert environment(started.pid) == {}

        started.communicate(timeout=60)
