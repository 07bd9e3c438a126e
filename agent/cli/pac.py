"""`pac`: what a PAC file says, and which way it gives to each registry.

Nothing goes through the ways that it names, and no password anywhere. Exits 0 if there is a way to everything that is
asked about, else 1.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agent.cli.policy_of import loaded
from agent.cli.printing import print_json, say
from agent.cli.session import quiet
from agent.decide.recognise import recognise
from agent.one_pass.pac_units import of_a_command
from agent.one_pass.world import TheWorld
from agent.probe.pac import ask
from agent.probe.pac_fetch import Fetching, fetch, fetch_first, read_file, shown, wpad
from agent.probe.pac_program import become_it
from agent.probe.tls import Trust
from agent.system.wpad_by_dhcp import wpad_by_dhcp
from agent.values.errors import AgentError, NoPolicy
from agent.values.pac import PacAnswer, PacFault, PacQuestion, PacScript, question
from agent.values.paths import Paths
from agent.values.policy import DEFAULT_REGISTRY, PacUrl, Policy, RegistryUrl
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome

_ONE: Final = "Name one: docker-proxy-agent pac --pac URL"


class PacProblem(msgspec.Struct, frozen=True):
    """Why there is no PAC file, or no answer of it."""

    verdict: Outcome
    evidence: str


class PacWays(msgspec.Struct, frozen=True):
    """What one PAC says of one URL."""

    url: str
    ways: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    problem: PacProblem | None = None


class PacShown(msgspec.Struct, frozen=True):
    """What one PAC says here."""

    upstream: str | None  # of the policy; None: it was named by whoever asks
    pac: str  # where it was found, or looked for
    fetched: str | None = None  # when, RFC 3339
    answers: tuple[PacWays, ...] = ()
    problem: PacProblem | None = None

    @property
    def is_whole(self) -> bool:
        return self.problem is None and all(answer.ways for answer in self.answers)


class PacsShown(msgspec.Struct, frozen=True):
    """The answer of the command."""

    network: str | None  # that was recognised; None: no policy was asked
    my_ip: str  # what myIpAddress() says; '': there is no way out
    pacs: tuple[PacShown, ...]


def run(args: argparse.Namespace, paths: Paths) -> int:
    if args.evaluator:
        become_it()
    quiet(args.verbose)
    found = asyncio.run(_look(args, paths))
    if args.json:
        print_json(msgspec.to_builtins(found))
    else:
        say(*_lines(found))
    return 0 if all(one.is_whole for one in found.pacs) else 1


async def _look(args: argparse.Namespace, paths: Paths) -> PacsShown:
    policy = _policy(args, paths)
    snapshot = await TheWorld(paths, policy).host.see()
    asking = _Asking(paths, policy, snapshot, tuple(args.urls) or _registries(policy))
    if args.pac is not None:
        return PacsShown(None, asking.my_ip, (await asking.shown(None, args.pac),))
    network = recognise(policy.networks, snapshot).network
    named = [name for name in network.use if policy.upstreams[name].is_pac]
    if not named:
        raise AgentError("pac", f"{network.name} uses no upstream with `pac`", _ONE)
    if network.match.is_empty:
        raise AgentError("pac", f"{network.name} has no match, so nobody is asked for a PAC file here", _ONE)
    pacs = [await asking.shown(name, str(policy.upstreams[name].pac)) for name in named]
    return PacsShown(network.name, asking.my_ip, tuple(pacs))


def _policy(args: argparse.Namespace, paths: Paths) -> Policy:
    """None is needed for a PAC file that is named."""
    try:
        return loaded(args, paths, refuses_unsafe=False).policy
    except NoPolicy:
        if args.pac is None or args.policy is not None:
            raise
        return Policy()


def _registries(policy: Policy) -> tuple[PacQuestion, ...]:
    registries = policy.probe.registry or (RegistryUrl.parse(DEFAULT_REGISTRY),)
    return tuple(question(one.host, one.port, is_https=one.is_https) for one in registries)


class _Asking:
    """The host at this moment, and what is asked about."""

    def __init__(self, paths: Paths, policy: Policy, snapshot: Snapshot, questions: tuple[PacQuestion, ...]) -> None:
        self.my_ip = _source(snapshot)
        self._paths = paths
        self._snapshot = snapshot
        self._questions = questions
        ca_file, self._timeout_s = policy.probe.ca_file, float(policy.probe.timeout)
        trust = Trust(str(paths.below(ca_file)) if ca_file else "", paths.docker_certificates)
        self._fetching = Fetching(trust, self._timeout_s)

    async def shown(self, upstream: str | None, pac: str) -> PacShown:
        script = await self._script(pac, is_asked_for=upstream is None)
        if isinstance(script, PacFault):
            return PacShown(upstream, pac if pac == PacUrl.AUTO else shown(_url(pac)), problem=_problem(script))
        answers = await ask(of_a_command(self._paths), script, self.my_ip, self._questions, self._timeout_s)
        fetched = dt.datetime.fromtimestamp(script.fetched_at, dt.UTC).isoformat(timespec="seconds")
        ways = tuple(_ways(asked, answer) for asked, answer in zip(self._questions, answers, strict=True))
        return PacShown(upstream, shown(script.url), fetched.replace("+00:00", "Z"), ways)

    async def _script(self, pac: str, *, is_asked_for: bool) -> PacScript | PacFault:
        if pac == PacUrl.AUTO:
            return await fetch_first(
                wpad(await wpad_by_dhcp(self._paths), self._snapshot.dns_search), None, self._fetching
            )
        if "://" not in pac:
            return await asyncio.to_thread(read_file, _path(pac), is_asked_for=is_asked_for)
        return await fetch(pac, None, self._fetching)


def _url(pac: str) -> str:
    return pac if "://" in pac else f"file://{_path(pac)}"


def _path(name: str) -> str:
    return str(Path(name).absolute())


def _source(snapshot: Snapshot) -> str:
    ways = (snapshot.way_ipv4, snapshot.way_ipv6)
    return next((way.source for way in ways if way is not None and way.source is not None), "")


def _ways(asked: PacQuestion, answer: PacAnswer | PacFault) -> PacWays:
    if isinstance(answer, PacFault):
        return PacWays(asked.url, problem=_problem(answer))
    return PacWays(asked.url, tuple(map(str, answer.ways)), answer.skipped)


def _problem(fault: PacFault) -> PacProblem:
    return PacProblem(fault.outcome, fault.evidence)


def _lines(found: PacsShown) -> Iterator[str]:
    for pac in found.pacs:
        name = f"{pac.upstream}: " if pac.upstream is not None else ""
        if pac.problem is not None:
            yield f"{name}{pac.pac}  {pac.problem.verdict.value}: {pac.problem.evidence}"
            continue
        yield f"{name}{pac.pac}  (this host is {found.my_ip or 'nowhere'})"
        yield from _table(pac.answers)


def _table(answers: Sequence[PacWays]) -> Iterator[str]:
    width = max(len(answer.url) for answer in answers)
    for answer in answers:
        if answer.problem is not None:
            said = f"{answer.problem.verdict.value}: {answer.problem.evidence}"
        else:
            said = ", then ".join(answer.ways) or "no way"
        yield f"  {answer.url:<{width}}  {said}"
        for skipped in answer.skipped:
            yield f"  {'':<{width}}  skipped: {skipped}"
