"""A file that the agent makes for a person, such as a report. It never takes the place of anything."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from agent.system.disk import LOCAL_DISK, Disk
from agent.values.errors import AgentError


def check_new(path: Path) -> None:
    """AgentError if anything has this name, be it a link to nothing."""
    if os.path.lexists(path):
        raise AgentError(str(path), "already exists, and is left as it is", "Name a file that does not exist")


def write_new(path: Path, data: bytes, disk: Disk = LOCAL_DISK) -> None:
    """A private file for a person, of any size. What has this name stays, and no link is followed."""
    check_new(path)
    try:
        with contextlib.ExitStack() as stack:
            descriptor = disk.create(path)
            stack.callback(os.close, descriptor)
            stack.callback(disk.remove, path)
            disk.fill(descriptor, data)
            stack.pop_all()
            os.close(descriptor)
    except FileExistsError:
        check_new(path)
        raise
    except OSError as error:
        raise AgentError(str(path), f"cannot be written: {error.strerror}") from error
