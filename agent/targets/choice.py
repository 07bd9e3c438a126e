"""choice.env: the choice as variables, for other programs of this host.

Pure. A file that systemd's EnvironmentFile= and `sh` read alike: each value between double quotes, with a backslash
before what either would take for more than itself. A name without a value is written, too, so that a shell that reads
the file anew loses what the place before had. No user and no password is in it: everybody may read it.
Not known here: when it is written (`service/choice_file.py`).
"""

from __future__ import annotations

from typing import Final

from agent.targets.environment import quoted
from agent.targets.one_off import variables
from agent.values.secret import escaped
from agent.values.settings import Settings

_HEAD: Final = "# Written by docker-proxy-agent whenever its choice changes. See docs/recipes/choice.md\n"
_LONGEST_NAME: Final = 200


def text(wanted: Settings, *, network: str, upstream: str, state: str) -> str:
    """The whole file."""
    about = {"DPA_NETWORK": network, "DPA_UPSTREAM": upstream, "DPA_STATE": state}
    shown = [*variables(wanted), *((name, escaped(value, _LONGEST_NAME)) for name, value in about.items())]
    return _HEAD + "".join(f"{name}={quoted(value)}\n" for name, value in shown)
