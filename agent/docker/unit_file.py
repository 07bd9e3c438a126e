"""What a unit's own files say, only to name the file where something stands: the values that count come from systemd.

Pure. The rules are those of systemd.syntax(7), as far as they are needed for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CONTINUED = re.compile(r"\\\n(?:[ \t]*[#;][^\n]*\n)*")  # comments may stand between the lines of one value


def assigned(text: str, key: str) -> Iterator[str]:
    """The values that a service's file assigns to this key, in order; '' clears all before it."""
    section = ""
    for line in _CONTINUED.sub(" ", text).split("\n"):
        bare = line.strip(" \t\r")
        if bare.startswith("["):
            section = bare
        name, is_assigned, value = bare.partition("=")
        if section == "[Service]" and is_assigned and name.rstrip(" \t") == key:
            yield value.lstrip(" \t")
