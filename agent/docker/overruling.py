"""What in Docker's unit overrides the agent's drop-in, and in which file it stands.

An `EnvironmentFile=` that systemd reads after ours, an empty one that clears the list, `UnsetEnvironment=`, and a
command that sets variables itself before it becomes dockerd (`ExecStart=/usr/bin/env HTTPS_PROXY=… dockerd`). The last
shows only in the process: it has what its unit did not give it.
Not known here: whether any of it is in the way of what is desired (`decide/overruled.py`).
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from agent.docker import unit_file
from agent.docker.last_good import born_ns, last_touched_ns
from agent.targets import environment
from agent.values.dockerd import Layer, Overruling, Start, UnitState

_DOCKERD: Final = "dockerd"
_OF_ALL: Final = "DefaultEnvironment= of systemd"


def own_files(unit: UnitState) -> dict[str, str]:
    """The texts of the unit's own files, in the order in which systemd reads them."""
    return {path: _text(path) for path in (unit.fragment, *unit.drop_ins) if path}


def overruling(  # noqa: PLR0913 - what a unit says, as it is and as it is loaded
    unit: UnitState,
    texts: Mapping[str, str],
    start: Start,
    running: Mapping[str, str] | None,
    *,
    values_file: Path,
    drop_in: Path,
) -> Overruling:
    """`texts`: the unit's own files. `running`: the environment of the running dockerd; None: not known."""
    behind = _behind(unit.drop_ins, str(drop_in))
    added, emptied_in = _environment_files(behind, texts)
    unset = tuple(entry for entry in start.unset if entry.partition("=")[0] in environment.NAMES)
    command = by_env(start.argv) | (_by_command(unit, start, running, drop_in) if running is not None else {})
    entries = sorted({layer.entry for layer in start.layers if layer.path != str(values_file)})
    last = set(entries[len(entries) - added :]) if added else set()
    return Overruling(
        later=tuple(layer for layer in start.layers if layer.entry in last),
        emptied_in=emptied_in,
        unset=unset,
        unset_in=_last_with(texts, "UnsetEnvironment", [entry.partition("=")[0] for entry in unset]) if unset else "",
        by_command=command,
        command_in=_last_with(texts, "ExecStart") if command else "",
    )


def beaten(texts: Mapping[str, str], start: Start, values_file: Path, later: Sequence[Layer]) -> tuple[Layer, ...]:
    """Where others set a proxy that ours overrides: for all services, in the unit, in files read before ours."""
    found = [Layer(_OF_ALL, start.manager), *(Layer(path, environment_in(text)) for path, text in texts.items())]
    found += [layer for layer in start.layers if layer.path != str(values_file) and layer not in later]
    # Each file once: systemd reads it as often as it is named.
    return tuple({layer.path: layer for layer in found if any(layer.values.values())}.values())


def environment_in(text: str) -> dict[str, str]:
    """Those of the six names that a unit's file sets itself."""
    found: dict[str, str] = {}
    for value in unit_file.assigned(text, "Environment"):
        if not value:
            found = {}
        with contextlib.suppress(ValueError):  # an unclosed quotation mark: systemd ignores the line, too
            pairs = (word.partition("=") for word in shlex.split(value))
            found |= {name: given.replace("%%", "%") for name, _, given in pairs if name in environment.NAMES}
    return found


def flags_in(texts: Mapping[str, str], start: Start, flags: Sequence[str]) -> str:
    """The file with these flags of dockerd: in its command, or in a variable of it such as DOCKER_OPTS."""
    if not flags:
        return ""
    found = _last_with(texts, "ExecStart", flags) or _last_with(texts, "Environment", flags)
    files = ((path, _text(path)) for path in reversed(start.files))
    return found or next((path for path, text in files if any(flag in text for flag in flags)), "")


def _behind(drop_ins: Sequence[str], ours: str) -> list[str]:
    """The drop-ins that come after ours, or would if it were there: systemd sorts them by name, in any folder."""
    if ours in drop_ins:
        return list(drop_ins[drop_ins.index(ours) + 1 :])
    name = Path(ours).name.encode()
    return [path for path in drop_ins if Path(path).name.encode(errors="surrogateescape") > name]


def _environment_files(behind: Sequence[str], texts: Mapping[str, str]) -> tuple[int, str]:
    """How many EnvironmentFile= these drop-ins add, and which drop-in clears all before it, if one does."""
    added, emptied_in = 0, ""
    for path in behind:
        for value in unit_file.assigned(texts[path], "EnvironmentFile"):
            added, emptied_in = (added + 1, emptied_in) if value else (0, path)
    return added, emptied_in


def by_env(argv: Sequence[str]) -> dict[str, str]:
    """Those of the six names that `env` before dockerd sets or unsets; none if it has other options, too."""
    if not argv or Path(argv[0]).name != "env":
        return {}
    found: dict[str, str] = {}
    words = iter(argv[1:])
    for word in words:
        name, is_assigned, value = word.partition("=")
        if word in ("-", "-i", "--ignore-environment"):
            found = dict.fromkeys(environment.NAMES, "")
        elif word in ("-u", "--unset"):
            found[next(words, "")] = ""
        elif name == "--unset":
            found[value] = ""
        elif word.startswith("-u"):
            found[word[2:]] = ""
        elif word.startswith("-"):
            return {}
        elif is_assigned:
            found[name] = value
        else:
            break
    return {name: value for name, value in found.items() if name in environment.NAMES}


def _by_command(unit: UnitState, start: Start, running: Mapping[str, str], drop_in: Path) -> dict[str, str]:
    """Those of the six names that this dockerd has otherwise than its unit gave them."""
    if not start.argv or Path(start.argv[0]).name == _DOCKERD or not _is_as_it_was_started(unit, start, drop_in):
        return {}
    pairs = ((name, running.get(name, ""), start.environment.get(name, "")) for name in environment.NAMES)
    return {name: now for name, now, given in pairs if now != given}


def _is_as_it_was_started(unit: UnitState, start: Start, drop_in: Path) -> bool:
    """Whether all files that make its environment are older than the process: else it is unknown what it was given."""
    born = born_ns(unit.pid)  # the unit's main one: what it has from systemd, dockerd has from it
    files = {unit.fragment, *unit.drop_ins, *start.files, str(drop_in)} - {""}
    return born is not None and all(last_touched_ns(Path(file)) < born for file in files)


def _last_with(texts: Mapping[str, str], key: str, words: Sequence[str] = ()) -> str:
    """The last file that assigns this key, with one of these words if any are given; '' if there is none."""
    found = ""
    for path, text in texts.items():
        values = [value for value in unit_file.assigned(text, key) if value]
        if any(not words or any(word in value for word in words) for value in values):
            found = path
    return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:  # removed since systemd read it
        return ""
