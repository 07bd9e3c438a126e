"""`demo`: a laptop that roams, on loopback and in a temporary directory.

Exits 0 if every pass ended as it should, else 1 with a line for each that did not.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from agent.audit.logs import configure
from agent.audit.read import Filter, Legible, records
from agent.audit.verify import verify
from agent.cli.audit.listing import readable
from agent.cli.demo import root
from agent.cli.demo.check import Aftermath, problems
from agent.cli.demo.roam import PULLED, roam
from agent.cli.demo.stop import Pulled, Stop
from agent.cli.printing import complain, has_colours, headline, say
from agent.one_pass.drawing import picture_of
from agent.one_pass.page import done_lines, plan_lines, seen_lines, to_do_lines
from agent.one_pass.picture import NO_PROXY
from agent.one_pass.screen import folded, line, width
from agent.one_pass.seen import Pass
from agent.system.text_files import read_text
from agent.values.events import Event
from agent.values.paths import Paths
from agent.values.policy import Policy

_READ_ALOUD: Final = Filter(
    events=frozenset({Event.UPSTREAM_CHOSEN.value, Event.DOCKER_RESTARTED.value}), network="office"
)


def run(args: argparse.Namespace, _paths: Paths) -> int:
    configure(logging.INFO if args.verbose else logging.WARNING)
    with root.throw_away_root(is_kept=args.keep) as paths:
        screen = _Screen(paths)
        try:
            return asyncio.run(_show(screen, paths, is_kept=args.keep))
        except asyncio.CancelledError:  # by a signal; everything that was started has ended
            return 128 + signal.SIGTERM


async def _show(screen: _Screen, paths: Paths, *, is_kept: bool) -> int:
    this = asyncio.current_task()
    assert this is not None  # noqa: S101 - asyncio.run makes one
    for number in (signal.SIGTERM, signal.SIGHUP):  # the terminal may be closed meanwhile
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    began = time.monotonic()
    screen.show(_opening(paths, is_kept=is_kept))
    known: list[str] = []

    def told(policy: Policy, stop: Stop) -> None:
        if not known:
            screen.show(_policy(policy))
        screen.head(f"{len(known) + 1}  {stop.place.name}", stop.place.about)
        screen.show(_stop(stop, is_known=stop.place.name in known))
        known.append(stop.place.name)

    policy, stops = await roam(paths, told)
    wrong = _check(screen, paths, policy, stops)
    if wrong:
        complain(*(f"self-check: {problem}" for problem in wrong))
        return 1
    restarts = sum(stop.restarts for stop in stops)
    took_s = time.monotonic() - began
    screen.show(
        [line("self-check", f"{len(stops)} passes and {restarts} restarts, all as they should be; {took_s:.1f} s")]
    )
    return 0


def _check(screen: _Screen, paths: Paths, policy: Policy, stops: tuple[Stop, ...]) -> tuple[str, ...]:
    """Show what is left after the journey, and return the problems."""
    verification = verify(paths.audit_log, paths.state)
    daemon_json = read_text(paths.daemon_json) or ""
    screen.head("afterwards", "docker-proxy-agent audit --network office; audit verify")
    screen.show(_audit(paths))
    log = f"{verification.records} records, {verification.broken or 'none changed since'}"
    file = f"daemon.json is {'byte for byte' if daemon_json == root.DAEMON_JSON else 'not'} as before"
    screen.show([line("verify", f"{log}; {file}")])
    texts = {"what is shown": screen.text, "the audit log": read_text(paths.audit_log) or ""}
    aftermath = Aftermath(verification.is_whole, daemon_json, root.DAEMON_JSON, texts)
    return problems(stops, policy, aftermath, username=root.USER, password=root.PASSWORD)


class _Screen:
    """Prints, and keeps what it printed. The temporary directory appears as ROOT."""

    def __init__(self, paths: Paths) -> None:
        self._root = str(paths.root)
        self._width = width()
        self._is_bold = has_colours()
        self.text = ""

    def show(self, lines: Iterable[str]) -> None:
        for text in lines:
            shown = text.replace(f"{self._root}/", "ROOT/")
            self.text += f"{shown}\n"
            say(*folded([shown], self._width))
        sys.stdout.flush()

    def head(self, title: str, about: str) -> None:
        text = f"── {title} ── {about}"
        self.text += f"{text}\n"
        headline(text, is_bold=self._is_bold)


def _opening(paths: Paths, *, is_kept: bool) -> Iterator[str]:
    yield "A laptop roams: home, an office with a proxy, a café with a portal, home again."
    yield line("simulated", "what it sees of a network, the look-up of names, and dockerd: a stand-in that reads")
    yield line("", "daemon.json only when it starts, as dockerd does")
    yield line("real", "the agent with all its files, and real requests through real proxies on loopback")
    yield line("touched", f"only ROOT = {paths.root}, {'which is kept' if is_kept else 'gone afterwards'}")


def _policy(policy: Policy) -> Iterator[str]:
    uses = (f"{network.name} uses {', then '.join(network.use)}" for network in policy.networks)
    yield line("policy", " · ".join(uses))


def _stop(stop: Stop, *, is_known: bool) -> Iterator[str]:
    """The pull before, the pass, and the pull after it; shorter at a known place."""
    would_do, done = picture_of(Pass(stop.would_do)), picture_of(stop.done)
    yield line("pull", _pulled(stop.before))
    planned = would_do.plan
    if (
        planned is not None and planned.writes and would_do.settings != NO_PROXY
    ):  # one diff is enough: the one that sets a proxy
        yield line("plan", "would do this; nothing is changed yet")
        yield from plan_lines(planned, would_do.docker)
    if done.done is not None:
        yield from seen_lines(done)
        yield from done_lines(done)
        yield line("pull", _pulled(stop.after))
        return
    yield from islice(seen_lines(done), 1 if is_known else None)
    yield from to_do_lines(done)
    if stop.is_same_engine:
        yield line("engine", "not restarted, the same process as before")


def _pulled(pulled: Pulled) -> str:
    return f"{PULLED} works" if pulled.is_ok else f"{PULLED} fails: {pulled.words}"


def _audit(paths: Paths) -> Iterator[str]:
    for found in records(paths.audit_log, _READ_ALOUD):
        if isinstance(found, Legible):
            yield f"  {readable(found.entry)}"
