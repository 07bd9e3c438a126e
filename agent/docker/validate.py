"""Whether dockerd would take its configuration file, asked before Docker is stopped for a restart.

`dockerd --validate` exists from Docker 23 (FACTS 5); an older one is asked nothing. It is asked with the arguments that
its unit starts it with, for a flag and the file may say the same, and then it does not start (FACTS 4, 65). It does not
find everything: more is known in `decide/foreign.py`, and what is left is found by the restart, and rolled back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.condition import Condition
from agent.decide import foreign
from agent.decide.plan import SECRET_MODE
from agent.dockerd import Reality
from agent.errors import AgentError
from agent.programs import run
from agent.secret import escaped
from agent.text_files import read_text, write_text

_WITHIN_S: Final = 20.0
_ASKED: Final = "asked-of-dockerd.json"  # in the state directory, while it is asked of a text that stands nowhere
# dockerd shows a URL there that it cannot parse, password and all.
_VALUES: Final = re.compile(r": \(from flag: .*\)")


async def refused(reality: Reality, text: str | None, state: Path) -> Condition | None:
    """Why dockerd would not start with this text as its daemon.json; None if nothing is known that keeps it from it."""
    is_there = text is not None or reality.daemon_json_fault is not None
    if not is_there or not reality.validates:
        return None
    try:
        if text is None or text == reality.daemon_json:
            words = await _words(reality, reality.daemon_json_path)
        else:
            words = await _words_of(reality, text, state / _ASKED)
    except (OSError, TimeoutError, AgentError):  # no answer is no refusal: the restart will tell, and be rolled back
        return None
    return foreign.refused(words, reality.daemon_json_path) if words else None


async def _words_of(reality: Reality, text: str, file: Path) -> str:
    """It may hold a password: it lies where nobody else looks, and not for long."""
    await asyncio.to_thread(lambda: write_text(file, read_text(file), text, SECRET_MODE))
    try:
        return await _words(reality, str(file))
    finally:
        await asyncio.to_thread(file.unlink, missing_ok=True)


async def _words(reality: Reality, path: str) -> str:
    """dockerd's own, '' if it takes the file."""
    argv = (reality.binary, *_without_config_file(reality.arguments), "--validate", "--config-file", path)
    done = await run(argv, _WITHIN_S)
    said = done.complaint.removeprefix(f"unable to configure the Docker daemon with file {path}: ")
    return escaped(_VALUES.sub("", said)) if done.status != 0 else ""


def _without_config_file(arguments: Sequence[str]) -> list[str]:
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--config-file":
            next(words, None)
        elif not word.startswith("--config-file="):
            kept.append(word)
    return kept
