"""How a shell spells a text, and how it gives variables to the programs that it starts.

Pure. What is printed here is pasted or evaluated: a shell reads exactly the text, whatever stands in it. A NUL no shell
can hold; a line break is written as it is, between quotes.
Not known here: which variables there are (`one_off.py`).
"""

from __future__ import annotations

import enum
import re
import shlex
from collections.abc import Iterable
from typing import Final


class Shell(enum.Enum):
    """One that `env --shell` knows."""

    SH = "sh"  # and bash, zsh, dash, ksh
    FISH = "fish"
    PWSH = "pwsh"


Variable = tuple[str, str]  # name and value; '': it is not to be set

# PowerShell takes typographic quotes for plain ones (about_Quoting_Rules; CharTraits.cs: IsSingleQuote).
_ENDS_PWSH: Final = re.compile("(['\u2018\u2019\u201a\u201b])")


def quoted(text: str, shell: Shell = Shell.SH) -> str:
    """The text as one word of a command line."""
    match shell:
        case Shell.SH:
            spelled = shlex.quote(text)
            return f"'{spelled}'" if spelled.startswith("=") else spelled  # zsh makes a path of `=ls`
        case Shell.FISH:  # between its quotes a backslash escapes itself and the quote
            return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        case Shell.PWSH:
            return "'" + _ENDS_PWSH.sub(r"\1\1", text) + "'"


def exported(variables: Iterable[Variable], shell: Shell) -> list[str]:
    """Lines to be evaluated: what has a value is set, for programs as well; what has none is taken away."""
    return [_taken(name, shell) if not value else _given(name, value, shell) for name, value in variables]


def _given(name: str, value: str, shell: Shell) -> str:
    match shell:
        case Shell.SH:
            return f"export {name}={quoted(value, shell)}"
        case Shell.FISH:
            return f"set -gx {name} {quoted(value, shell)}"
        case Shell.PWSH:
            return f"$env:{name} = {quoted(value, shell)}"


def _taken(name: str, shell: Shell) -> str:
    match shell:
        case Shell.SH:
            return f"unset {name}"
        case Shell.FISH:
            return f"set -eg {name}"
        case Shell.PWSH:
            return f"$env:{name} = $null"
