"""The library that evaluates PAC files, and the command that brings it.

Nothing is imported that takes time: `check` asks here, too.
"""

from __future__ import annotations

from typing import Final

_NEEDED: Final = "1.5"  # for the JavaScript of today


def how_to_install(prefix: str, base_prefix: str, *, is_there: bool) -> str:
    """The command for the Python of these prefixes: where none is there, or one that is too old."""
    if prefix != base_prefix:  # in an environment of its own, as `make install` has it
        return f"sudo {prefix}/bin/pip install 'pacparser>={_NEEDED}'"
    if not is_there:
        return "sudo apt install python3-pacparser"
    # Debian's own is older. pip puts it below /usr/local, where the system's Python looks first.
    return f"sudo python3 -m pip install --break-system-packages 'pacparser>={_NEEDED}'"
