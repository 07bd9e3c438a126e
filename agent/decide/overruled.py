"""Whether the drop-in would count, composed before anything is written; and what beats it, by the name of its file.

Pure. Ours sets all six names, so nothing that systemd reads before it matters: what it reads after it does
(FACTS 11), UnsetEnvironment=, and a command that sets them itself.
Not known here: `proxies` in daemon.json, which beat all of it, and how the unit was read (`docker/overruling.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from agent.targets import drop_in, environment
from agent.values.condition import Code, Condition
from agent.values.dockerd import Overruling, Reality
from agent.values.settings import Settings, Texts

_ELSE: Final = 'Remove it, or set docker.method = "daemon-json"'


def would_get(desired: Settings, reality: Reality) -> Texts:
    """What dockerd would have in its environment with the drop-in in place and these settings in it."""
    found = reality.overruling
    if found.emptied_in:
        return reality.foreign_environment
    return environment.texts({**_given(desired, found), **found.by_command})


def overruled(desired: Settings, reality: Reality) -> Condition | None:
    """What keeps these settings from dockerd, and where; None: nothing does."""
    found = reality.overruling
    alone = [entry for entry in dict.fromkeys(found.unset) if "=" not in entry]  # as a person finds them there
    # The unit's author means to keep the proxy from dockerd, whatever the other spelling would do.
    if alone and not desired.is_direct:
        text = f"UnsetEnvironment={' '.join(alone)} removes what {reality.drop_in_path} sets"
        return Condition(Code.NOT_EFFECTIVE, text, _remove(reality), found.unset_in or reality.unit_name)
    if would_get(desired, reality).meaning() == desired:
        return None
    if found.emptied_in:
        text = "an empty EnvironmentFile= removes the agent's file from the list again"
        return Condition(Code.NOT_EFFECTIVE, text, _ELSE, found.emptied_in)
    if environment.texts(_given(desired, found)).meaning() == desired:
        text = f"ExecStart= itself sets {_names(found.by_command)}, which overrides the unit's environment"
        return Condition(Code.BLOCKED, text, _ELSE, found.command_in or reality.unit_name)
    for layer in reversed(found.later):
        if layer.values:
            text = f"{_names(layer.values)} in it, read after the agent's file, overrides what the agent writes"
            return Condition(Code.NOT_EFFECTIVE, text, _ELSE, layer.path)
    text = f"UnsetEnvironment= removes what {reality.drop_in_path} sets"
    return Condition(Code.NOT_EFFECTIVE, text, _remove(reality), found.unset_in or reality.unit_name)


def _remove(reality: Reality) -> str:
    """Where its file is known, what is to be deleted stands there so."""
    again = f"{reality.systemctl} daemon-reload; {reality.systemctl} restart {reality.unit_name}"
    found = reality.overruling
    names = " ".join(dict.fromkeys(entry.partition("=")[0] for entry in found.unset))
    what = f"Delete {names} from UnsetEnvironment= in {found.unset_in}" if found.unset_in else "Remove it from the unit"
    return f"{what}, then run: {again}"


def _given(desired: Settings, found: Overruling) -> Mapping[str, str]:
    """What the unit gives."""
    values = environment.parse(drop_in.edit(desired))
    for layer in found.later:
        values |= layer.values
    return environment.without(values, found.unset)


def _names(values: Iterable[str]) -> str:
    return ", ".join(name for name in environment.NAMES if name in values)
