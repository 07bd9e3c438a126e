"""Accounts and groups: what the name service knows beyond passwd and group.

It may depend on LDAP, which is unreachable just when the laptop moves. So every question goes through this module: a
separate program asks (getgrouplist(3) in a Python thread would stop all other threads, FACTS 111), with a time limit,
and after a question without an answer none is asked for a while. Until then the last answer counts.

A question can take up to a second: call this in a thread.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.decide.backoff import again_s
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.system.files import Identity, identity_of
from agent.system.passwd import Login, logins
from agent.values.errors import AgentError
from agent.values.machine_text import lines, words

_ASKS: Final = ("getent",)
_WITHIN_S: Final = 1.0  # sssd's cache takes milliseconds, a directory server behind a VPN some hundred
_BELIEVED_S: Final = 600.0  # a question costs a process of 2 ms per account, and Docker's restart waits for it
_NOBODY_BELIEVED_S: Final = 30.0  # a missing account may be created at any moment
# Other sources of the same answers: if one of these files changes, no cached answer counts any more.
_LOCAL: Final = (Path("/etc/passwd"), Path("/etc/group"), Path("/etc/nsswitch.conf"))
_KILLED_WITHIN_S: Final = 0.5  # a process that can be killed is gone in 10 ms
_FOUND, _NOT_FOUND = 0, 2  # getent(1)
_A_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]+")  # getent takes such a name for a uid


class NamesUnknown(AgentError):
    """The name service does not answer: it is unknown whether the account exists."""

    def __init__(self, why: str) -> None:
        super().__init__("the name service", why, "Try: getent passwd")


class NameService:
    """What the system knows about accounts and groups, from any source. NamesUnknown: it does not answer."""

    def __init__(self, argv: Sequence[str] = _ASKS, within_s: float = _WITHIN_S, clock: Clock = SYSTEM_CLOCK) -> None:
        self._argv = tuple(argv)
        self._within_s = within_s
        self._clock = clock
        self._turn = threading.Lock()
        self._answers: dict[tuple[str, str], tuple[str, float]] = {}  # and until when they count
        self._local: tuple[Identity | None, ...] = ()
        self._is_asked_anew = False
        self._silent = 0  # times in a row
        self._silent_until = 0.0
        self._why = ""
        self._hung: subprocess.Popen[bytes] | None = None  # one that could not be killed

    def login(self, name: str) -> Login | None:
        """None: there is no such user."""
        if _A_NUMBER.fullmatch(name) or "\0" in name:
            return None
        return next(iter(logins(self._answer("passwd", name))), None)

    def login_of(self, uid: int) -> Login | None:
        return next((one for one in logins(self._answer("passwd", str(uid))) if one.uid == uid), None)

    def groups(self, login: Login) -> tuple[int, ...]:
        """Its own first."""
        told = next(iter(lines(self._answer("initgroups", login.name))), "").removeprefix(login.name)
        others = {int(number) for number in words(told) if number.isdecimal()}
        return (login.gid, *sorted(others - {login.gid}))

    def ask_anew(self) -> None:
        """A person says that something has changed. Does not wait: it takes effect with the next question."""
        self._is_asked_anew = True

    def _disbelieve(self) -> None:
        self._answers = {question: (answer, 0.0) for question, (answer, _) in self._answers.items()}
        if self._is_asked_anew:
            self._is_asked_anew, self._silent = False, 0

    def _answer(self, database: str, key: str) -> str:
        question = (database, key)
        with self._turn:
            local = tuple(map(identity_of, _LOCAL))
            if local != self._local or self._is_asked_anew:
                self._local = local
                self._disbelieve()
            known, until = self._answers.get(question, (None, 0.0))
            if known is not None and self._clock.boottime_s() < until:
                return known
            if self._is_asked_now():
                try:
                    known = self._ask(question)
                except NamesUnknown as silence:
                    self._silent, self._why = self._silent + 1, silence.what
                    self._silent_until = self._clock.boottime_s() + again_s(self._silent)
                else:
                    self._silent = 0
                    self._answers[question] = known, self._clock.boottime_s() + _believed_s(known)
            if known is None:
                raise NamesUnknown(self._why)
            return known

    def _is_asked_now(self) -> bool:
        if self._hung is not None and self._hung.poll() is None:
            return False  # or each question would leave one more behind
        self._hung = None
        return not self._silent or self._clock.boottime_s() >= self._silent_until

    def _ask(self, question: tuple[str, str]) -> str:
        try:
            asking = subprocess.Popen(
                [*self._argv, "--", *question],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise NamesUnknown(f"cannot be asked: {error.strerror}") from error
        with asking.stdout or contextlib.nullcontext():
            try:
                told, _ = asking.communicate(timeout=self._within_s)
            except subprocess.TimeoutExpired as silence:
                self._end(asking)
                raise NamesUnknown(f"gives no answer within {self._within_s:.2g} s") from silence
        if asking.returncode not in (_FOUND, _NOT_FOUND):
            raise NamesUnknown(f"cannot be asked: getent ended with {asking.returncode}")
        return told.decode(errors="surrogateescape")  # bytes until here: a carriage return is not a line break

    def _end(self, asking: subprocess.Popen[bytes]) -> None:
        """A process that hangs in the kernel is left behind, and not waited for."""
        asking.kill()
        try:
            asking.wait(_KILLED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._hung = asking


def _believed_s(answer: str) -> float:
    return _BELIEVED_S if answer else _NOBODY_BELIEVED_S


# One for the whole process, so that it finds out only once that the service is silent.
NAME_SERVICE: Final = NameService()
