"""The relay's process, which its unit starts with the sockets that systemd listens at.

systemd keeps them while the relay restarts: new connections wait meanwhile, and are not refused. After SIGTERM no new
connection is served; open ones have ten seconds to end by themselves, or until nothing has come for two, or until a
second SIGTERM: its sockets are about to be others, and until then nobody is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import ipaddress
import os
import resource
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from agent.probe.pac import PacEvaluator
from agent.relay.aside import Aside
from agent.relay.by_pac import ByPac
from agent.relay.connections_log import ConnectionsLog, Line
from agent.relay.draining import Draining
from agent.relay.noted import Kind, Noted
from agent.relay.open import Opening
from agent.relay.orders_file import OrdersFile
from agent.relay.serving import Serving, Told
from agent.relay.state_file import StateFile
from agent.relay.tally import Tally
from agent.relay.visit import PATIENCE, Patience
from agent.relay.where import Near
from agent.relay.who import Who
from agent.see import netlink
from agent.system import heap
from agent.system.notify import Notify
from agent.values.errors import AgentError
from agent.values.paths import Paths
from agent.values.relay import LogMode, Orders, RelayState

DRAINS_S: Final = 10.0
_QUIET_S: Final = 2.0
_LOOK_S: Final = 0.1
_FIRST: Final = 3  # SD_LISTEN_FDS_START
_SUMMARY_S: Final = 60.0
# Why an address cannot be listened at, and what to do.
_LISTENED: Final = {
    errno.EADDRINUSE: "See who has it: sudo ss -tlnp sport = :{port}",
    errno.EADDRNOTAVAIL: "See which addresses this host has: ip address",
}
_DESCRIPTORS: Final = 65536  # six for each connection that is held back, and the default is 1024

Say = Callable[[str], None]


def given(environment: Mapping[str, str], pid: int) -> list[socket.socket]:
    """The listening sockets that systemd has handed over (sd_listen_fds(3))."""
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(pid) or not count.isdecimal() or not int(count):
        raise AgentError("relay", "got no sockets", "systemd starts it: systemctl start docker-proxy-relay.socket")
    found = [socket.socket(fileno=number) for number in range(_FIRST, _FIRST + int(count))]
    for one in found:
        one.set_inheritable(False)
        _check(one)
    return found


def listening(ends: Sequence[str]) -> list[socket.socket]:
    """The same by `ADDRESS:PORT`, for a relay that systemd does not start."""
    found = []
    for end in ends:
        host, _, port = end.rpartition(":")
        try:
            address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            found.append(socket.create_server((str(address), int(port)), family=family, backlog=1024))
        except (ValueError, OverflowError) as error:
            raise AgentError(f"--listen {end}", "is not an address and a port, such as 127.0.0.1:3130") from error
        except OSError as error:
            number = error.errno or 0  # its own text names the address once more, as Python spells it
            remedy = _LISTENED.get(number, "").format(port=port)
            raise AgentError(f"--listen {end}", f"cannot listen there: {os.strerror(number)}", remedy) from error
        _check(found[-1])
    return found


def _check(one: socket.socket) -> None:
    """AgentError for a socket that would serve everybody, or nobody."""
    one.setblocking(False)  # noqa: FBT003 - the library's
    wrong = _wrong_with(one)
    if wrong:
        one.close()
        raise AgentError("relay", wrong, "Name the addresses one by one")


def _wrong_with(one: socket.socket) -> str:
    is_ip = one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM
    if not is_ip or not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "got a socket that does not listen for TCP"
    address = ipaddress.ip_address(str(one.getsockname()[0]).partition("%")[0])
    return f"listens at {address}, for the whole network" if address.is_unspecified else ""


async def relay(
    paths: Paths, sockets: Sequence[socket.socket], *, evaluator: PacEvaluator, say: Say, log: Path
) -> None:
    """Serve until SIGTERM. `log`: where connections are written down, if the orders want it."""
    _raise_limit()
    running = Running(paths, sockets, say, log, evaluator=evaluator)
    stop, leave = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        (leave if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # the orders are read when they change
    notify = Notify()
    running.start()
    notify.ready()
    try:
        await _until(stop, notify)
        notify.stopping()
        await running.drain(leave)
    finally:
        await running.aclose()


async def _until(stop: asyncio.Event, notify: Notify) -> None:
    """Meanwhile systemd is told that this loop still turns, if its unit asks for that."""
    while notify.watchdog_s:
        notify.alive()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(notify.watchdog_s / 3):
                await stop.wait()
                return
    await stop.wait()


class Running:
    """All parts of one relay."""

    def __init__(  # noqa: PLR0913 - the last two are named at every call
        self,
        paths: Paths,
        sockets: Sequence[socket.socket],
        say: Say,
        log: Path,
        *,
        evaluator: PacEvaluator,
        patience: Patience = PATIENCE,
    ) -> None:
        self._say = say
        self._sockets = sockets
        self._loop = asyncio.get_running_loop()
        self._tally = Tally()
        self._mode = LogMode.NONE
        self._log = ConnectionsLog(log)
        self._log_has_failed = False
        who = Who(Aside())
        near = Near(netlink.leads_here, who.is_guest)
        self._by_pac = by_pac = ByPac(evaluator, whose=who.whose)
        own_ports = frozenset(one.getsockname()[1] for one in sockets)
        opening = Opening(self._tally, near, own_ports, by_pac=by_pac, whose=who.whose)
        noted = Noted(say)
        ended = functools.partial(noted.note, Kind.TOO_HEAVY)
        self._draining = Draining(moved=opening.note_moved, ended=ended, whose=who.whose)
        self._state = StateFile(paths.relay_state, self._tally, self._counted, say)
        told = Told(noted, self._noted, self._write_down)
        self._serving = Serving(
            opening, self._tally, who=who, draining=self._draining, told=told, patience=patience
        )  # fmt: skip
        self._orders = OrdersFile(paths.relay_orders, self._obey)
        self._summed: dict[str, tuple[int, int, int, int]] = {}
        self._summary: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._orders.start()
        self._state.write()
        for one in self._sockets:
            self._serving.listen(one)
        heap.give_back()  # what the imports have left

    async def drain(self, leave: asyncio.Event) -> None:
        self._serving.stop_listening()
        began = self._loop.time()
        while not (self._serving.is_idle or leave.is_set()) and self._loop.time() - began < DRAINS_S:
            if self._loop.time() - max(began, self._draining.latest()) > _QUIET_S:
                return
            await asyncio.sleep(_LOOK_S)

    async def aclose(self) -> None:
        self._orders.close()
        await self._serving.aclose()
        await self._by_pac.aclose()
        self._draining.close()
        self._sum_up()
        if self._summary is not None:
            self._summary.cancel()
        self._state.write()
        self._state.close()
        self._log.close()
        for one in self._sockets:
            one.close()

    def _obey(self, orders: Orders | None, problem: str) -> None:
        if problem:
            self._say(problem)
        self._mode = LogMode.NONE if orders is None else orders.log
        self._serving.obey(orders)
        self._tally.note_orders(orders.generation if orders is not None else 0, problem)
        self._state.note()

    def _counted(self) -> RelayState:
        self._serving.count_moved()
        return self._tally.state(self._serving.turned_away)

    # What is written down of connections.

    def _noted(self) -> None:
        self._state.note()
        if self._mode is LogMode.SUMMARY and self._summary is None:
            self._summary = self._loop.call_later(_SUMMARY_S, self._sum_up)

    def _write_down(self, line: Line) -> None:
        try:
            self._log.write(line)
        except OSError as failure:
            if not self._log_has_failed:
                self._log_has_failed = True
                self._say(f"connections are not logged: {failure.strerror}")

    def _sum_up(self) -> None:
        """A line for each upstream that anything was carried by."""
        self._summary = None
        if self._mode is not LogMode.SUMMARY:
            return
        self._serving.count_moved()
        for name, totals in self._tally.totals().items():
            before = self._summed.get(name, (0, 0, 0, 0))
            connections, failed, up, down = (now - then for now, then in zip(totals, before, strict=True))
            if connections or failed or up or down:
                said = f", {failed} failed" if failed else ""
                self._say(f"{name}: {connections} connections{said}, {_megabytes(down)} down, {_megabytes(up)} up")
            self._summed[name] = totals


def _megabytes(count: int) -> str:
    return f"{count / 1000**2:.1f} MB"


def _raise_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
