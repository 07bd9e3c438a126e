"""Whether a terminal shows nothing but ASCII, by what the person's environment says of it.

Python makes UTF-8 of an asked-for C locale (PEP 538, PEP 540), and changes LC_CTYPE in its own environment. So what
counts is the environment that this process was started with. As systemd does, only a C that is asked for counts: where
nothing says which locale it is, as in a unit or in cron, UTF-8 is understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ASCII: Final = frozenset({"C", "POSIX"})
_IN_ORDER: Final = ("LC_ALL", "LC_CTYPE", "LANG")  # the first that says something counts: locale(7)
# What the fonts of a console or a log viewer without UTF-8 can show instead.
STAND_INS: Final = str.maketrans(
    {
        "·": "|", "…": "...", "→": "->", "←": "<-", "•": "*", "─": "-", "–": "-", "‹": "<", "›": ">", "≤": "<=",
        "≥": ">=", "×": "x", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "«": "<", "»": ">", "\u00a0": " ",
    }
)  # fmt: skip


def is_ascii(environment: Mapping[str, str]) -> bool:
    """Whether that environment asks for the C locale."""
    said = next(filter(None, (environment.get(name, "") for name in _IN_ORDER)), "")
    return said.partition(".")[0] in _ASCII and "utf" not in said.lower()


def started_with(path: str = "/proc/self/environ") -> Mapping[str, str]:
    """The environment at the start of this process; what it cannot read is empty."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - `status` does without pathlib
            texts = file.read().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(text.split("=", 1) for text in texts if "=" in text)
