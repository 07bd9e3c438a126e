"""Asks the policy's PACs which upstreams they name: at each network change, and again every `pac_refresh`.

A script is fetched and evaluated in parallel to the pass. If the answer comes within moments, the pass uses it;
otherwise the pass continues without it, and a new pass is requested when it is there. A person who asks for a pass is
told what came of it, so that pass waits for the answer. While a server is down, the last good copy from the same place
is used, and the server is asked again and again.
Not known here: what an answer means (`decide/pac.py`), and how a script is fetched and evaluated (`probe/`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from agent.audit.unexpected import unexpected
from agent.decide.pac import Answered, PacSeen, Said, in_the_order_of, knowing, my_ip, unfold, untrusted
from agent.decide.way_out import way_out
from agent.one_pass.pac_copies import PacCopies
from agent.probe.pac_fetch import shown
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.values.pac import PacAnswer, PacFault, PacQuestion, PacScript
from agent.values.policy import Network, PacUrl, Policy, RegistryUrl, Upstream
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome

# The server of an office answers within milliseconds: then there is one pass, and not two.
_AWAITED_S: Final = 0.25
# DNS and routes come a moment later than an address; after that, as often as what else does not work.
_AGAIN_S: Final = (0.3, 0.6, 1.2, 1.2, 1.2, 5.0)
_AGAIN_LATER_S: Final = 60.0
_SOON: Final = 20  # tries, after which it is later
_WAITED_S: Final = 1.0  # beyond the limits of fetching and of evaluating
_EARLY_S: Final = 0.05  # a pass that comes so much earlier need not be followed by another
_MOST_BEFORE: Final = 64  # answers that are known from other places
_KEPT_AGAIN_S: Final = 600.0  # a copy that was only found unchanged is written again after so long
_NOT_YET: Final = PacFault(Outcome.TIMEOUT, "it is being fetched")


class PacSource(Protocol):
    """Where scripts come from, and who evaluates them."""

    async def fetch(self, pac: str, earlier: PacScript | None, search: Sequence[str]) -> PacScript | PacFault:
        """`search`: the search domains here, for `auto`."""
        ...

    def mark(self, pac: PacUrl) -> object:
        """Another one once a file that is watched was changed; None for every other."""
        ...

    async def ask(
        self, script: PacScript, my_ip: str, questions: Sequence[PacQuestion]
    ) -> Sequence[PacAnswer | PacFault]: ...

    async def leave(self) -> None:
        """No policy needs it any more."""
        ...


class _Asked(msgspec.Struct, frozen=True):
    """For whom, and about what a PAC is asked."""

    upstream: Upstream
    snapshot: Snapshot
    fingerprint: str
    registries: tuple[RegistryUrl, ...]
    my_ip: str

    @property
    def questions(self) -> tuple[PacQuestion, ...]:
        return tuple(PacQuestion(f"{registry}/", registry.host) for registry in self.registries)


class _Known(msgspec.Struct, frozen=True):
    """What one PAC says here."""

    script: PacScript | None = None
    said: Said = Said(fault=_NOT_YET)
    problem: PacFault | None = None  # why there is no newer script
    is_copy: bool = False  # from disk: nobody has answered here yet


class _Pac:
    """One PAC of the policy, in the network of the last pass."""

    def __init__(self, asked: _Asked) -> None:
        self.asked = asked
        self.known = _Known()
        self.task: asyncio.Task[_Known] | None = None
        self.is_awaited = False  # by a pass, right now
        self.is_waited_for = False  # by any pass: a person asked, or nothing is known yet and the network is the same
        self.began_at: float | None = None  # to be asked, CLOCK_BOOTTIME; None: not yet here
        self.mark: object = None  # of the file, when it was asked
        self.failures = 0
        self.kept: _Known | None = None
        self.kept_at = 0.0

    def due_at(self) -> float:
        """While it is being asked: if that ends like the last time. Otherwise there is news, and a pass for it."""
        if self.began_at is None:
            return 0.0
        if not self.failures:
            return self.began_at + self.asked.upstream.pac_refresh
        failures = self.failures + (self.task is not None)
        return self.began_at + (_AGAIN_S[min(failures, len(_AGAIN_S)) - 1] if failures <= _SOON else _AGAIN_LATER_S)

    def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None


class PacMemory:
    """What outlives a policy."""

    def __init__(self) -> None:
        self.pacs: dict[str, _Pac] = {}  # those that are used here, by the name of their upstream
        self.before: dict[tuple[str, Said], None] = {}  # what was said, by the PAC's URL, the last one last


class NoPacs:
    """For a policy without any."""

    next_at: float | None = None

    def known(self, policy: Policy) -> Policy:
        return policy

    def known_here(self, policy: Policy, _: Network, __: Snapshot, *, pinned: str | None) -> Policy:  # noqa: ARG002 - a Protocol's
        return policy

    async def unfold(
        self,
        policy: Policy,
        network: Network,  # noqa: ARG002 - a Protocol's
        snapshot: Snapshot,  # noqa: ARG002
        *,
        pinned: str | None,  # noqa: ARG002
        waits: bool = False,  # noqa: ARG002
    ) -> Policy:
        return policy

    def rest(self) -> None:
        """Nothing was due."""

    def seen(self) -> tuple[PacSeen, ...]:
        return ()

    def ask_anew(self, *, is_awaited: bool = False) -> None:
        """There is nobody to ask."""

    def keep(self) -> None:
        """There is nothing to keep."""


class LocalPacs:
    """Those of one policy. The policy that its methods are given is that one."""

    def __init__(  # noqa: PLR0913 - named at its one call
        self,
        policy: Policy,
        state: Path,
        source: PacSource,
        *,
        registries: Callable[[], tuple[RegistryUrl, ...]],
        told: Callable[[], None] | None = None,
        memory: PacMemory | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`told`: called when a late answer is there; None: every answer is waited for.

        `registries`: what Docker will ask the chosen upstream for.
        """
        self._policy = policy
        self._copies = PacCopies(state)
        self._source = source
        self._registries = registries
        self._told = told
        self._memory = memory or PacMemory()
        self._clock = clock
        self._is_any = any(upstream.is_pac for upstream in policy.upstreams.values())
        for name in [name for name in self._memory.pacs if name not in policy.upstreams]:
            self._memory.pacs.pop(name).end()
        self._unfolded: tuple[object, Policy] | None = None
        self._has_left = False
        self._is_awaited = False  # by a person, who wants to know what comes of it
        self._is_here = False  # the last pass was in a network that uses one

    # What they say.

    def known(self, policy: Policy) -> Policy:
        if not self._is_any:
            return policy
        return self._unfolded[1] if self._unfolded is not None else knowing(policy, self._elsewhere())

    def known_here(self, policy: Policy, network: Network, snapshot: Snapshot, *, pinned: str | None) -> Policy:
        if not self._is_any:
            return policy
        self._enter(self._used(network, pinned), snapshot)
        return self._with_what_is_known(policy, network)

    async def unfold(
        self, policy: Policy, network: Network, snapshot: Snapshot, *, pinned: str | None, waits: bool = False
    ) -> Policy:
        if not self._is_any:
            await self._leave()
            return policy
        used = self._used(network, pinned)
        self._is_here = bool(used)
        self._enter(used, snapshot)
        is_awaited, self._is_awaited = self._is_awaited, False
        await self._ask_those_due(waits=waits, is_awaited=is_awaited)
        return self._with_what_is_known(policy, network)

    def _with_what_is_known(self, policy: Policy, network: Network) -> Policy:
        said = {name: pac.known.said for name, pac in self._memory.pacs.items()}
        basis = (network, said, len(self._memory.before))
        if self._unfolded is None or self._unfolded[0] != basis:
            self._unfolded = basis, knowing(unfold(policy, network, said), self._elsewhere())
        return self._unfolded[1]

    async def _leave(self) -> None:
        if not self._has_left:
            self._has_left = True
            await self._source.leave()

    def rest(self) -> None:
        self._is_here = self._is_awaited = False

    def script_of(self, name: str) -> tuple[str, str] | None:
        """The script of one that is used here, and the address that it is told; None: there is none."""
        pac = self._memory.pacs.get(name)
        if pac is None or pac.known.script is None or not pac.known.said.answers:
            return None
        return pac.known.script.text, pac.asked.my_ip

    def seen(self) -> tuple[PacSeen, ...]:
        return tuple(_seen(pac.asked.upstream, pac.known) for pac in self._memory.pacs.values() if self._is_here)

    def ask_anew(self, *, is_awaited: bool = False) -> None:
        self._is_awaited = is_awaited
        for pac in self._memory.pacs.values():
            if is_awaited:  # what is under way may have begun before the file was changed
                pac.end()
            if pac.task is None:
                pac.began_at = None

    @property
    def next_at(self) -> float | None:
        due = (pac.due_at() for pac in self._memory.pacs.values())
        return min(due, default=None) if self._is_here else None

    @property
    def hosts(self) -> frozenset[str]:
        """Of the servers, and of what they named."""
        found = set()
        for upstream in self.known(self._policy).upstreams.values() if self._is_any else ():
            if upstream.is_pac and upstream.pac.host:
                found.add(upstream.pac.host)
            if upstream.named_by and upstream.http is not None:
                found.add(upstream.http.host)
        return frozenset(found)

    def _used(self, network: Network, pinned: str | None) -> list[Upstream]:
        """Only where the network is recognised: nobody else's is asked for a script."""
        if network.match.is_empty:
            return []
        names = dict.fromkeys((*network.use, *((pinned,) if pinned in self._policy.upstreams else ())))
        return [self._policy.upstreams[name] for name in names if name and self._policy.upstreams[name].is_pac]

    def _elsewhere(self) -> Iterator[tuple[str, Said]]:
        """By the name of the upstream, what its PAC said before, the latest first."""
        copies = ((one.pac, Said(one.answered)) for one in reversed(self._copies.all()))
        for url, said in (*reversed(self._memory.before), *copies):
            for name, upstream in self._policy.upstreams.items():
                if upstream.pac == url:
                    yield name, said

    # When they are asked.

    def _enter(self, used: Sequence[Upstream], snapshot: Snapshot) -> None:
        """The PACs of this network, and nothing of what was known elsewhere."""
        pacs, before = self._memory.pacs, dict(self._memory.pacs)
        fingerprint = snapshot.fingerprint()
        for name in [name for name in before if name not in {upstream.name for upstream in used}]:
            pacs.pop(name).end()
        for upstream in used:
            asked = _Asked(upstream, snapshot, fingerprint, registries=self._registries(), my_ip=my_ip(snapshot))
            known = before.get(upstream.name)
            if known is None or known.asked.fingerprint != fingerprint or known.asked.upstream != upstream:
                pacs[upstream.name] = self._begun(asked, known)
            elif (known.asked.registries, known.asked.my_ip) != (asked.registries, asked.my_ip):
                known.end()
                known.asked, known.began_at = asked, None

    def _begun(self, asked: _Asked, before: _Pac | None) -> _Pac:
        if before is not None:
            before.end()
        pac = _Pac(asked)
        if before is not None and before.known.script is not None and _is_same_place(before.asked, asked):
            pac.known, pac.kept, pac.kept_at = before.known, before.kept, before.kept_at
            return pac
        copy = self._copies.find(asked.upstream.pac, asked.snapshot)
        if copy is not None:
            script, answers = copy
            by_registry = {one.registry: one for one in answers}
            kept = tuple(by_registry[one] for one in asked.registries if one in by_registry)
            pac.known = _Known(script, Said(kept, None if kept else _NOT_YET), _NOT_YET, is_copy=True)
        return pac

    async def _ask_those_due(self, *, waits: bool, is_awaited: bool) -> None:
        now, pacs = self._clock.boottime_s(), self._memory.pacs.values()
        for pac in pacs:
            is_due = now >= pac.due_at() - _EARLY_S or pac.mark != self._source.mark(pac.asked.upstream.pac)
            if pac.task is None and is_due:
                pac.is_waited_for = is_awaited or (waits and pac.known.said.fault is _NOT_YET)
                self._begin(pac)
        awaited = [pac for pac in pacs if pac.task is not None]
        tasks = [pac.task for pac in awaited if pac.task is not None]
        if not tasks:
            return
        for pac in awaited:
            pac.is_awaited = True
        try:
            await asyncio.wait(tasks, timeout=None if self._told is None else _AWAITED_S)
            waited_for = [pac.task for pac in awaited if pac.is_waited_for and pac.task is not None]
            if waited_for:
                await asyncio.wait(waited_for, timeout=_WAITED_S + 2 * self._policy.probe.timeout)
        finally:
            for pac in awaited:
                pac.is_awaited = False

    def _begin(self, pac: _Pac) -> None:
        pac.began_at = self._clock.boottime_s()
        pac.mark = self._source.mark(pac.asked.upstream.pac)  # before it is read
        pac.task = asyncio.get_running_loop().create_task(self._asked(pac.asked, pac.known))
        pac.task.add_done_callback(lambda task: self._take(pac, task))

    def _take(self, pac: _Pac, task: asyncio.Task[_Known]) -> None:
        if pac.task is not task:
            return
        pac.task, pac.is_waited_for = None, False
        if task.cancelled():
            return
        before, pac.known = pac.known, task.result()
        is_failed = pac.known.problem is not None or pac.known.said.verdict is not None
        pac.failures = pac.failures + 1 if is_failed else 0
        if pac.known.said.answers:
            self._note(pac.asked.upstream.pac, pac.known.said)
        is_news = (before.said, before.problem) != (pac.known.said, pac.known.problem)
        if is_news and not pac.is_awaited and self._told is not None:
            self._told()

    def _note(self, url: str, said: Said) -> None:
        before = self._memory.before
        before.pop((url, said), None)
        before[url, said] = None
        while len(before) > _MOST_BEFORE:
            before.pop(next(iter(before)))

    async def _asked(self, asked: _Asked, known: _Known) -> _Known:
        try:
            return await self._ask(asked, known)
        except Exception as error:  # noqa: BLE001 - the boundary of a target: the other upstreams are asked
            fault = PacFault(Outcome.ERROR, unexpected(f"the PAC of {asked.upstream.name}", error).what)
            if known.said.answers:
                return msgspec.structs.replace(known, problem=fault)
            return _Known(said=Said(fault=fault), problem=fault)

    async def _ask(self, asked: _Asked, known: _Known) -> _Known:
        found = await self._source.fetch(str(asked.upstream.pac), known.script, asked.snapshot.dns_search)
        problem = None
        if isinstance(found, PacFault):
            # A page instead of the file does not mean that the server is down: somebody else may be answering here.
            if known.script is None or (known.is_copy and found.outcome is Outcome.PORTAL):
                return _Known(known.script, Said(fault=found), found, is_copy=known.is_copy)
            problem, found = found, known.script
        is_copy = known.is_copy and problem is not None
        answers = await self._source.ask(found, asked.my_ip, asked.questions)
        is_same = known.script is not None and known.script.text == found.text
        # The same script has answered before, so it is the evaluator that fails: it lacks time or memory.
        before = {one.registry: one for one in known.said.answers} if is_same else {}
        each = zip(asked.registries, answers, strict=True)
        found_for = {
            registry: Answered(registry, answer) if isinstance(answer, PacAnswer) else before.get(registry)
            for registry, answer in each
        }
        told = tuple(one for one in found_for.values() if one is not None)
        fault = next((answer for answer in answers if isinstance(answer, PacFault)), None)
        if not told and known.said.answers:  # a new one that is broken takes nothing back
            if not is_same:
                return msgspec.structs.replace(known, problem=fault)
            return _Known(found, known.said, fault, is_copy=is_copy)
        unanswered = tuple(registry for registry, one in found_for.items() if one is None)
        said = Said(told, fault if not told or unanswered else None, unanswered if told else ())
        if is_same:
            said = in_the_order_of(known.said, said)
            problem = problem or (fault if said.fault is None else None)
        return _Known(found, said, problem, is_copy=is_copy)

    # What is kept.

    def keep(self) -> None:
        for pac in self._memory.pacs.values():
            known, now = pac.known, self._clock.boottime_s()
            if known.script is None or known.problem is not None or not known.said.answers or known is pac.kept:
                continue
            is_same = pac.kept is not None and _same(pac.kept, known)
            if not is_same or now >= pac.kept_at + _KEPT_AGAIN_S:
                self._copies.keep(pac.asked.upstream.pac, pac.asked.snapshot, known.script, known.said.answers)
                pac.kept, pac.kept_at = known, now


def _is_same_place(one: _Asked, other: _Asked) -> bool:
    """With another address, or other DNS."""
    return one.upstream == other.upstream and way_out(one.snapshot) == way_out(other.snapshot)


def _same(kept: _Known, known: _Known) -> bool:
    scripts = (one and (one.text, one.url, one.etag, one.last_modified) for one in (kept.script, known.script))
    return len({*scripts}) == 1 and kept.said == known.said


def _seen(upstream: Upstream, known: _Known) -> PacSeen:
    return PacSeen(
        name=upstream.name,
        url=shown(known.script.url) if known.script is not None else "",
        said=known.said,
        fetched_at=known.script.fetched_at if known.script is not None else None,
        problem=known.problem.evidence if known.problem is not None else "",
        untrusted=untrusted(upstream, known.said),
    )
