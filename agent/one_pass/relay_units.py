"""The relay's socket and service, as systemd runs them: started at the addresses wanted, and stopped.

systemd holds the sockets, so nothing is refused while the relay itself restarts. Not known here: whether it works, and
who is told its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
from collections.abc import Callable
from typing import Final, Protocol

from agent.decide.relay import listened, listening
from agent.see import netlink
from agent.system.systemd import Systemd
from agent.system.text_files import read_text, write_text
from agent.values.errors import AgentError, TargetFailed, UnitFailed
from agent.values.listening import Listener
from agent.values.paths import Paths

SERVICE: Final = "docker-proxy-relay.service"
SOCKET: Final = "docker-proxy-relay.socket"
_MODE: Final = 0o644


class Anew(enum.Enum):
    """What is restarted, even if it runs."""

    NOTHING = "nothing"
    SERVICE = "service"  # the sockets stay open, and new connections wait meanwhile
    ALL = "all"


class Units(Protocol):
    """Brings the relay up and down."""

    def where(self) -> tuple[str, ...] | None:
        """The addresses at which it was brought up; None: it was not, or was brought down since."""
        ...

    def silent_at(self, where: tuple[str, ...]) -> tuple[str, ...]:
        """Of these addresses those at which nobody listens, whatever was written, or somebody else does.

        () also if that cannot be learned.
        """
        ...

    async def bring_up(
        self, where: tuple[str, ...], user_is_there: Callable[[], None], *, anew: Anew = Anew.NOTHING
    ) -> None:
        """AgentError: why it cannot be; TargetFailed: it cannot listen there, or that could not be written, and it is
        as it was.

        `user_is_there`: called once its user exists, and before it runs.
        """
        ...

    async def bring_down(self) -> None: ...


class RelayUnits:
    """Those of the system's systemd."""

    def __init__(self, paths: Paths, systemd: Systemd) -> None:
        self._systemd = systemd
        self._drop_in = paths.relay_drop_in

    def where(self) -> tuple[str, ...] | None:
        try:
            text = read_text(self._drop_in)
        except AgentError:  # it is written anew
            return ()
        return None if text is None else listened(text)

    def silent_at(self, where: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(end for end in where if not _is_heard(end))
        except AgentError:
            return ()

    async def bring_up(
        self, where: tuple[str, ...], user_is_there: Callable[[], None], *, anew: Anew = Anew.NOTHING
    ) -> None:
        """If it is up at other addresses, the socket and the service are stopped first (FACTS 231).

        What can fail, for example on a full disk or because a port is taken, is done before that, so that the relay
        continues where it is. Whether or not the stop succeeds, it is started again: dockerd has its address.
        """
        before, wanted = await asyncio.to_thread(read_text, self._drop_in), listening(where)
        if before not in (None, wanted):
            self._may_move(listened(before or ""), where)
        is_stopped = before != wanted or anew is Anew.ALL
        if before != wanted:
            await asyncio.to_thread(write_text, self._drop_in, before, wanted, _MODE)
        if is_stopped:
            await self._systemd.call("daemon-reload")  # also where an earlier one failed, or was never made
        try:
            if is_stopped:
                with contextlib.suppress(UnitFailed):
                    await self._systemd.call("stop", SOCKET, SERVICE)
            await self._systemd.says("reset-failed", SOCKET, SERVICE)
        finally:
            await self._start("restart" if anew is Anew.SERVICE else "start", user_is_there)
        if not await self._systemd.says("is-enabled", "--quiet", SOCKET):
            await self._systemd.call("enable", "--quiet", SOCKET)

    def _may_move(self, before: tuple[str, ...], where: tuple[str, ...]) -> None:
        """One address that is taken makes the whole socket unit fail, and would cut off users of the others."""
        if len(self.silent_at(before)) == len(before):
            return
        if taken := tuple(end for end in where if end not in before and _is_taken(end)):
            port = taken[0].rpartition(":")[2]
            wrong = f"something else listens at {', '.join(taken)}"
            remedy = f"See: sudo ss -tlnp sport = :{port}. Or set relay.port to another port"
            raise TargetFailed(SOCKET, wrong, remedy, then=f"it keeps listening at {', '.join(before)}")

    async def _start(self, how: str, user_is_there: Callable[[], None]) -> None:
        try:
            await self._systemd.call("start", SOCKET)
            user_is_there()
            await self._systemd.call(how, SERVICE)
        except UnitFailed as error:
            raise AgentError(SOCKET, *await self._why(error)) from error

    async def _why(self, error: UnitFailed) -> tuple[str, str]:
        """systemctl only says that it failed; the unit's result says how."""
        if "not found" in error.what:
            return "is not installed", "Run: sudo docker-proxy-agent install"
        socket, service = await self._systemd.show(("LoadState", "ActiveState", "Result"), (SOCKET, SERVICE))
        for unit, shown in ((SOCKET, socket), (SERVICE, service)):
            if shown.get("ActiveState") == "failed":
                why = shown.get("Result", "not known why")
                if why == "resources":  # as where bind(2) fails
                    why = f"{why}: something else may listen there"
                return f"{unit} failed ({why})", f"See: journalctl -u {unit} -n 20; sudo ss -tlnp"
        return error.what, f"See: journalctl -u {SOCKET} -u {SERVICE} -n 20"

    async def bring_down(self) -> None:
        await self._systemd.says("disable", "--quiet", SOCKET)
        await self._systemd.call("stop", SOCKET, SERVICE)
        before = await asyncio.to_thread(read_text, self._drop_in)
        await asyncio.to_thread(write_text, self._drop_in, before, None, None)
        await self._systemd.call("daemon-reload")


def _is_taken(end: str) -> bool:
    """Not by trying to bind there, which the agent's own unit denies it (`SocketBindDeny=`)."""
    try:
        return bool(_listeners(end))
    except AgentError:  # systemd says it when it is started
        return False


def _is_heard(end: str) -> bool:
    # systemd opened its own. Who came before it may carry everything, and a probe through that would work.
    return any(one.uid == os.geteuid() for one in _listeners(end))


def _listeners(end: str) -> list[Listener]:
    host, _, port = end.rpartition(":")
    host = host.strip("[]")
    return [one for one in netlink.listeners(int(port), [host]) if one.takes(host, int(port))]


class Somebody:
    """Somebody else's business, as where no systemd is: the probe tells whether it is there."""

    def __init__(self) -> None:
        self._where: tuple[str, ...] | None = None

    def where(self) -> tuple[str, ...] | None:
        return self._where

    def silent_at(self, where: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG002 - a Protocol's
        return ()

    async def bring_up(
        self,
        where: tuple[str, ...],
        user_is_there: Callable[[], None],
        *,
        anew: Anew = Anew.NOTHING,  # noqa: ARG002 - a Protocol's
    ) -> None:
        self._where = where
        user_is_there()

    async def bring_down(self) -> None:
        self._where = None
