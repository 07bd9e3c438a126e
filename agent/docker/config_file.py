"""daemon.json for whoever only reads it: what the last look at Docker found, where dockerd itself reads it.

So it is read once per look, and from where dockerd's `--config-file` points. Before the first look, and where there is
no Docker, the default place is read.
Not known here: what stands in it (`targets/daemon_json.py`).
"""

from __future__ import annotations

from agent.system.text_files import read_text
from agent.values.dockerd import Phase, Reality
from agent.values.errors import LEFT, TargetFailed
from agent.values.paths import Paths


class ConfigFile:
    """That of one Docker."""

    def __init__(self, paths: Paths) -> None:
        self._default = paths.daemon_json
        self._looked: Reality | None = None

    def note(self, reality: Reality) -> None:
        """After each look."""
        is_looked_at = reality.unit.phase not in (Phase.ABSENT, Phase.MASKED)
        self._looked = reality if is_looked_at else None

    def text(self) -> str | None:
        """None: there is no such file. TargetFailed if it is no text."""
        looked = self._looked  # once: a thread may ask
        if looked is None:
            return read_text(self._default)
        fault = looked.daemon_json_fault
        if fault is not None:
            raise TargetFailed(fault.path, fault.wrong, fault.remedy, then=LEFT)
        return looked.daemon_json
