"""The program that evaluates PAC files, as it is started here, and whether the library is there that it needs.

It imports nothing that takes time: the unit of it has a second.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Final, NoReturn

from agent.values import pacparser

_PROGRAM: Final = Path(__file__).parents[1] / "pac" / "evaluator.py"


def argv() -> tuple[str, ...]:
    """As a program of its own: it imports nothing of ours, and Python runs no .pth file."""
    return (sys.executable, "-I", "-S", "-X", "utf8", str(_PROGRAM), _folder_of_the_engine())


def become_it() -> NoReturn:
    """This process becomes the program, with nothing in its environment."""
    words = argv()
    os.execve(words[0], words, {})  # noqa: S606 - without a shell is what is wanted


def is_there() -> bool:
    """Whether this Python has pacparser. It is not imported."""
    return bool(_folder_of_the_engine())


def _folder_of_the_engine() -> str:
    found = importlib.util.find_spec("pacparser")
    folders = found.submodule_search_locations if found is not None else None
    return str(Path(folders[0]).parent) if folders else ""


def how_to_install(*, is_there: bool) -> str:
    """The command that brings a pacparser to this Python, where none is there or one that is too old."""
    return pacparser.how_to_install(sys.prefix, sys.base_prefix, is_there=is_there)
