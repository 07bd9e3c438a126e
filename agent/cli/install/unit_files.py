"""Units' files, written where they are not there as they should be.

Not known here: which units there are, and what systemd has to be told then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
