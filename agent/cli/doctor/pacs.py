"""The PAC files that this network uses: whether each says something, and whether anything of that works.

Pure. What works is no finding, even if it is not the first that a PAC names. Not known here: how it was asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.decide.pac import PacSeen, candidate_names
from agent.values.policy import PacUrl
from agent.values.verdict import Outcome, Verdict

_MOST: Final = 4  # registries, ways
# How the words that explain a fault go on, where a command is known.
_COMMANDS: Final = (". Run: ", ". See: ", ". Try: ")
_LOOK: Final = "docker-proxy-agent pac"


class LookedAt(msgspec.Struct, frozen=True, kw_only=True):
    """One of them."""

    seen: PacSeen
    pac: PacUrl  # as the policy has it
    verdicts: Mapping[str, Verdict] = {}  # of this network's upstreams

    @property
    def where(self) -> str:
        return self.seen.url or f"[upstream.{self.seen.name}]"


class Pacs(msgspec.Struct, frozen=True, kw_only=True):
    """Those of this network, and the unit that evaluates them."""

    here: tuple[LookedAt, ...] = ()
    is_needed: bool = False  # no upstream is chosen here
    unit: str = ""  # that is masked; '': none
    unmask: str = ""  # the command that ends that


def judge(pacs: Pacs) -> Iterator[Finding]:
    if pacs.unit and pacs.here:
        yield Finding(
            code=Sign.PAC_UNIT_MASKED,
            is_broken=True,
            where=pacs.unit,
            what="the unit that evaluates PAC files is masked, so the running agent cannot evaluate any",
            why="the upstreams that a PAC names are not used, although it can be fetched",
            command=f"{pacs.unmask} && sudo docker-proxy-agent reload",
        )
    for one in pacs.here:
        verdict = one.seen.said.verdict
        if verdict is not None:
            yield _says_nothing(one, verdict, is_needed=pacs.is_needed)
            continue
        if one.seen.problem:
            yield _is_a_copy(one)
        ways = [one.verdicts.get(name) for name in candidate_names(one.seen.name, one.seen.said)]
        if not any(way is None or way.is_ok for way in ways):
            yield _leads_nowhere(one, is_needed=pacs.is_needed)


def _says_nothing(one: LookedAt, verdict: Verdict, *, is_needed: bool) -> Finding:
    what, command = _parted(verdict.evidence.removeprefix("its PAC: "))
    return Finding(
        code=Sign.PAC_SILENT,
        is_broken=is_needed,
        where=one.where,
        what=f"{one.seen.name} names no way out here, {verdict.outcome.value}: {what}",
        why="pulls fail: nothing else in this network works"
        if is_needed
        else "which proxy to use is not known, so the next upstream of this network is used",
        command=command or _deed(one, verdict.outcome),
    )


def _parted(evidence: str) -> tuple[str, str]:
    """What is so, and what is to be done; '': that is not said."""
    for words in _COMMANDS:
        what, found, command = evidence.partition(words)
        if found:
            return what, command
    return evidence, ""


def _deed(one: LookedAt, outcome: Outcome) -> str:
    if outcome is Outcome.PORTAL:
        return f"Log in to this network in a browser. To check again: {_LOOK}"
    if outcome is Outcome.DNS and one.pac == PacUrl.AUTO:
        return (
            f'Ask whoever runs this network for the URL of its PAC file, and write it in place of "auto" in'
            f" [upstream.{one.seen.name}]"
        )
    if outcome is Outcome.DNS and one.pac.host:
        return f"Run: getent ahosts {one.pac.host}. If that prints nothing, a VPN may be down, or the name wrong"
    return f"Ask whoever runs this network what is wrong with its PAC file. To check again: {_LOOK}"


def _is_a_copy(one: LookedAt) -> Finding:
    return Finding(
        code=Sign.PAC_COPY,
        is_broken=False,
        where=one.where,
        what=f"{one.seen.name} uses a saved copy of its PAC file: {one.seen.problem}",
        why="whether it has changed since is not known",
        command=f"Nothing to do, if its server comes back: it is retried. To check: {_LOOK}",
    )


def _leads_nowhere(one: LookedAt, *, is_needed: bool) -> Finding:
    said, name = one.seen.said, one.seen.name
    says = "; ".join(
        f"{answered.registry.host} by {', then '.join(map(str, answered.answer.ways)) or 'no way'}"
        for answered in islice(said.answers, _MOST)
    )
    tried = "; ".join(
        f"{way} {verdict.outcome.value}{f' ({verdict.evidence})' if verdict.evidence else ''}"
        for way, verdict in islice(zip(said.ways, _of_ways(one), strict=True), _MOST)
    )
    return Finding(
        code=Sign.PAC_LEADS_NOWHERE,
        is_broken=is_needed,
        where=one.where,
        what=f"{name} sends {says}, but none of these reaches a registry from here: {tried}",
        why="every pull through them fails",
        command=f"Ask whoever runs this network which proxy is right. What the file says: {_LOOK}",
    )


def _of_ways(one: LookedAt) -> list[Verdict]:
    return [one.verdicts[name] for name in candidate_names(one.seen.name, one.seen.said)]
