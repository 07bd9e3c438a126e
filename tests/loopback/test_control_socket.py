"""The control socket's file: closed to others from its birth, and nothing else is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from stat import S_IMODE

import pytest

from agent.service.control import listening
from agent.service.requests import Answer, Request


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
