"""`probe`: test every upstream now, and show each result with its timings; this network's first.

Exits 0 if one of this network's works, else 1.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Mapping

import msgspec

from agent.cli.policy_of import loaded
from agent.cli.printing import print_json, say
from agent.cli.session import quiet
from agent.decide.recognise import recognise
from agent.one_pass.drawing import shown_network, shown_verdict
from agent.one_pass.picture import NetworkShown, VerdictShown
from agent.one_pass.world import TheWorld
from agent.probe.side_by_side import everything
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.verdict import Outcome


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    policy = loaded(args, paths, refuses_unsafe=False).policy
    network, verdicts = asyncio.run(_probe_all(policy, TheWorld(paths, policy)))
    works = any(verdicts[name].verdict is Outcome.OK for name in network.use)
    if args.json:
        print_json(msgspec.to_builtins({"network": network, "works": works, "verdicts": verdicts}))
    else:
        say(f"{network.name}  ({network.because})", *_table(network.use, verdicts))
    return 0 if works else 1


async def _probe_all(policy: Policy, this: TheWorld) -> tuple[NetworkShown, dict[str, VerdictShown]]:
    snapshot = await this.host.see()
    await this.daemon.note_place()
    recognised = recognise(policy.networks, snapshot)
    use = recognised.network.use
    others = [name for name in policy.upstreams if name not in use]
    verdicts = await this.prober.verdicts([policy.upstreams[name] for name in (*use, *others)], everything)
    return shown_network(recognised, snapshot), {name: shown_verdict(verdict) for name, verdict in verdicts.items()}


def _table(use: tuple[str, ...], verdicts: Mapping[str, VerdictShown]) -> Iterator[str]:
    width = max(len(name) for name in verdicts)
    for name, shown in verdicts.items():
        elsewhere = "" if name in use else "  (not used here)"
        yield f"  {name:<{width}}  {shown.verdict.value:<12}  {shown.ms:6} ms  {shown.evidence}{elsewhere}"
        if shown.steps:
            steps = " · ".join(f"{step} {ms:.0f} ms" for step, ms in shown.steps.items())
            yield f"  {'':<{width}}  {'':<12}  {'':>9}  {steps}"
