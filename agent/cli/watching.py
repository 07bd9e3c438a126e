"""`status --watch`: on a terminal drawn again in place, every second; elsewhere printed again whenever it changes.

It goes on while no agent runs, for one may be restarted. Not known here: what is shown (`status.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import select
import signal
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from agent.cli.printing import Colour, flush, has_screen, page, whole_screen
from agent.cli.status import by_now, colour_of, not_running, show, unreadable, verified
from agent.service.status_file import StatusFound, read
from agent.service.status_line import in_a_line
from agent.service.status_page import lines
from agent.values.paths import Paths

Draw = Callable[[Sequence[str], Colour], None]
_DRAW_AGAIN_S: Final = 1.0  # ages are in seconds
_LOOK_AGAIN_S: Final = 0.5
_QUITS: Final = frozenset(b"qQ")
_RAISING: Final = (signal.SIGTERM, signal.SIGHUP)
_NOTED: Final = (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)


def watch(args: argparse.Namespace, paths: Paths) -> int:
    if has_screen() and not args.json and not args.short:
        return _in_place(_Picture(paths, is_verbose=bool(args.verbose)))
    _whenever_it_changes(args, paths)
    return 0


def _whenever_it_changes(args: argparse.Namespace, paths: Paths) -> None:
    """Until it is interrupted, or nobody reads it any more."""
    last: object = ()
    gone = select.poll()
    gone.register(sys.stdout.fileno(), 0)  # only that the other end is closed
    while True:
        found = read(paths.status)
        told = in_a_line(found) if args.short and not args.json else found
        if told != last:
            if last != () and not args.json and not args.short:
                page("")
            show(found, args, paths)
            flush()
            last = told
        if gone.poll(_LOOK_AGAIN_S * 1000):
            return


def _in_place(picture: _Picture) -> int:
    with _signals() as noted:
        while True:
            with whole_screen() as draw, _keys() as keys:
                try:
                    is_suspended = _draw_until_told(picture, draw, noted, keys)
                except KeyboardInterrupt:  # how everybody ends it
                    return 0
            if not is_suspended:
                return 0
            # Only now, with the terminal as it was. It goes on here with `fg`.
            before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, before)


def _draw_until_told(picture: _Picture, draw: Draw, noted: int, keys: int | None) -> bool:
    """Whether it is to be suspended, and not ended."""
    while True:
        draw(*picture.now())
        ready, _, _ = select.select([noted, *([] if keys is None else [keys])], [], [], _DRAW_AGAIN_S)
        if keys is not None and keys in ready and _QUITS & {*os.read(keys, 64)}:
            return False
        if noted in ready and signal.SIGTSTP in os.read(noted, 64):
            return True


class _Picture:
    """What is drawn. `is_verbose`: with what systemd and Docker say, asked when the agent has something new."""

    def __init__(self, paths: Paths, *, is_verbose: bool) -> None:
        self._paths = paths
        self._is_verbose = is_verbose
        self._last: StatusFound | None = None
        self._said: list[str] = []

    def now(self) -> tuple[list[str], Colour]:
        found = read(self._paths.status)
        status = by_now(found, self._paths)
        now = dt.datetime.now(dt.UTC)
        is_running = found is not None and found.is_running
        if self._is_verbose and (found != self._last or not self._said):
            self._said = [*verified(self._paths)[1]]
            self._last = found
        heading = (
            f"{now.astimezone():%H:%M:%S}  {'Ctrl-C ends this' if is_running else not_running(status, self._paths)}"
        )
        if status is not None:
            return [heading, "", *lines(status, now), *self._said], colour_of(status) if is_running else Colour.PLAIN
        unread = [] if found is None else [unreadable(found)]
        return [heading, "", *unread, *self._said], Colour.PLAIN


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """What ends us is raised, so that the terminal is put right; of the others a descriptor tells."""
    reads, writes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, _end) for number in _RAISING}
    before |= {number: signal.signal(number, _nothing) for number in _NOTED}
    told_before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    try:
        yield reads
    finally:
        signal.set_wakeup_fd(told_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reads)
        os.close(writes)


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _nothing(_number: int, _frame: object) -> None:
    """The descriptor tells."""


@contextlib.contextmanager
def _keys() -> Iterator[int | None]:
    """Where keys are read that are not shown; None: nobody types."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield None
        return
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    silent = [*before[:3], before[3] & ~(termios.ECHO | termios.ICANON), *before[4:]]
    termios.tcsetattr(keys, termios.TCSANOW, silent)
    try:
        yield keys
    finally:
        with contextlib.suppress(termios.error):  # the terminal may be gone
            termios.tcsetattr(keys, termios.TCSANOW, before)
