"""Units' files: written where they are not there as they should be, and removed.

Not known here: which units there are, and how they are started and stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from agent.cli.install.systemd import Service
from agent.system.files import is_there
from agent.system.text_files import read_text, write_text
from agent.values.paths import Paths


def write_units(paths: Paths, texts: Mapping[str, str], say: Callable[[str], None], why: str) -> bool:
    """By their names. Whether systemd has to read one."""
    is_any_new = False
    for name, text in texts.items():
        file, before = paths.unit_file(name), read_text(paths.unit_file(name))
        if text != before:
            write_text(file, before, text, 0o644)
            say(f"unit         {file} {'written' if before is None else 'updated'}, {why}")
            is_any_new = True
    return is_any_new


async def remove_files(files: Iterable[Path], service: Service, say: Callable[[str], None]) -> None:
    """Those that are there, of units that do not run any more."""
    removed = [file for file in files if is_there(file)]
    for file in removed:
        write_text(file, read_text(file), None, None)
    if removed:
        await service.systemctl("daemon-reload")
        say(f"removed      {', '.join(map(str, removed))}")
