"""`audit at TIME`: what was so then, and by which records. What no agent saw is said to be not known."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.audit import files
from agent.audit.account import Account
from agent.audit.chain import Entry
from agent.audit.heads import heads
from agent.audit.log import utc_now
from agent.audit.spans import Break, Known, Lane, Restart, Span
from agent.cli.audit import when
from agent.cli.audit.listing import readable
from agent.cli.audit.shown import AtShown, Held, Trouble
from agent.cli.printing import page, print_json
from agent.one_pass.screen import line
from agent.service.status_file import is_agent_running
from agent.values.errors import AgentError
from agent.values.moments import NoSuchTime, moment
from agent.values.paths import Paths

_NONE: Final = {
    Lane.AGENT: "none ran",
    Lane.NETWORK: "offline",
    Lane.CHOSEN: "nothing: no upstream worked",
    Lane.DOCKER: "did not run",
    Lane.POLICY: "none",
}
# As the codes of conditions have it, with what is said before the value.
_TROUBLES: Final = {
    Lane.OUTAGE: ("unreachable", "Docker reached no registry"),
    Lane.WAITING: ("deferred", "a restart of Docker waited"),
    Lane.POLICY_ERROR: ("policy-error", "the policy was refused"),
    Lane.PINNED: ("pinned", "pinned to"),
    Lane.PAUSED: ("paused", "paused"),
    Lane.GAVE_UP: ("gave-up", "given up"),
    Lane.TARGET_FAILED: ("target-failed", "not written"),
}


class Then(msgspec.Struct, frozen=True, kw_only=True):
    """All that was so at one moment."""

    at: dt.datetime
    spans: Mapping[tuple[Lane, str], Span]  # the newest, where the clock was set back and the moment was twice
    restart: Restart | None  # the last one before
    first: dt.datetime | None  # when the oldest and the newest record were written
    last: dt.datetime | None
    notes: tuple[str, ...]

    def of(self, lane: Lane) -> tuple[Span, ...]:
        return tuple(span for (one, _), span in sorted(self.spans.items(), key=_by_about) if one is lane)


def run(args: argparse.Namespace, paths: Paths) -> int:
    written = " ".join(args.time)
    now = utc_now()
    try:
        asked = moment(written, now)
    except NoSuchTime as error:
        raise AgentError("audit at", str(error)) from error
    if asked > now:
        raise AgentError("audit at", f'"{written}" is in the future ({when.local(asked)})')
    then = at(paths.audit_log, asked, agent_runs=is_agent_running(paths.status))
    seqs = {span.seq for span in then.spans.values()} | ({then.restart.seq} if then.restart else set())
    records = [*_records(paths.audit_log, seqs)]
    if args.json:
        print_json(msgspec.to_builtins(_shown(then, records)))
    else:
        page(*_lines(then, [entry for entry, _ in records]))
    return 0


def at(path: Path, then: dt.datetime, *, agent_runs: bool) -> Then:
    """By the log alone, and by whether an agent runs now. OSError if it cannot be read."""
    account = Account()
    spans: dict[tuple[Lane, str], Span] = {}
    notes: dict[str, None] = {}
    restarts = _Restarts(then)
    first: dt.datetime | None = None

    def look(told: Iterable[object]) -> None:
        for one in told:
            restarts.take(one)
            if isinstance(one, Span) and one.has(then):
                if (one.lane, one.about) in spans:
                    said = "occurred twice, because the clock was set back; this is the later one"
                    notes[f"{when.local(then)} {said}"] = None
                spans[one.lane, one.about] = one
            elif isinstance(one, Break) and "missing" in one.what:
                notes[f"{one.what}, says record {one.seq} of {when.local(one.at)}"] = None

    for head in heads(path):
        look(account.take(head))
        first = first or account.last
    look(account.now(agent_runs=agent_runs))
    if account.last is not None and then > account.last:
        notes[f"the log's newest record is from {when.local(account.last)}"] = None
    # Of a time that was twice only the later one: what was so at the first had ended by then.
    latest = max((span.run for span in spans.values()), default=0)
    spans = {key: span for key, span in spans.items() if span.run == latest}
    return Then(
        at=then, spans=spans, restart=restarts.before(latest), first=first, last=account.last, notes=tuple(notes)
    )


class _Restarts:
    """The last one before a moment, also where the clock was set back."""

    def __init__(self, then: dt.datetime) -> None:
        self._then = then
        self._run = 0  # how often the clock had been set back
        self._last: dict[int, Restart] = {}  # by that number
        self._by_then: dict[int, Restart] = {}

    def take(self, one: object) -> None:
        if isinstance(one, Break) and "set back" in one.what:
            self._run += 1
        elif isinstance(one, Restart):
            self._last[self._run] = one
            if one.at <= self._then:
                self._by_then[self._run] = one

    def before(self, run: int) -> Restart | None:
        """The moment, after the clock was set back so often."""
        earlier = [one for of_run, one in self._last.items() if of_run < run]
        return self._by_then.get(run) or (earlier[-1] if earlier else None)


def _records(path: Path, seqs: set[int]) -> Iterator[tuple[Entry, Mapping[str, Any]]]:
    """These, in their order, also as they stand there."""
    marks = tuple(f'"seq":{seq},'.encode() for seq in seqs)
    for one in files.lines(path):
        if any(mark in one.raw[:200] for mark in marks):
            entry = one.decoded()
            if entry is not None and entry.seq in seqs:
                yield entry, msgspec.json.decode(one.text)


def _lines(then: Then, records: Sequence[Entry]) -> Iterator[str]:
    yield f"At {when.local(then.at)}"
    for lane in _NONE:
        spans = then.of(lane)
        for span in spans or (None,):
            which = f"{span.about}: " if span is not None and len(spans) > 1 else ""
            yield line(lane.value, f"{which}{_said(lane, span, then)}")
    for span in then.of(Lane.RELAY):
        yield line(Lane.RELAY.value, f"Docker was given it: {_said(Lane.RELAY, span, then)}")
    restart = then.restart
    if restart is not None:
        took = f", {restart.took_s:.1f} s" if restart.took_s is not None else ""
        what = "rolled back" if restart.is_rolled_back else "by the agent"
        what += f", {restart.asked}," if restart.asked else ""
        because = "; ".join(part for part in (restart.due, restart.allowed) if part)
        yield line("restarted", f"{what} at {when.local(restart.at)}{took}: {because} (record {restart.seq})")
    for lane, (_, said) in _TROUBLES.items():
        for span in then.of(lane):
            yield line("note", _trouble(said, span))
    for note in then.notes:
        yield line("note", note)
    if records:
        yield line("records", "that show this:")
        yield from (f"  {entry.seq:>11}  {readable(entry)}" for entry in records)


def _said(lane: Lane, span: Span | None, then: Then) -> str:
    if span is None:
        if then.first is None:
            return "not known: there are no records"
        before = then.at < then.first
        return f"not known: the log begins at {when.local(then.first)}" if before else "not known: no record says it"
    value = _value(lane, span)
    until = f" until {when.local(span.end)}" if span.end else ""
    since = f"since {when.local(span.begin)}"
    match span.known:
        case Known.SEEN:
            by = f", started by {'the agent' if span.cause == 'agent' else span.cause}" if span.cause else ""
            why = f": {span.because}" if span.because else ""
            return f"{value}, {since}{by}{why}"
        case Known.NOT_SAID:
            return f"not known: no record says it, {since}{until}"
    return f"not known: {_why_not(span)}, {since}{until}; before that: {value}"


def _value(lane: Lane, span: Span) -> str:
    if lane is Lane.RELAY:
        return f"through {span.value}" if span.value else "through which upstream no record says"
    if span.value is None:
        return _NONE[lane]
    if lane is Lane.DOCKER and span.settings:
        no_proxy = span.settings.get("no_proxy")
        return f"{span.value}, no_proxy {no_proxy}" if no_proxy else span.value
    return f"{span.value} ran".strip() if lane is Lane.AGENT else span.value or "loaded"


def _why_not(span: Span) -> str:
    """Why it is not known; '' if it is."""
    match span.known:
        case Known.SEEN:
            return ""
        case Known.UNCERTAIN:
            return f"the agent {span.because} at some time then" if span.because else Known.UNCERTAIN.value
        case Known.MISSING:
            return span.because
    return str(span.known.value)


def _trouble(said: str, span: Span) -> str:
    parts = (said, span.about, span.value, span.because)
    unknown = f" (not known any more: {_why_not(span)})" if span.known is not Known.SEEN else ""
    head, *rest = (part for part in parts if part)
    return f"{head}{': ' if rest else ''}{'; '.join(rest)}, since {when.local(span.begin)}{unknown}"


def _shown(then: Then, records: Iterable[tuple[Entry, Mapping[str, Any]]]) -> AtShown:
    def held(lane: Lane) -> Held:
        return next((_held(span) for span in then.of(lane)), _NOT_KNOWN)

    return AtShown(
        at=when.utc(then.at) or "",
        agent=held(Lane.AGENT),
        network=held(Lane.NETWORK),
        chosen=held(Lane.CHOSEN),
        docker=tuple(map(_held, then.of(Lane.DOCKER))),
        policy=held(Lane.POLICY),
        relay=next(map(_held, then.of(Lane.RELAY)), None),
        conditions=tuple(
            Trouble(code=code, text=_trouble(said, span), held=_held(span))
            for lane, (code, said) in _TROUBLES.items()
            for span in then.of(lane)
        ),
        records=tuple(record for _, record in records),
        newest=when.utc(then.last),
        notes=then.notes,
    )


_NOT_KNOWN: Final = Held(value=None, known=False, why_not="no record says it", since=None, until=None, record=None)


def _held(span: Span) -> Held:
    return Held(
        value=span.value,
        known=span.known is Known.SEEN,
        why_not=_why_not(span),
        since=when.utc(span.begin),
        until=when.utc(span.end),
        because=span.because if span.known is Known.SEEN else "",
        record=span.seq or None,
        about=span.about,
        settings=span.settings,
        cause=span.cause,
    )


def _by_about(item: tuple[tuple[Lane, str], Span]) -> str:
    return item[0][1]
