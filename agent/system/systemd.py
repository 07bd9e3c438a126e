"""Speaks to a manager of systemd, the system's or a user's, through `systemctl` and `busctl --json`.

Not known here: which units there are, and what is asked of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.system.files import is_folder
from agent.system.programs import run
from agent.values.errors import UnitFailed
from agent.values.machine_text import lines
from agent.values.paths import Paths
from agent.values.secret import escaped

_PLAIN: Final = {"LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}


class Systemd(msgspec.Struct, frozen=True):
    """One manager. `options` and `environment`: what a program needs to find it; none for the system's."""

    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    within_s: float = 30.0  # systemctl itself hangs only if systemd does

    async def call(self, *arguments: str) -> str:
        """What systemctl printed; UnitFailed with its own words if it failed."""
        return await self._run("systemctl", arguments)

    async def says(self, *arguments: str) -> bool:
        """The answer of commands such as `is-active`: their exit status."""
        try:
            await self.call(*arguments)
        except _SaysNo:
            return False
        return True

    async def show(self, properties: Iterable[str], units: Sequence[str]) -> list[dict[str, str]]:
        """What systemd says of each of several units."""
        shown = await self.call("show", "--property", ",".join(properties), "--", *units)
        return [assignments(block) for block in shown.split("\n\n") if block.strip()]

    async def properties(self, path: str, interface: str, *properties: str) -> list[Any]:
        """Of an object of systemd's on D-Bus."""
        arguments = (
            "--json=short", "get-property", "org.freedesktop.systemd1", path,
            f"org.freedesktop.systemd1.{interface}", *properties,
        )  # fmt: skip
        return [json.loads(line)["data"] for line in lines(await self._run("busctl", arguments))]

    async def started_with(self) -> dict[str, str]:
        """The environment that it gives to all that it starts."""
        (found,) = await self.properties("/org/freedesktop/systemd1", "Manager", "Environment")
        return {name: value for name, _, value in (entry.partition("=") for entry in found)}

    async def goes_down(self) -> bool:
        """Whether systemd says that all that it runs is going down. False if it says nothing.

        root's systemctl needs no D-Bus for this, which may be gone by then (FACTS 121).
        """
        try:
            return (await self.call("show", "--property", "SystemState", "--value")).strip() == "stopping"
        except UnitFailed:  # the next call will fail, too, and say why
            return False

    async def _run(self, program: str, arguments: Sequence[str]) -> str:
        name = " ".join((program, *self.options, *arguments[:1]))
        try:
            done = await run((program, *self.options, *arguments), self.within_s, {**self.environment, **_PLAIN})
        except TimeoutError as error:
            raise UnitFailed(name, f"did not end within {self.within_s:.0f} s") from error
        except OSError as error:
            raise UnitFailed(name, escaped(str(error)), "Is this system run by systemd?") from error
        if done.status != 0:
            raise _SaysNo(name, escaped(done.complaint))
        return done.out.decode(errors="surrogateescape")


class _SaysNo(UnitFailed):
    """The program ran, and its exit status is not 0."""


OF_THE_SYSTEM: Final = Systemd()


def manager(paths: Paths) -> Systemd | None:
    """The one that runs the units of this layout; None if there is none, as below another root."""
    is_there = paths.is_real and is_folder(Path(paths.layout.booted))
    return Systemd(paths.layout.manager, paths.layout.environment) if is_there else None


def assignments(shown: str) -> dict[str, str]:
    """The lines `name=value` that `systemctl show` prints of one unit."""
    return dict(line.partition("=")[::2] for line in lines(shown))
