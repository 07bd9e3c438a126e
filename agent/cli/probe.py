"""`probe`: every upstream's verdict here and now, with timings; those of this network first.

Exits 0 if one of this network's works, else 1.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator

import msgspec

from agent.audit.facts import plain
from agent.cli.policy_of import loaded
from agent.cli.printing import print_json, say
from agent.cli.session import quiet
from agent.decide.recognise import Recognised, recognise
from agent.one_pass.world import TheWorld
from agent.probe.side_by_side import Verdicts, everything
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.verdict import Timings, Verdict

_STEPS = ("resolve", "connect", "proxy", "tls", "answer")


def arguments(_parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    policy = loaded(args, paths, refuses_unsafe=False).policy
    recognised, verdicts = asyncio.run(_probed(policy, TheWorld(paths, policy)))
    network = recognised.network
    works = any(verdicts[name].is_ok for name in network.use)
    if args.json:
        answer = {"network": {"name": network.name, "because": recognised.because}, "works": works}
        print_json({**answer, "verdicts": {name: _facts(verdict) for name, verdict in verdicts.items()}})
    else:
        say(f"{network.name}  ({recognised.because})", *_table(network.use, verdicts))
    return 0 if works else 1


async def _probed(policy: Policy, this: TheWorld) -> tuple[Recognised, Verdicts]:
    recognised = recognise(policy.networks, await this.host.see())
    use = recognised.network.use
    others = [name for name in policy.upstreams if name not in use]
    verdicts = await this.prober.verdicts([policy.upstreams[name] for name in (*use, *others)], everything)
    return recognised, verdicts


def _facts(verdict: Verdict) -> dict[str, object]:
    return {
        "outcome": verdict.outcome.value,
        "evidence": plain(verdict.evidence),
        "ms": {name: round(ms, 1) for name, ms in msgspec.structs.asdict(verdict.timings).items() if ms is not None},
    }


def _table(use: tuple[str, ...], verdicts: Verdicts) -> Iterator[str]:
    width = max(len(name) for name in verdicts)
    for name, verdict in verdicts.items():
        elsewhere = "" if name in use else "  (not used here)"
        took = f"{verdict.timings.total:6.0f} ms"
        yield f"  {name:<{width}}  {verdict.outcome.value:<12}  {took}  {verdict.evidence}{elsewhere}"
        steps = _steps(verdict.timings)
        if steps:
            yield f"  {'':<{width}}  {'':<12}  {'':>9}  {steps}"


def _steps(timings: Timings) -> str:
    timed = ((step, getattr(timings, step)) for step in _STEPS)
    return " · ".join(f"{step} {ms:.0f} ms" for step, ms in timed if ms is not None)
