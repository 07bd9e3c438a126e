"""Checks that every pass of the journey ended as it should.

Pure: what happened goes in, a line for each problem comes out.
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
from agent.one_pass.seen import Offline
from agent.values.policy import DIRECT_NAME, Policy
from agent.values.secret import Secret
from agent.values.settings import agrees


class Expected(msgspec.Struct, frozen=True):
    """How a stop should end."""

    place: str
    ending: Ending
    upstream: str  # that the engine runs with in the end
    pulls_before: bool
    pulls_after: bool
    restarts: int


JOURNEY: Final = (
    Expected("home", Ending.CHOSEN, DIRECT_NAME, pulls_before=True, pulls_after=True, restarts=0),
    Expected("office", Ending.CHOSEN, "corp", pulls_before=False, pulls_after=True, restarts=1),
    Expected("café", Ending.PORTAL, "corp", pulls_before=False, pulls_after=False, restarts=0),
    Expected("café", Ending.CHOSEN, DIRECT_NAME, pulls_before=False, pulls_after=True, restarts=1),
    Expected("home", Ending.CHOSEN, DIRECT_NAME, pulls_before=True, pulls_after=True, restarts=0),
)


class Aftermath(msgspec.Struct, frozen=True):
    """What is left after the journey."""

    is_log_whole: bool
    daemon_json: str
    daemon_json_before: str
    texts: Mapping[str, str]  # by description; none may contain the password


def problems(
    stops: Sequence[Stop], policy: Policy, aftermath: Aftermath, *, username: str, password: Secret
) -> tuple[str, ...]:
    """A line for each problem."""
    found = [] if len(stops) == len(JOURNEY) else [f"{len(stops)} stops, not {len(JOURNEY)}"]
    for number, (stop, expected) in enumerate(zip(stops, JOURNEY, strict=False), start=1):
        found += [f"stop {number}, {expected.place}: {problem}" for problem in _at(stop, expected, policy)]
    return (*found, *_left(aftermath), *_spilled(aftermath.texts, username, password))


def _at(stop: Stop, expected: Expected, policy: Policy) -> Iterator[str]:
    yield from _choice(stop, expected)
    yield from _engine(stop, expected, policy)
    for when, pulled, must in (
        ("before", stop.before, expected.pulls_before),
        ("after", stop.after, expected.pulls_after),
    ):
        if pulled.is_ok is not must:
            yield f"the pull {when} the pass {'failed' if must else 'worked'}: {pulled.words}"


def _choice(stop: Stop, expected: Expected) -> Iterator[str]:
    if isinstance(stop.done.seen, Offline):
        yield "the laptop was taken for offline"
        return
    network, choice = stop.done.seen.recognised.network, stop.done.seen.choice
    if network.name != expected.place:
        yield f"taken for {network.name}"
    elif choice.ending is not expected.ending:
        yield f"the choice ended as {choice.ending.value}, not {expected.ending.value}: {choice.because}"
    elif choice.ending is Ending.CHOSEN and choice.upstream != expected.upstream:
        yield f"{choice.upstream} was chosen, not {expected.upstream}"


def _engine(stop: Stop, expected: Expected, policy: Policy) -> Iterator[str]:
    outcome = stop.done.outcome
    if not agrees(stop.reported, for_dockerd(policy.upstreams[expected.upstream], policy.no_proxy)):
        yield f"the engine does not run with the settings of {expected.upstream}"
    if stop.restarts != expected.restarts:
        yield f"the engine was restarted {stop.restarts} times, not {expected.restarts}"
    if stop.is_same_engine and expected.restarts:
        yield "the engine is the same process as before"
    if not stop.is_same_engine and not expected.restarts:
        yield "the engine is another process than before"
    if outcome is None and expected.restarts:
        yield "nothing was written"
    if outcome is not None and not expected.restarts:
        yield "something was written"
    if outcome is not None and outcome.is_failed:
        yield outcome.rolled_back or str(outcome.condition)


def _left(aftermath: Aftermath) -> Iterator[str]:
    if not aftermath.is_log_whole:
        yield "the audit log is not whole"
    if aftermath.daemon_json != aftermath.daemon_json_before:
        yield "daemon.json is not as it was before"


def _spilled(texts: Mapping[str, str], username: str, password: Secret) -> Iterator[str]:
    """The password in plain, in a URL, and in a header."""
    plain = password.reveal()
    spellings = (plain, quote(plain, safe=""), base64.b64encode(f"{username}:{plain}".encode()).decode())
    for what, text in texts.items():
        if any(spelling in text for spelling in spellings):
            yield f"the password is in {what}"
