"""The relay's socket and service, as systemd runs them: started at the addresses wanted, and stopped.

systemd holds the sockets, so nothing is refused while the relay itself restarts. Only other addresses stop it, for a
moment in which nobody else can take those that stay (`held_addresses.py`).
Not known here: whether it works, and who is told its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from agent.decide.relay import listened, listening
from agent.one_pass.held_addresses import HeldAddresses
from agent.see import netlink
from agent.system.passwd import owner_of
from agent.system.systemd import Systemd
from agent.system.text_files import read_text, write_text
from agent.values.errors import AgentError, TargetFailed, UnitFailed
from agent.values.listening import Listener
from agent.values.paths import Paths

SERVICE: Final = "docker-proxy-relay.service"
SOCKET: Final = "docker-proxy-relay.socket"
_MODE: Final = 0o644
_LEAVES_S: Final = 1.0  # open connections have so long to end before it is stopped for other addresses


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

    def strangers_at(self, where: Iterable[str]) -> Mapping[str, str]:
        """Of these addresses those at which somebody else listens, and who; {} also if that cannot be learned."""
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
        self._paths, self._drop_in = paths, paths.relay_drop_in

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

    def strangers_at(self, where: Iterable[str]) -> Mapping[str, str]:
        try:
            found = {end: [one.uid for one in _listeners(end) if one.uid != os.geteuid()] for end in where}
        except AgentError:
            return {}
        return {end: owner_of(uids[0], self._paths) for end, uids in found.items() if uids}

    async def bring_up(
        self, where: tuple[str, ...], user_is_there: Callable[[], None], *, anew: Anew = Anew.NOTHING
    ) -> None:
        """If it is up at other addresses, the socket and the service are stopped first (FACTS 231).

        What can fail, for example on a full disk or because a port is taken, is done before that, so that the relay
        continues where it is. Whether or not the stop succeeds, it is started again: dockerd has its address.
        """
        before, wanted = await asyncio.to_thread(read_text, self._drop_in), listening(where)
        is_stopped = before != wanted or anew is Anew.ALL
        with HeldAddresses() as held:
            if before not in (None, wanted):
                self._may_move(listened(before or ""), where, held)
            if before != wanted:
                await asyncio.to_thread(write_text, self._drop_in, before, wanted, _MODE)
            if is_stopped:
                await self._read_anew(before, wanted)  # also where an earlier agent was killed before it
            try:
                if is_stopped:
                    held.hold(where)
                    with contextlib.suppress(UnitFailed):
                        await self._stop()
                    held.hold(where)  # sockets that an earlier version has opened share their addresses with nobody
                await self._systemd.says("reset-failed", SOCKET, SERVICE)
            finally:
                await self._start("restart" if anew is Anew.SERVICE else "start", user_is_there, where, held)
        if not await self._systemd.says("is-enabled", "--quiet", SOCKET):
            await self._systemd.call("enable", "--quiet", SOCKET)

    async def _read_anew(self, before: str | None, wanted: str) -> None:
        """Of a failure, such as of a busy systemd, nothing is left: the next try would take it for done. And it says
        nothing of whether the relay works.
        """
        try:
            await self._systemd.call("daemon-reload")
        except UnitFailed as error:
            with contextlib.suppress(AgentError):
                await asyncio.to_thread(
                    write_text, self._drop_in, wanted, before, _MODE if before is not None else None
                )
            listens = f"it keeps listening at {', '.join(listened(before))}" if before is not None else ""
            raise TargetFailed(SOCKET, error.wrong, error.remedy, then=listens) from error

    async def _stop(self) -> None:
        """Nobody is served meanwhile, so it is told a second time, and leaves whatever is open."""
        leaving = asyncio.create_task(self._leave_soon())
        try:
            await self._systemd.call("stop", SOCKET, SERVICE)
        finally:
            leaving.cancel()
            await asyncio.wait([leaving])

    async def _leave_soon(self) -> None:
        await asyncio.sleep(_LEAVES_S)
        with contextlib.suppress(UnitFailed):
            await self._systemd.says("kill", "--signal=TERM", SERVICE)

    def _may_move(self, before: tuple[str, ...], where: tuple[str, ...], held: HeldAddresses) -> None:
        """One address that is taken makes the whole socket unit fail, and would cut off users of the others."""
        if len(self.silent_at(before)) == len(before):
            return
        added = [end for end in where if end not in before]
        had = held.hold(added)
        if taken := tuple(end for end in added if end in had or _is_taken(end)):
            port = taken[0].rpartition(":")[2]
            wrong = f"something else listens at {', '.join(taken)}"
            remedy = f"See: sudo ss -tlnp sport = :{port}. Or set relay.port to another port"
            raise TargetFailed(SOCKET, wrong, remedy, then=f"it keeps listening at {', '.join(before)}")

    async def _start(
        self, how: str, user_is_there: Callable[[], None], where: tuple[str, ...], held: HeldAddresses
    ) -> None:
        try:
            await self._start_socket(held)
            user_is_there()
            await self._systemd.call(how, SERVICE)
        except UnitFailed as error:
            raise AgentError(SOCKET, *await self._why(error, where)) from error

    async def _start_socket(self, held: HeldAddresses) -> None:
        try:
            await self._systemd.call("start", SOCKET)
        except UnitFailed:
            if not held.let_go():
                raise
            # What is held here is in the way of a unit that shares nothing, such as an older one.
            await self._systemd.says("reset-failed", SOCKET)
            await self._systemd.call("start", SOCKET)

    async def _why(self, error: UnitFailed, where: tuple[str, ...]) -> tuple[str, str]:
        """systemctl only says that it failed; the unit's result says how."""
        if "not found" in error.what:
            return "is not installed", "Run: sudo docker-proxy-agent install"
        socket, service = await self._systemd.show(("LoadState", "ActiveState", "Result"), (SOCKET, SERVICE))
        for unit, shown in ((SOCKET, socket), (SERVICE, service)):
            if shown.get("ActiveState") == "failed":
                why = shown.get("Result", "not known why")
                if why == "resources":  # as where bind(2) fails
                    strangers = [
                        f"a program of {who} listens at {end}" for end, who in self.strangers_at(where).items()
                    ]
                    why = f"{why}: {' and '.join(strangers) or 'something else may listen there'}"
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

    def strangers_at(self, where: Iterable[str]) -> Mapping[str, str]:  # noqa: ARG002 - a Protocol's
        return {}

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
