"""What changing a Docker asks of the world: who runs it, and a look at it.

`transaction`, `recover`, `roll_back` and `live_restore` know no more of it. `unit` and `restart_command` are
Supervisors and `look` is a Look, without importing this; tests hand in a dockerd of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from agent.values.dockerd import Engine, Reality, Running, UnitState
from agent.values.settings import Settings

AtLast = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Nothing is left to be looked at before a restart."""


class Supervisor(Protocol):
    """Who runs Docker. RestartFailed and UnitFailed say what went wrong."""

    async def state(self) -> UnitState: ...
    async def hanging(self, state: UnitState) -> tuple[str, ...]:
        """The units that are stopped with it, and are active now."""
        ...

    async def goes_down(self) -> bool:
        """Whether the whole system does."""
        ...

    async def daemon_reload(self) -> None: ...
    async def reload(self) -> None:
        """Make dockerd read its file again. UnitFailed if that cannot be done."""
        ...

    async def lift_start_limit(self) -> None:
        """Before a restart: how often Docker was started lately is not to be in its way. NotTried if it would be."""
        ...

    async def restart(self, at_last: AtLast = nothing) -> UnitState:
        """ByOthers if Docker was taken down meanwhile, and not by us.

        `at_last`: after all that takes time, before it is told to stop. What that raises ends the restart.
        """
        ...

    async def stop(self) -> None: ...
    async def start(self) -> UnitState: ...
    async def start_unwatched(self) -> None: ...
    async def start_again(self, units: Sequence[str]) -> tuple[str, ...]:
        """Have those of them started that are down and stay so; which these are."""
        ...


class Look(Protocol):
    """Looks at dockerd again."""

    async def reality(self, desired: Settings) -> Reality: ...
    async def engine(self) -> Engine | None:
        """What it reports; None: it does not run. EngineSilent if it does and does not answer."""
        ...

    async def busy_now(self, found: Reality) -> Reality:
        """The same with what a restart would meet by now."""
        ...

    async def running(self) -> frozenset[Running]:
        """Its containers. EngineSilent as `engine`."""
        ...
