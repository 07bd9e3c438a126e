"""Whether dockerd would take its configuration file, asked before Docker is stopped for a restart.

`dockerd --validate` exists from Docker 23 on (FACTS 5); an older one is not asked. It gets the arguments that its unit
starts it with, because dockerd does not start if a flag and the file set the same thing (FACTS 4, 65). It does not find
everything: `decide/foreign.py` knows more, and the rest is found by the restart, and rolled back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final

from agent.decide import foreign
from agent.system.programs import run
from agent.values.dockerd import FileFault, Reality
from agent.values.secret import escaped

_WITHIN_S: Final = 20.0
# There dockerd shows a URL that it cannot parse, with its password.
_VALUES: Final = re.compile(r": \(from flag: .*\)")


async def refused(reality: Reality, text: str | None) -> FileFault | None:
    """Why dockerd would not start with this text as its daemon.json; None if no reason is known."""
    is_there = text is not None or reality.daemon_json_fault is not None
    if not is_there or not reality.validates:
        return None
    try:
        if text is None or text == reality.daemon_json:
            words = await _words(reality, reality.daemon_json_path)
        else:
            words = await _words_of(reality, text)
    except (OSError, TimeoutError):  # no answer is no refusal: the restart will tell, and is rolled back if need be
        return None
    return foreign.refused(words, reality.daemon_json_path) if words else None


async def _words_of(reality: Reality, text: str) -> str:
    """Through a file in memory: the text may hold a password, and `plan` asks, too, without holding the lock."""
    descriptor = os.memfd_create("daemon.json")
    try:
        _fill(descriptor, text.encode())
        return await _words(reality, f"/proc/self/fd/{descriptor}", (descriptor,))
    finally:
        os.close(descriptor)


def _fill(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


async def _words(reality: Reality, path: str, descriptors: Sequence[int] = ()) -> str:
    """What dockerd says against the file; '' if it takes it."""
    argv = (reality.binary, *_without_config_file(reality.arguments), "--validate", "--config-file", path)
    done = await run(argv, _WITHIN_S, descriptors=descriptors)
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
