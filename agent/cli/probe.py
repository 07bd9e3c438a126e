"""`probe`: test every upstream now, and show each result with its timings; this network's first.

Exits 0 if one of this network's works, else 1.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Mapping

import msgspec

from agent.cli.policy_of import loaded
from agent.cli.printing import page, print_json
from agent.cli.session import quiet
from agent.decide.recognise import recognise
from agent.one_pass.drawing import shown_network, shown_pac, shown_verdict
from agent.one_pass.look import unfolded
from agent.one_pass.page import pac_in_words
from agent.one_pass.picture import NetworkShown, PacShown, VerdictShown
from agent.one_pass.world import TheWorld
from agent.probe.side_by_side import everything
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.verdict import Outcome


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    policy = loaded(args, paths, refuses_unsafe=False).policy
    found = asyncio.run(_probe_all(policy, TheWorld(paths, policy)))
    network, verdicts = found.network, found.verdicts
    works = any(verdicts[name].verdict is Outcome.OK for name in network.use)
    if args.json:
        shown = {"network": network, "works": works, "verdicts": verdicts, "pacs": found.pacs}
        print_json(msgspec.to_builtins(shown))
    else:
        pacs = (f"  {pac_in_words(name, pac)}" for name, pac in found.pacs.items())
        page(f"{network.name}  ({network.because})", *pacs, *_table(network.use, verdicts))
    return 0 if works else 1


class _Found(msgspec.Struct, frozen=True):
    network: NetworkShown
    verdicts: dict[str, VerdictShown]
    pacs: dict[str, PacShown]


async def _probe_all(policy: Policy, this: TheWorld) -> _Found:
    snapshot = await this.host.see()
    await this.daemon.note_place()
    policy, recognised = await unfolded(policy, recognise(policy.networks, snapshot), snapshot, pacs=this.pacs)
    use = recognised.network.use
    others = [name for name, upstream in policy.upstreams.items() if name not in use and not upstream.candidates]
    verdicts = await this.prober.verdicts([policy.upstreams[name] for name in (*use, *others)], everything)
    return _Found(
        shown_network(recognised, snapshot),
        {name: shown_verdict(verdict) for name, verdict in verdicts.items()},
        {pac.name: shown_pac(pac) for pac in this.pacs.seen()},
    )


def _table(use: tuple[str, ...], verdicts: Mapping[str, VerdictShown]) -> Iterator[str]:
    width = max(len(name) for name in verdicts)
    for name, shown in verdicts.items():
        elsewhere = "" if name in use else "  (not used here)"
        yield f"  {name:<{width}}  {shown.verdict.value:<12}  {shown.ms:6} ms  {shown.evidence}{elsewhere}"
        if shown.steps:
            steps = " · ".join(f"{step} {ms:.0f} ms" for step, ms in shown.steps.items())
            yield f"  {'':<{width}}  {'':<12}  {'':>9}  {steps}"
