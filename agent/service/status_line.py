"""status.json in one line, for a prompt or a bar: the state in a word, and by which upstream.

Pure: a status goes in, a line comes out.
"""

from __future__ import annotations

from typing import Final

from agent.one_pass.picture import State
from agent.service.status_file import StatusFound
from agent.service.status_page import said_first
from agent.values.condition import Code
from agent.values.secret import MORE

LONGEST: Final = 36  # characters: 40 columns where the mark of a cut is three
NOT_RUNNING: Final = "stopped"
UNREADABLE: Final = "unknown"  # another version wrote it
IN_A_WORD: Final = {
    Code.ENGINE_DOWN: "docker down",
    Code.PAUSED: "paused",
    Code.PORTAL: "portal",
    Code.UNREACHABLE: "unreachable",
    Code.POLICY_ERROR: "policy error",
    Code.NO_POLICY: "no policy",
}


def in_a_line(found: StatusFound | None) -> str:
    """Such as `STEADY corp-proxy`, `WAITING portal`, `STOPPED`."""
    word, name = word_of(found).upper(), _name(found)
    line = f"{word} {name}" if name else word
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}{MORE}"


def word_of(found: StatusFound | None) -> str:
    """The state: what a bar chooses a colour by."""
    if found is None or not found.is_running:
        return NOT_RUNNING
    return UNREADABLE if found.status is None else found.status.state.value


def _name(found: StatusFound | None) -> str:
    if found is None or not found.is_running or found.status is None or found.status.state is State.OFFLINE:
        return ""
    said = said_first(found.status)
    if said is not None and said.code in IN_A_WORD:
        return IN_A_WORD[said.code]
    upstream = found.status.upstream
    return upstream.name if upstream is not None and upstream.name is not None else ""
