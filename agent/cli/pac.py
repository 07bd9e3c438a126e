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
from agent.cli.printing import page, print_json
from agent.cli.session import quiet
from agent.decide.pac import my_ip
from agent.decide.recognise import recognise
from agent.docker.config_file import ConfigFile
from agent.one_pass.docker_defaults import hub_and_mirrors
from agent.one_pass.pac_copies import PacCopies
from agent.one_pass.pac_source import HostPacs
from agent.one_pass.world import TheWorld
from agent.probe.dial import HERE
from agent.probe.pac_fetch import fetch_file, shown
from agent.probe.pac_program import become_it
from agent.service.status_page import ago
from agent.values.errors import AgentError, NoPolicy
from agent.values.pac import PacAnswer, PacFault, PacQuestion, PacScript, question
from agent.values.paths import Paths
from agent.values.policy import PacUrl, Policy
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
    problem: PacProblem | None = None  # with answers: they are of a copy

    @property
    def is_whole(self) -> bool:
        return bool(self.answers) and all(answer.ways for answer in self.answers)


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
        page(*_lines(found))
    return 0 if all(one.is_whole for one in found.pacs) else 1


async def _look(args: argparse.Namespace, paths: Paths) -> PacsShown:
    policy = _policy(args, paths)
    snapshot = await TheWorld(paths, policy).host.see()
    asking = _Asking(paths, policy, snapshot, tuple(args.urls) or _registries(policy, paths))
    if args.pac is not None:
        return PacsShown(None, asking.my_ip, (await asking.named(args.pac),))
    network = recognise(policy.networks, snapshot).network
    named = [name for name in network.use if policy.upstreams[name].is_pac]
    if not named:
        raise AgentError("pac", f"{network.name} uses no upstream with `pac`", _ONE)
    if network.match.is_empty:
        raise AgentError("pac", f"{network.name} has no match, so no PAC file is fetched here", _ONE)
    pacs = [await asking.of_upstream(name, str(policy.upstreams[name].pac)) for name in named]
    return PacsShown(network.name, asking.my_ip, tuple(pacs))


def _policy(args: argparse.Namespace, paths: Paths) -> Policy:
    """None is needed for a PAC file that is named."""
    try:
        return loaded(args, paths, refuses_unsafe=False).policy
    except NoPolicy:
        if args.pac is None or args.policy is not None:
            raise
        return Policy()


def _registries(policy: Policy, paths: Paths) -> tuple[PacQuestion, ...]:
    registries = policy.probe.registry or hub_and_mirrors(ConfigFile(paths))
    return tuple(question(one.host, one.port, is_https=one.is_https) for one in registries)


class _Asking:
    """The host at this moment, and what is asked about."""

    def __init__(self, paths: Paths, policy: Policy, snapshot: Snapshot, questions: tuple[PacQuestion, ...]) -> None:
        self.my_ip = my_ip(snapshot)
        self._paths = paths
        self._timeout_s = float(policy.probe.timeout)
        self._snapshot = snapshot
        self._questions = questions
        self._source = HostPacs(paths, policy, HERE)

    async def named(self, pac: str) -> PacShown:
        """By who asks: a file may be anybody's then."""
        path = PacUrl(pac).path
        if path or (pac != PacUrl.AUTO and "://" not in pac):
            file = str(self._paths.below(path)) if path else _path(pac)
            script = await fetch_file(file, self._timeout_s, is_asked_for=True)
        else:
            script = await self._source.fetch(pac, None, self._snapshot.dns_search)
        return await self._shown(None, pac, script)

    async def of_upstream(self, name: str, pac: str) -> PacShown:
        """As the agent has it: the copy of this place serves while there is no other, if it may be read."""
        copy = PacCopies(self._paths.state).find(pac, self._snapshot)
        script = await self._source.fetch(pac, copy[0] if copy is not None else None, self._snapshot.dns_search)
        if copy is None or not isinstance(script, PacFault) or script.outcome is Outcome.PORTAL:
            return await self._shown(name, pac, script)
        return msgspec.structs.replace(await self._shown(name, pac, copy[0]), problem=_problem(script))

    async def _shown(self, upstream: str | None, pac: str, script: PacScript | PacFault) -> PacShown:
        if isinstance(script, PacFault):
            return PacShown(upstream, pac if pac == PacUrl.AUTO else shown(_url(pac)), problem=_problem(script))
        answers = await self._source.ask(script, self.my_ip, self._questions)
        fetched = dt.datetime.fromtimestamp(script.fetched_at, dt.UTC).isoformat(timespec="seconds")
        ways = tuple(_ways(asked, answer) for asked, answer in zip(self._questions, answers, strict=True))
        return PacShown(upstream, shown(script.url), fetched.replace("+00:00", "Z"), ways)


def _url(pac: str) -> str:
    return pac if "://" in pac else f"file://{_path(pac)}"


def _path(name: str) -> str:
    return str(Path(name).absolute())


def _ways(asked: PacQuestion, answer: PacAnswer | PacFault) -> PacWays:
    if isinstance(answer, PacFault):
        return PacWays(asked.url, problem=_problem(answer))
    return PacWays(asked.url, tuple(map(str, answer.ways)), answer.skipped)


def _problem(fault: PacFault) -> PacProblem:
    return PacProblem(fault.outcome, fault.evidence)


def _lines(found: PacsShown) -> Iterator[str]:
    for pac in found.pacs:
        name = f"{pac.upstream}: " if pac.upstream is not None else ""
        if not pac.answers and pac.problem is not None:
            yield f"{name}{pac.pac}  {pac.problem.verdict.value}: {pac.problem.evidence}"
            continue
        yield f"{name}{pac.pac}  (this host is {found.my_ip or 'nowhere'})"
        if pac.problem is not None and pac.fetched is not None:
            age = ago(pac.fetched, dt.datetime.now(dt.UTC))
            yield f"  a copy of {age} ago: {pac.problem.verdict.value}: {pac.problem.evidence}"
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
