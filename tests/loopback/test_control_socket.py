"""The control socket: closed to others from its birth, and it knows who asks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from stat import S_IMODE

import pytest

from agent.service.control import listening
from agent.service.requests import Answer, Request
from agent.values.asker import Asker, Via


async def nobody(_request: Request) -> Answer:
    raise AssertionError("nobody asks")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
async def test_it_is_closed_to_others_and_what_is_made_meanwhile_is_not(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    modes = []

    async def make_folders() -> None:
        for number in range(20):
            folder = tmp_path / str(number)
            folder.mkdir()
            modes.append(S_IMODE(folder.stat().st_mode))
            await asyncio.sleep(0)

    try:
        making = asyncio.create_task(make_folders())
        async with listening(tmp_path / "control.sock", nobody):
            await making
            assert S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert set(modes) == {0o777 & ~umask}


# As sudo leaves it: root, and logged in as 1234.
ASKS = """
import socket, sys
open("/proc/self/loginuid", "w").write("1234")
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b'{"command": "apply", "claimed": "mallory"}\\n')
sys.stdout.write(client.makefile().readline())
"""


@pytest.mark.needs_root  # only root may log somebody in
async def test_who_asks_is_told_by_the_kernel_and_what_sudo_says_is_only_claimed(tmp_path: Path) -> None:
    askers = []

    async def ask(request: Request) -> Answer:
        askers.append(request.asker)
        return Answer(0, ("done",))

    async with listening(tmp_path / "control.sock", ask):
        argv = (sys.executable, "-I", "-c", ASKS, str(tmp_path / "control.sock"))
        said = await asyncio.to_thread(subprocess.run, argv, capture_output=True, check=True, timeout=60)

    assert b"done" in said.stdout
    assert askers == [Asker(Via.CONTROL, uid=0, login_uid=1234, claimed="mallory")]
