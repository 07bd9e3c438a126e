"""Whether every pass of the journey ended as it must.

Pure: what happened comes in, what was wrong goes out, a line for each.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from agent.cli.demo.stop import Stop
from agent.decide.choose import Ending
from agent.decide.desired import for_dockerd
from agent.values.policy import DIRECT_NAME, Policy
from agent.values.secret import Secret
from agent.values.settings import agrees


class Wanted(msgspec.Struct, frozen=True):
    """How a stop must have ended."""

    place: str
    ending: Ending
    upstream: str  # that the engine runs with in the end
    pulls_before: bool
    pulls_after: bool
    restarts: int


JOURNEY: Final = (
    Wanted("home", Ending.CHOSEN, DIRECT_NAME, pulls_before=True, pulls_after=True, restarts=0),
    Wanted("office", Ending.CHOSEN, "corp", pulls_before=False, pulls_after=True, restarts=1),
    Wanted("café", Ending.PORTAL, "corp", pulls_before=False, pulls_after=False, restarts=0),
    Wanted("café", Ending.CHOSEN, DIRECT_NAME, pulls_before=False, pulls_after=True, restarts=1),
    Wanted("home", Ending.CHOSEN, DIRECT_NAME, pulls_before=True, pulls_after=True, restarts=0),
)


class Left(msgspec.Struct, frozen=True):
    """What the journey has left behind."""

    is_log_whole: bool
    daemon_json: str
    daemon_json_before: str
    texts: Mapping[str, str]  # by what they are: where the password must not stand


def problems(stops: Sequence[Stop], policy: Policy, left: Left, user: str, password: Secret) -> tuple[str, ...]:
    """What was not as it must be."""
    found = [] if len(stops) == len(JOURNEY) else [f"{len(stops)} stops, not {len(JOURNEY)}"]
    for number, (stop, wanted) in enumerate(zip(stops, JOURNEY, strict=False), start=1):
        found += [f"stop {number}, {wanted.place}: {problem}" for problem in _at(stop, wanted, policy)]
    return (*found, *_left(left), *_spilled(left.texts, user, password))


def _at(stop: Stop, wanted: Wanted, policy: Policy) -> Iterator[str]:
    yield from _choice(stop, wanted)
    yield from _engine(stop, wanted, policy)
    for when, pulled, must in (("before", stop.before, wanted.pulls_before), ("after", stop.after, wanted.pulls_after)):
        if pulled.is_ok is not must:
            yield f"the pull {when} the pass {'failed' if must else 'worked'}: {pulled.words}"


def _choice(stop: Stop, wanted: Wanted) -> Iterator[str]:
    recognised, choice = stop.done.seen.recognised, stop.done.seen.choice
    if recognised is None or choice is None:
        yield "the laptop was taken for offline"
    elif recognised.network.name != wanted.place:
        yield f"taken for {recognised.network.name}"
    elif choice.ending is not wanted.ending:
        yield f"the choice ended as {choice.ending.value}, not {wanted.ending.value}: {choice.because}"
    elif choice.ending is Ending.CHOSEN and choice.upstream != wanted.upstream:
        yield f"{choice.upstream} was chosen, not {wanted.upstream}"


def _engine(stop: Stop, wanted: Wanted, policy: Policy) -> Iterator[str]:
    outcome = stop.done.outcome
    if not agrees(stop.reported, for_dockerd(policy.upstreams[wanted.upstream], policy.no_proxy)):
        yield f"the engine does not run with the settings of {wanted.upstream}"
    if stop.restarts != wanted.restarts:
        yield f"the engine was restarted {stop.restarts} times, not {wanted.restarts}"
    if stop.is_same_engine and wanted.restarts:
        yield "the engine is the same process as before"
    if not stop.is_same_engine and not wanted.restarts:
        yield "the engine is another process than before"
    if outcome is None and wanted.restarts:
        yield "nothing was written"
    if outcome is not None and not wanted.restarts:
        yield "something was written"
    if outcome is not None and outcome.is_failed:
        yield outcome.rolled_back or str(outcome.condition)


def _left(left: Left) -> Iterator[str]:
    if not left.is_log_whole:
        yield "the audit log is not whole"
    if left.daemon_json != left.daemon_json_before:
        yield "daemon.json is not as it was before"


def _spilled(texts: Mapping[str, str], user: str, password: Secret) -> Iterator[str]:
    """The password as it is, in a URL, and in a header."""
    plain = password.reveal()
    spellings = (plain, quote(plain, safe=""), base64.b64encode(f"{user}:{plain}".encode()).decode())
    for what, text in texts.items():
        if any(spelling in text for spelling in spellings):
            yield f"the password stands in {what}"
