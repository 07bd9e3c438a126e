"""What our keys of a client's file said before the agent first wrote there, for `restore` and `uninstall`.

A file in the state directory, 0600: a value may hold a password. Never the bytes of a client's file: it holds
tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from agent.decide.client_file import OwnedConfig, Was
from agent.system.kept import Kept
from agent.system.keyed import keyed
from agent.system.state_file import StateFile
from agent.targets import json_splice
from agent.targets.client_config import ClientTexts, TextMarks

CLIENTS: Final = "clients"  # what the marks of `client_originals` are for


def client_originals(state: Path) -> Kept[OwnedConfig]:
    """The clients' files: what our keys said, and by marks what was last written there."""

    def of_format_1(found: object) -> dict[str, OwnedConfig]:
        # It kept the four values themselves, a password among them.
        before = msgspec.convert(found, dict[str, _OwnedBefore])
        mark = keyed(state, CLIENTS)
        marks = {path: None if one.last is None else TextMarks.of(one.last, mark) for path, one in before.items()}
        return {path: OwnedConfig(one.originals, marks[path], one.was) for path, one in before.items()}

    return Kept(StateFile(state / "client-originals.json", dict[str, OwnedConfig], 2, {1: of_format_1}), is_shared=True)


class _OwnedBefore(msgspec.Struct, frozen=True):
    originals: tuple[json_splice.Original, ...] = ()
    last: ClientTexts | None = None
    was: Was | None = None
