"""How the agent manages the relay: gives it each choice at once, probes it, and gives its address to Docker or not.

relay.json is written without waiting for a stable network: switching back costs nothing, and Docker is not touched. It
stays when the agent stops.
Not known here: the rules (`decide/relay.py`), how systemd runs it (`relay_units.py`), and the relay itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import UNSET

from agent.decide.choose import Choice, Ending
from agent.decide.pac import PacSeen, Said
from agent.decide.relay import (
    AGAIN_S,
    LOOPBACK,
    PROVES_S,
    SOFT_AGAIN_S,
    TAKES_S,
    Chosen,
    Relayed,
    Relaying,
    Silence,
    Stage,
    addresses,
    after,
    anew,
    as_upstream,
    begun,
    bridge_of,
    by_a_pac,
    crowd_at,
    deaf,
    ends_of_containers,
    excluded_by_all,
    first_of,
    fitting,
    follows,
    is_due,
    is_full,
    is_the_last_try,
    may_be_asked_through,
    may_be_by_another,
    next_at,
    orders,
    pac_in_force,
    port_had,
    ports_of,
    refused_ways,
    relay_pac,
    settled_in,
    ways_out,
    with_passwords,
    without_passwords,
    without_refused,
)
from agent.docker.quarantine import Quarantine
from agent.one_pass.ports import Prober, Works
from agent.one_pass.relay_bridges import Bridges
from agent.one_pass.relay_file import HadFile, InternalFile, RelayFile, Way, WayFile
from agent.one_pass.relay_memory import Led, RelayMemory
from agent.one_pass.relay_report import state_of
from agent.one_pass.relay_units import Anew, Somebody, Units
from agent.probe.listens import serves
from agent.see import netlink
from agent.see.netlink import NetlinkFailed
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.system.files import (
    Changed,
    FileState,
    identity_of,
    is_there,
    read_file,
    refill_file,
    remove_file,
    replace_file,
)
from agent.system.passwd import group
from agent.system.to_the_end import to_the_end
from agent.values.errors import AgentError, TargetFailed
from agent.values.events import (
    Facts,
    RelayDisabled,
    RelayEnabled,
    RelayFailed,
    RelayFellBack,
    RelayRefused,
    RelaySwitched,
)
from agent.values.listening import Backlog, Sockets
from agent.values.paths import Paths
from agent.values.policy import Listen, Network, Places, Policy, RegistryUrl, Upstream
from agent.values.relay import Orders, RelayPac, RelayState, UpstreamFailed, orders_file, orders_in
from agent.values.settings import Settings
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome, Verdict

GROUP: Final = "docker-proxy-relay"  # who may read relay.json
_ORDERS_MODE: Final = 0o640
_MOST_NEWS: Final = 100  # within one look, which starts again each time
_NOT_ASKED_FOR: Final = "the policy does not enable it"


ScriptOf = Callable[[str], tuple[str, str] | None]


class LocalRelay:
    """The relay of this host, for one policy."""

    def __init__(  # noqa: PLR0913 - named at its one call
        self,
        paths: Paths,
        policy: Policy,
        *,
        prober: Prober,
        sockets: Sockets,
        bridge: Callable[[], Awaitable[str | None]],
        bridges: Bridges | None = None,
        memory: RelayMemory | None = None,
        units: Units | None = None,
        unfolded: Callable[[], Policy] | None = None,
        script_of: ScriptOf = lambda _: None,
        pacs: Callable[[], Sequence[PacSeen]] = lambda: (),
        clock: Clock = SYSTEM_CLOCK,
        backlog: Callable[[str, int], Backlog | None] = netlink.backlog_of,
        serves: Callable[[str, int, float], Awaitable[bool]] = serves,
    ) -> None:
        """`bridge`: the address of Docker's default bridge; None: it is not known; '': it must not listen there.

        `unfolded`: the policy with what its PACs say. `script_of`: the script of one, and what it is told of this host.
        `pacs`: what they say here. `backlog`: of the socket that listens there. `serves`: whether what
        listens there answers us within so many seconds.
        """
        self._paths, self._policy, self._relay = paths, policy, policy.relay
        self._unfolded = unfolded or (lambda: policy)
        self._script_of = script_of
        self._pacs = pacs
        self._prober = prober
        self._sockets = sockets
        self._bridge = bridge
        self._bridge_was: str | None = None  # when it was asked for last
        self._bridges = bridges
        self._memory = memory or RelayMemory()
        self._units = units or Somebody()
        self._clock = clock
        self._backlog, self._serves = backlog, serves
        self._file, self._way, self._internal = RelayFile(paths.state), WayFile(paths.state), InternalFile(paths.state)
        self._had = HadFile(paths.state)
        self._quarantine = Quarantine(paths.state)
        known = self._memory
        if known.relay != policy.relay:  # what else is in the policy does not matter to it
            known.relay, known.relaying, known.unsaved = policy.relay, Relaying(), ""
        self._is_in_docker = False
        self._earlier: tuple[int, ...] = ()  # the ports of earlier policies that Docker still has
        self._may_be_had: tuple[int, ...] = ()  # those that containers have, too, or may have
        self._had_at: tuple[int, ...] = ()  # the ports at which Docker has it, or may have
        self._silence = Silence()
        self._is_kept = False  # by the last pass

    def seen(self, in_docker: Collection[Settings], *, is_unheard: bool = False) -> Relayed:
        """As it stands. `in_docker`: what Docker runs with, and what it would after a start.

        `is_unheard`: Docker does not say what it runs with. Then nothing is taken from it that it may have.
        """
        is_in_docker = port_had(in_docker, (self._relay.port,)) is not None
        before = [port for port in ports_of(self._units.where() or ()) if port != self._relay.port]
        had = (port for one in in_docker for port in before if port_had((one,), (port,)) is not None)
        self._earlier = tuple(dict.fromkeys(had))
        # A container may have the port of any policy since Docker was started last.
        self._may_be_had = tuple(before) if is_unheard or self._earlier else ()
        may_be_had = is_unheard and (self.is_up or is_there(self._paths.relay_orders))
        self._is_in_docker, self._is_kept = is_in_docker or bool(self._may_be_had) or may_be_had, False
        own = (self._relay.port,) if is_in_docker else ()
        self._had_at = ports_of(self._units.where() or ()) if is_unheard else (*own, *self._earlier)
        self._silence = Silence()
        self._hear()
        memory, cannot = self._memory, self._cannot()
        if not self._relay.enable or cannot:
            memory.relaying = Relaying(because=cannot)
            return self._as_it_stands()
        gave_up = self._file.load(self._relay) or memory.unsaved
        if memory.relaying.stage is Stage.OFF:
            memory.relaying = begun(is_in_docker=is_in_docker, gave_up=gave_up)
        elif not gave_up:
            memory.relaying = anew(memory.relaying)
        if memory.relaying.is_used and self._is_quarantined():
            self._conclude(Relaying(Stage.FAILED, because="Docker did not run with its address"))
        return self._as_it_stands()

    def _is_quarantined(self) -> bool:
        until = self._quarantine.until({GROUP: self._as_it_stands().address})
        return any(self._clock.boottime_s() < at for at in until.values())

    def _cannot(self) -> str:
        if not self._relay.enable:
            return ""
        if not self._paths.layout.bridge_is_here:
            return "a rootless Docker has a network of its own, where 127.0.0.1 is not this host's"
        if not self._prober.vantage.is_host:
            return "this Docker is in a network of its own, where 127.0.0.1 is not this host's"
        return ""

    @property
    def upstream(self) -> str | None:
        return first_of(self._orders(), self._unfolded().upstreams)

    async def tell(self, chosen: Chosen) -> Relayed:
        """Switching costs nothing, so it does not wait until Docker is known. Its bridges do: Docker tells of them."""
        if names := self._names(chosen):
            await self._tell(names, chosen)
        else:
            self._withhold_passwords(chosen.network, chosen.verdicts)
        return self._as_it_stands()

    async def serve(self, chosen: Chosen, works: Works, *, may_start: bool) -> Relayed:
        """Tell it of a choice, and probe it where that is due. `works`: how an upstream does without it, asked now.

        `may_start`: whether systemd may be asked to start or stop something.
        """
        try:
            self._keep_way(Way())
            return await self._serve(chosen, works, may_start=may_start)
        finally:
            self._keep_in_mind()

    async def serve_paused(self, chosen: Chosen) -> Relayed:
        """A pause outlives a boot, and relay.json does not: Docker, which has its address, would reach nothing."""
        if self._is_in_docker and self._leads_nowhere and (names := self._names(chosen)):
            await self._tell(names, chosen)
        self._take_the_refused(chosen.verdicts)
        told = self._orders()
        if self._is_in_docker and told is not None and told.upstreams:
            # What a PAC names for each host cannot be kept by names.
            names = tuple(one.name for one in told.upstreams) if told.pac is None else ()
            if names != self._way_on_disk().upstreams:
                self._keep_way(Way(self._memory.network if names else "", names))
        self._silence = Silence(self._silent(), is_paused=True)
        return await self.tell_of_bridges()

    async def serve_offline(self, *, is_paused: bool, may_start: bool) -> Relayed:
        if is_paused:
            self._silence = Silence(self._silent(), is_paused=True)
        elif may_start:
            await self._revive()
        return await self.tell_of_bridges()

    async def tell_at_once(self, network: Network, refused: Mapping[str, Verdict], *, is_paused: bool) -> Relayed:
        """Before anything that may be slow."""
        if self._is_to_be_told:
            way = self._kept_way() if is_paused else Way()
            if way.upstreams:
                choice = Choice(Ending.CHOSEN, "as before the pause", way.upstreams[0])
                chosen = Chosen(msgspec.structs.replace(network, name=way.network), refused, choice)
                await self._tell(way.upstreams, chosen)
            else:
                self._tell_of_no_upstream(network)
        return self._as_it_stands()

    async def withhold_passwords(
        self, network: Network, refused: Mapping[str, Verdict], *, is_offline: bool = False
    ) -> Relayed:
        """Before anything is asked: what this network does not use may be anybody here, and choosing may take long."""
        memory = self._memory
        if memory.took_passwords and not is_offline:  # this may be where it was before
            self._give_back_passwords(network, refused)
        # The first look on arrival may know too little to recognise where that is: not every network ends it.
        memory.took_passwords = is_offline or (memory.took_passwords and not self._uses_a_password(network))
        self._withhold_passwords(network, refused)
        return self._as_it_stands()

    async def give_back_passwords(self, network: Network, refused: Mapping[str, Verdict]) -> Relayed:
        """In a pause, which may have begun where they were withheld, nothing else would give them back."""
        self._give_back_passwords(network, refused)
        return self._as_it_stands()

    def _give_back_passwords(self, network: Network, refused: Mapping[str, Verdict]) -> None:
        if (told := self._orders()) is not None:
            upstreams = self._unfolded().upstreams
            self._put(told, with_passwords(told, network, upstreams, refused_ways(upstreams, refused)))

    def _uses_a_password(self, network: Network) -> bool:
        """Whether an upstream of the relay's has one in this network."""
        upstreams, told = self._unfolded().upstreams, self._orders()
        used = {upstream.name for upstream in told.upstreams} & {*network.use} if told is not None else set()
        return any(upstreams[name].username for name in used if name in upstreams)

    def _take_the_refused(self, verdicts: Mapping[str, Verdict]) -> None:
        """A pause leaves it what it has, but each connection would send it again, and after a few an account is locked.

        A portal in the proxy's place has refused nothing, and passes.
        """
        refusing = {name: one for name, one in verdicts.items() if one.outcome is Outcome.PROXY_AUTH}
        if (told := self._orders()) is not None:
            self._put(told, without_refused(told, refused_ways(self._unfolded().upstreams, refusing)))

    def _keep_way(self, way: Way) -> None:
        """For a boot in a pause; else nothing is kept."""
        if self._way_on_disk() != way and self._way.keep(way):
            self._memory.way = way

    def _way_on_disk(self) -> Way:
        if self._memory.way is None:
            self._memory.way = self._way.load()
        return self._memory.way

    def _kept_way(self) -> Way:
        """As far as the policy has it still. A name that is a PAC's by now would be a way without a proxy."""
        way, upstreams = self._way_on_disk(), self._policy.upstreams
        known = tuple(name for name in way.upstreams if name in upstreams and not upstreams[name].is_pac)
        return Way(way.network, known) if known[:1] == way.upstreams[:1] else Way()

    def _tell_of_no_upstream(self, network: Network | None = None) -> None:
        """relay.json is gone after a boot, and Docker still has its address. Until an upstream works, the relay reaches
        only what needs none.
        """
        before = self._orders()
        if not self._is_to_be_told or (before is not None and network is None):
            return
        here = excluded_by_all(self._policy, network) if network is not None else ()
        wanted = self._wanted_orders((), {})
        no_proxy = tuple(dict.fromkeys((*wanted.no_proxy, *here)))
        self._put(before, msgspec.structs.replace(wanted, no_proxy=no_proxy))

    async def tell_of_bridges(self) -> Relayed:
        """Tell it only of the bridges: clients may still use the upstreams that it was given before."""
        await self._tell_of_bridges()
        return self._as_it_stands()

    async def tell_who_waits(self) -> bool:
        """The same beside a pass, which may take long; whether somebody still waits for word."""
        await self._tell_of_bridges()
        state, told = self.state(), self._orders()
        return state is not None and told is not None and not {*state.untold} <= {*(told.told or ())}

    async def leads_out(self, port: int, chosen: Chosen, snapshot: Snapshot) -> Verdict | None:
        """Probed no more often than an upstream in use. A failure that it reports causes the next pass: with a probe in
        each pass, one would follow the other forever.
        """
        memory, told, now = self._memory, self._orders(), self._clock.boottime_s()
        if told is None or not told.upstreams or not may_be_asked_through(told, chosen, self._unfolded().upstreams):
            return None
        # What is cheap to see is not believed to be otherwise until the next probe is due.
        is_silent = bool(self._units.silent_at((f"{LOOPBACK}:{port}",)))
        of = (port, snapshot.fingerprint(), told.upstreams, told.pac, is_silent)
        believed_s = self._policy.probe.recheck or PROVES_S
        if memory.led is None or memory.led.of != of or now - memory.led.at >= believed_s:
            through, crowd = await self._in_a_crowd(lambda: self._through(port))
            # Others who keep it busy are no outage, and no reason to say that it leads nowhere.
            is_said = through.is_ok or not (crowd or is_full(through))
            memory.led, memory.state_asked = Led(of, now, through if is_said else None), memory.state
        return memory.led.verdict

    async def _tell_of_bridges(self) -> None:
        if self.is_up or not self._is_unused:
            self._tell_of_no_upstream()
            if self._orders() is not None:
                await self._learn_bridges()
            if (before := self._orders()) is not None:
                internal, told = self._of_bridges(before)
                self._put(before, msgspec.structs.replace(before, internal=internal, told=told))

    @property
    def is_up(self) -> bool:
        """Whether it was brought up, by whichever agent: systemd starts it at boot, and Docker may have its address."""
        return self._units.where() is not None

    @property
    def _is_to_be_told(self) -> bool:
        return (self._is_in_docker or self.is_up) and self._leads_nowhere

    @property
    def _leads_nowhere(self) -> bool:
        told = self._orders()
        return told is None or not told.upstreams

    @property
    def _is_unused(self) -> bool:
        return self._memory.relaying.stage is Stage.OFF and not self._is_in_docker

    def _names(self, chosen: Chosen) -> tuple[str, ...]:
        """A PAC is no upstream by itself: where it cannot be fetched, it would mean no proxy."""
        known = self._unfolded().upstreams
        ways = ways_out(chosen.network, chosen.choice, chosen.verdicts)
        return tuple(name for name in ways if not known[name].is_pac)

    async def _serve(self, chosen: Chosen, works: Works, *, may_start: bool) -> Relayed:
        if self._is_unused:
            if may_start and (self._units.where() is not None or is_there(self._paths.relay_orders)):
                await self._end()
            return self._as_it_stands()
        if not (names := self._names(chosen)):
            self._withhold_passwords(chosen.network, chosen.verdicts)
            if may_start:
                await self._revive()
            return await self.tell_of_bridges()
        await self._tell(names, chosen)
        if await self._learn_bridges():  # which must not keep a switch waiting
            await self._tell(names, chosen)
        if self._memory.relaying.is_used:
            self._bridge_was = await self._bridge()
        if may_start and self._memory.relaying.is_used:
            upstream = self._unfolded().upstreams[names[0]]
            await self._keep(upstream, chosen.verdicts.get(names[0]), functools.partial(works, names[0]))
            self._is_kept = True
            silent = self._silent()
            self._silence = Silence(silent, self._memory.relaying.because if silent else "")
        elif may_start:
            await self._revive()
        is_next = not may_start and self._memory.relaying.stage is Stage.GIVEN
        comes_up = is_next and bool(self._units.silent_at(self._wanted()))
        return msgspec.structs.replace(self._as_it_stands(), comes_up=comes_up)

    def _withhold_passwords(self, network: Network, verdicts: Mapping[str, Verdict]) -> None:
        """It keeps its upstreams if nothing works. But here a proxy's address may be anybody's, as behind a portal."""
        if (before := self._orders()) is not None:
            refused = refused_ways(self._unfolded().upstreams, verdicts)
            self._put(before, without_passwords(before, network, refused))

    def _as_it_stands(self) -> Relayed:
        memory, told = self._memory, self._orders()
        where = frozenset(self._units.where() or ())
        if memory.had_on_disk is None:
            memory.had_on_disk = self._had.load()
        memory.had |= memory.had_on_disk | ends_of_containers(where)
        left, is_off = tuple(sorted(memory.had - where)), memory.relaying.stage is Stage.OFF
        return Relayed(
            self._relay,
            memory.relaying,
            earlier=self._earlier,
            upstream=first_of(told, self._unfolded().upstreams),
            generation=told.generation if told is not None else 0,
            state=memory.state,
            silence=self._silence,
            leaving=tuple(sorted(memory.had & where)) if is_off else (),
            listens=tuple(sorted(memory.had & where)),
            gone=self._units.silent_at(left) if left else (),
            taken=self._units.strangers_at(memory.had) if memory.had else {},
        )

    # What it is told.

    def _orders(self) -> Orders | None:
        """Those on disk; None: none, or none that can be understood."""
        path, memory = self._paths.relay_orders, self._memory
        if (found := identity_of(path)) != memory.orders_on_disk:
            memory.orders_on_disk, memory.orders, memory.told_at = found, None, self._clock.boottime_s()
            with contextlib.suppress(AgentError):  # written anew with the next choice
                state = read_file(path)
                memory.orders = orders_in(state.data, str(path)) if state is not None and state.data else None
        return memory.orders

    async def _tell(self, names: Sequence[str], chosen: Chosen) -> None:
        owners = await self._owners(names)  # first: whatever was told meanwhile is not taken back
        before, wanted = self._orders(), self._wanted_orders(names, owners, chosen)
        self._memory.network = chosen.network.name
        if (written := self._put(before, wanted)) is None:
            return
        used = first_of(before, self._unfolded().upstreams)
        if used != names[0] or _others(before) != _others(written):
            self._note(
                RelaySwitched(
                    upstream=names[0],
                    previous_upstream=UNSET if used is None or used == names[0] else used,
                    network=chosen.network.name,
                    others=tuple(names[1:]),
                    generation=written.generation,
                )
            )

    def _wanted_orders(
        self, names: Sequence[str], owners: Mapping[str, int | None], chosen: Chosen | None = None
    ) -> Orders:
        ca_file = self._policy.probe.ca_file
        internal, told = self._of_bridges(self._orders())
        return orders(
            self._unfolded(),
            names,
            owners,
            ca_file=str(self._paths.below(ca_file)) if ca_file else "",
            internal=internal,
            told=told,
            verdicts=chosen.verdicts if chosen is not None else {},
            pac=self._pac(chosen) if chosen is not None else None,
        )

    def _put(self, before: Orders | None, wanted: Orders) -> Orders | None:
        """What was written; None: it has these orders already."""
        if (written := follows(before, fitting(wanted), self._memory.latest)) is not None:
            self._write(orders_file(written))
            self._memory.orders, self._memory.orders_on_disk = written, identity_of(self._paths.relay_orders)
            self._memory.told_at, self._memory.latest = self._clock.boottime_s(), written.generation
        return written

    async def _learn_bridges(self) -> bool:
        """Whether there is news of them."""
        if self._bridges is None or Listen.BRIDGE not in self._relay.listen:
            return False
        before, told = (self._bridges.internal, self._bridges.told), self._orders()
        internal = told.internal if told is not None else ()
        leading_out = (one for one in (told and told.told) or () if one.partition(" ")[2] not in internal)
        await self._bridges.look(frozenset(leading_out))
        if (found := self._bridges.internal) not in (None, self._memory.internal) and self._internal.keep(found or ()):
            self._memory.internal = found
        return (self._bridges.internal, self._bridges.told) != before

    def _of_bridges(self, before: Orders | None) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
        """The bridges of internal networks, and those of which it is known whether they are.

        As it was told before until Docker has answered, because containers may run without dockerd. If it was told
        nothing before, as at boot, connections from a bridge wait, and those from a bridge that was internal before the
        boot are refused.
        """
        internal, told = (before.internal, before.told) if before is not None else ((), None)
        if self._bridges is None or Listen.BRIDGE not in self._relay.listen:
            return internal, told
        internal = internal if before is not None else self._internal.load()
        found = self._bridges.internal
        return (found, self._bridges.told) if found is not None else (internal, told or ())

    def _pac(self, chosen: Chosen) -> RelayPac | None:
        policy = self._unfolded()
        pac = pac_in_force(policy, chosen.choice)
        found = self._script_of(pac.name) if pac is not None else None
        if pac is None or found is None:
            return None
        script, my_ip = found
        return relay_pac(policy, pac, script, my_ip, verdicts=chosen.verdicts, said=self._said(pac.name))

    def _said(self, pac: str) -> Said | None:
        return next((one.said for one in self._pacs() if one.name == pac), None)

    async def _owners(self, names: Sequence[str]) -> dict[str, int | None]:
        """The uids of the users that `owner` names; None: not known, and nothing is sent to that upstream."""
        owners = {owner for name in names if (owner := self._unfolded().upstreams[name].owner)}
        return {owner: await asyncio.to_thread(self._uid, owner) for owner in sorted(owners)}

    def _uid(self, owner: str) -> int | None:
        try:
            return self._sockets.uid(owner)
        except AgentError:
            return None

    def _write(self, data: bytes) -> None:
        """Nobody but root and the relay may read it, and as soon as it is there, the relay may, and finds it whole."""
        path = self._paths.relay_orders
        if (found := read_file(path)) is not None:
            found = self._for_the_relay(path, found)
            try:
                replace_file(path, data, expected=found)
            except Changed:
                raise
            except AgentError:
                # On a full disk the file would keep the passwords that are taken from it, wherever this host moves.
                refill_file(path, data, expected=found)
            return
        beside = path.with_name(f"{path.name}.new")
        self._for_the_relay(beside, replace_file(beside, data, expected=read_file(beside)))
        try:
            beside.replace(path)
        except OSError as error:
            raise AgentError(str(path), f"cannot be written: {error.strerror}") from error

    def _give(self) -> None:
        """Write a file again that is older than the relay's user: the relay does not read the same file twice."""
        path = self._paths.relay_orders
        found = read_file(path)
        if found is not None and (given := self._for_the_relay(path, found)) is not found:
            replace_file(path, given.data, expected=given)
            self._memory.orders_on_disk = identity_of(path)

    def _for_the_relay(self, path: Path, found: FileState) -> FileState:
        reader = self._reader()
        if reader is None or (found.gid, found.mode) == (reader, _ORDERS_MODE):
            return found
        try:
            os.chown(path, -1, reader, follow_symlinks=False)
            path.chmod(_ORDERS_MODE)
        except OSError as error:
            raise AgentError(str(path), f"cannot be given to the relay: {error.strerror}") from error
        given = read_file(path)
        return found if given is None else given

    def _reader(self) -> int | None:
        """The relay's group; None: it is not installed, and runs as who the agent is."""
        if not self._paths.is_the_systems:
            return None
        with contextlib.suppress(OSError):
            found = group(self._paths.below("/etc/group").read_text(errors="replace"), GROUP)
            return found.gid if found is not None else None
        return None

    # Whether it works.

    async def _keep(self, upstream: Upstream, known: Verdict | None, works: Callable[[], Awaitable[Verdict]]) -> None:
        """`known`: the verdict on the upstream without the relay; `works`: a current one."""
        memory, relaying, wanted = self._memory, self._memory.relaying, self._wanted()
        now = self._clock.boottime_s()
        problem = deaf(self._orders(), memory.told_at, memory.state, now)
        is_doubted = memory.is_silent or bool(problem) or bool(self._silent())
        is_asked = is_due(relaying, now, self._policy.probe.recheck, is_doubted=is_doubted)
        memory.is_silent = memory.is_silent and not is_asked
        fault = None
        if self._units.where() != wanted or (is_asked and self._may_be_down(wanted, problem)):
            try:
                # Not cut short by a move: one that is stopped to be started elsewhere must not stay so.
                await to_the_end(self._units.bring_up(wanted, self._give, anew=self._anew(wanted, problem)), None)
            except TargetFailed as error:  # it goes on where it was, and says nothing of whether it works
                fault = error
            except AgentError as error:
                problem = str(error)
            else:
                silent = self._units.silent_at(wanted)
                problem = problem or (f"it does not listen at {', '.join(silent)}" if silent else "")
        if fault is not None and self._is_elsewhere():
            memory.relaying = msgspec.structs.replace(relaying, asked=now, because=fault.what)
        elif is_asked:
            if problem:
                through, crowd = Verdict(Outcome.ERROR, problem), ""
            else:
                through, crowd = await self._in_a_crowd(self._through)
            settled = self._settled(through)
            if settled is None:
                without = await works() if _is_worth_asking(through, known) else known
                concluded = after(self._memory.relaying, through, without, self._clock.boottime_s(), crowd=crowd)
            else:
                concluded = await self._concluded_by(settled, through, upstream, known)
            memory.state_asked = memory.state
            self._conclude(concluded)
        if fault is not None:
            raise fault

    async def _revive(self) -> None:
        """Bring it up where Docker has it, although nothing is chosen, or it is switched off or given up: Docker's
        restart may have to wait for days.
        """
        memory, now = self._memory, self._clock.boottime_s()
        if memory.state is not None or not self._had_at:  # by itself, or nobody needs it
            memory.not_revived = ""
        is_down = memory.not_revived or self._silent()
        if is_down and (memory.revived is None or now >= memory.revived + SOFT_AGAIN_S):
            self._bridge_was = await self._bridge()
            memory.revived = now
            await to_the_end(self._bring_up_again(), None)
        # Its sockets may be open, and nobody behind them.
        self._silence = Silence(self._had_at if memory.not_revived else self._silent(), memory.not_revived)

    async def _bring_up_again(self) -> None:
        """What comes of it is known also where a move cuts the look short."""
        self._memory.not_revived = ""
        try:
            await self._units.bring_up(self._listened(), self._give, anew=Anew.ALL)
        except AgentError as error:
            self._memory.not_revived = error.what.rstrip(".")  # systemctl says whole sentences

    def _silent(self) -> tuple[int, ...]:
        """The ports at which Docker has it, or may have, and where it does not listen."""
        silent = ports_of(self._units.silent_at(tuple(f"{LOOPBACK}:{port}" for port in self._had_at)))
        return tuple(port for port in self._had_at if port in silent)

    def _listened(self) -> tuple[str, ...]:
        """Where it was brought up, but at a port that it was given up at, where only others may listen."""
        where, port = self._units.where() or (), self._relay.port
        if self._memory.relaying.stage is Stage.FAILED and port not in self._had_at:
            where = tuple(end for end in where if not end.endswith(f":{port}"))
        return where or self._addresses(self._had_at)

    def _is_elsewhere(self) -> bool:
        """Whether it could not move to this policy's port. A probe there would reach somebody else."""
        at_loopback = (f"{LOOPBACK}:{self._relay.port}",)
        return self._memory.relaying.stage is Stage.TRIED and self._units.silent_at(at_loopback) == at_loopback

    def _settled(self, through: Verdict) -> tuple[RegistryUrl, ...] | None:
        """The registries that tell whether the relay itself fails; None: any does."""
        told = self._orders()
        pac = told.pac if told is not None else None
        said = self._said(pac.name) if pac is not None else None
        if pac is None or said is None or not may_be_by_another(through, pac, said):
            return None
        return settled_in(pac, said)

    async def _concluded_by(
        self, settled: tuple[RegistryUrl, ...], through: Verdict, upstream: Upstream, known: Verdict | None
    ) -> Relaying:
        """By these registries alone: for the others it may have gone where the PAC sends them."""
        if not settled:
            return by_a_pac(self._memory.relaying, through, self._clock.boottime_s())
        itself = as_upstream(self._relay.port)
        again, crowd = await self._in_a_crowd(lambda: self._prober.verdict_by(settled, itself))
        # Not by the verdict that is known: another registry may have been enough for that.
        without = await self._prober.verdict_by(settled, upstream) if _is_worth_asking(again, known) else known
        return after(self._memory.relaying, again, without, self._clock.boottime_s(), crowd=crowd)

    def _may_be_down(self, wanted: tuple[str, ...], problem: str) -> bool:
        relaying = self._memory.relaying
        return (
            relaying.stage is Stage.TRIED
            or relaying.failures > 0
            or bool(problem)
            or bool(self._units.silent_at(wanted))
        )

    def _anew(self, wanted: tuple[str, ...], problem: str) -> Anew:
        """Fix what is the agent's own before Docker is touched."""
        relaying = self._memory.relaying
        # What was written is not what runs: an agent may have been killed before systemd read it, also while it moves.
        if self._units.silent_at(wanted):
            return Anew.ALL
        if relaying.stage is not Stage.GIVEN:
            return Anew.NOTHING
        return Anew.SERVICE if problem or is_the_last_try(relaying) else Anew.NOTHING

    async def _through(self, port: int | None = None) -> Verdict:
        through = as_upstream(port or self._relay.port)
        return (await self._prober.verdicts([through], lambda _: False))[through.name]

    def _waiting(self) -> Backlog | None:
        """At the address that dockerd has."""
        with contextlib.suppress(NetlinkFailed):
            return self._backlog(LOOPBACK, self._relay.port)
        return None

    async def _in_a_crowd(self, ask: Callable[[], Awaitable[Verdict]]) -> tuple[Verdict, str]:
        """The answer through the relay, and the crowd at its socket that may excuse a failure.

        The crowd is no excuse if the relay still answers us itself, which serves root first: otherwise a user who
        connects all the time could hide for as long as he likes that it reaches nothing. But the probe itself may have
        been dropped: only another one, made after that answer, counts.
        """
        before = self._waiting()
        through = await ask()
        crowd = self._crowd(before) if not through.is_ok else ""
        if crowd and await self._serves(LOOPBACK, self._relay.port, self._policy.probe.timeout):
            return await ask(), ""
        return through, crowd

    def _crowd(self, before: Backlog | None) -> str:
        """It is none if the relay has done nothing since the last probe: then it does not take what waits."""
        is_at_work = self._memory.state is not None and self._memory.state != self._memory.state_asked
        return crowd_at(before, self._waiting()) if is_at_work else ""

    def _conclude(self, now: Relaying) -> None:
        before, self._memory.relaying = self._memory.relaying, now
        if now.stage is before.stage:
            return
        if now.stage is Stage.GIVEN:
            self._note(RelayEnabled(listens=self._wanted()))
        elif now.stage is Stage.FAILED:
            self._memory.unsaved = now.because
            self._note(RelayFailed(because=now.because))

    def _keep_in_mind(self) -> None:
        """Tried again with each pass, as on a full disk; a look alone, such as a plan's, writes nothing."""
        memory = self._memory
        if memory.unsaved and self._file.save(self._relay, memory.unsaved):
            memory.unsaved = ""
        if memory.had != memory.had_on_disk and self._had.keep(memory.had):
            memory.had_on_disk = memory.had

    def _wanted(self) -> tuple[str, ...]:
        """Where it should listen. Docker's restart may have to wait, and until then nobody must be cut off."""
        return self._addresses((self._relay.port, *self._may_be_had))

    def _addresses(self, ports: Sequence[int]) -> tuple[str, ...]:
        """At these ports. A bridge that is not there now is not forgotten: see FreeBind= in its unit."""
        known, is_with_ipv6 = self._bridge_was, has_ipv6()
        bridge = bridge_of(self._units.where() or ()) if known is None else known or None
        at_each = (msgspec.structs.replace(self._relay, port=port) for port in ports)
        return tuple(one for at in at_each for one in addresses(at, bridge, has_ipv6=is_with_ipv6))

    async def _end(self) -> None:
        """Nobody uses it any more."""
        if self._units.where() is not None:
            await to_the_end(self._units.bring_down(), None)
        path = self._paths.relay_orders
        if (found := read_file(path)) is not None:  # it holds passwords
            remove_file(path, expected=found)
        self._note(RelayDisabled(because=self._cannot() or _NOT_ASKED_FOR))

    # What it says.

    def state(self) -> RelayState | None:
        return state_of(self._paths) if not self._is_unused else None

    @property
    def folder(self) -> Path | None:
        return self._paths.relay_state.parent if not self._is_unused else None

    def take_failure(self) -> bool:
        """Not one of orders that it had before: those are no longer what is done."""
        failed, told = self._failed(), self._orders()
        is_news = failed is not None and failed.number != self._memory.failures
        self._memory.failures = failed.number if failed is not None else 0
        if not is_news or failed is None or told is None or failed.generation != told.generation:
            return False
        return told.pac is None or failed.upstream != told.pac.name  # else a proxy that is none of the upstreams

    def _failed(self) -> UpstreamFailed | None:
        state = self.state()
        return state.failed if state is not None else None

    def _hear(self) -> None:
        memory, now = self._memory, self._clock.boottime_s()
        before, memory.state = memory.state, self.state()
        memory.is_silent = memory.is_silent or (before is not None and memory.state is None)
        sources, times = memory.refusals.news(memory.state, now)
        if sources:
            memory.refusals = memory.refusals.after(sources, now)
            says_where = self._policy.audit.places is Places.FULL
            self._note(RelayRefused(sources=sources if says_where else UNSET, times=times))
        orders = self._orders()
        memory.fallen_back, carried = memory.fallen_back.news(memory.state, orders, now)
        for name, connections in carried.items():
            if orders is not None:
                chosen, generation = orders.upstreams[0].name, orders.generation
                self._note(RelayFellBack(upstream=name, chosen=chosen, connections=connections, generation=generation))

    # For the pass.

    def _note(self, facts: Facts) -> None:
        news = self._memory.news
        news.append(facts)
        del news[:-_MOST_NEWS]

    def take_news(self) -> Sequence[Facts]:
        news, self._memory.news = self._memory.news, []
        return news

    def once_more(self, network: str) -> Sequence[Facts]:
        told, relaying = self._orders(), self._memory.relaying
        if relaying.stage is Stage.FAILED:
            return (RelayFailed(because=relaying.because),)
        if relaying.stage is not Stage.GIVEN or told is None or not told.upstreams:
            return ()
        upstream, others, generation = told.upstreams[0].name, _others(told), told.generation
        switched = RelaySwitched(upstream=upstream, network=network, others=others, generation=generation)
        return (switched, RelayEnabled(listens=self._wanted()))

    @property
    def next_at(self) -> float | None:
        """None where the last pass did not come so far, as while paused: the next one would not, either."""
        memory = self._memory
        if not self._is_kept:
            is_tried_again = self._silence.ports and not self._silence.is_paused
            return memory.revived + SOFT_AGAIN_S if is_tried_again and memory.revived is not None else None
        times = [next_at(memory.relaying, self._policy.probe.recheck)]
        if memory.relaying.is_used:
            again_at = (memory.relaying.asked or 0.0) + AGAIN_S
            times += [again_at] if memory.is_silent else []
            times += [max(memory.told_at + TAKES_S, again_at)] if memory.told_at and not self._is_taken() else []
        return min((at for at in times if at is not None), default=None)

    def _is_taken(self) -> bool:
        """Whether it reports that it uses what it was told."""
        state, told = self._memory.state, self._orders()
        return state is None or told is None or state.generation == told.generation


def _is_worth_asking(through: Verdict, known: Verdict | None) -> bool:
    """Whether the upstream is asked once more: not if it is known to fail, too."""
    return not through.is_ok and known is not None and known.is_ok


def has_ipv6() -> bool:
    """Whether ::1 can be listened at: a kernel without IPv6 refuses it, and systemd the whole socket unit with it.

    Not whether it is there now: many a VPN switches IPv6 off while it is up, and each other address that is listened at
    has the relay stopped. FreeBind= in the unit opens it all the same (FACTS 256).
    """
    return is_there(Path("/proc/net/if_inet6"))


def _others(orders: Orders | None) -> tuple[str, ...]:
    return tuple(one.name for one in orders.upstreams[1:]) if orders is not None else ()
