"""Who waits for an answer of the running agent, and what each is told when the pass has ended.

Not known here: how it reached the agent (`control.py`), and how it is obeyed (`requests.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.one_pass.picture import Picture
from agent.one_pass.seen import Pass, Undecided
from agent.service.requests import (
    Answer,
    Command,
    Request,
    Wish,
    answer_of,
    by_the_policy_of_before,
    obeyed_but,
    without_a_pass,
    wrong_lines,
)
from agent.service.status_page import still_used_since
from agent.system.policy_file import NO_POLICY, WRITE_ONE
from agent.values.errors import AgentError, NoPolicy, PolicyRefused


class AfterPass(msgspec.Struct, frozen=True):
    """What answers are made from."""

    policy_path: Path
    loaded_at: str | None  # when the policy in use was read; None: there is none
    refused: PolicyRefused | None  # what is wrong with the policy file as it is now
    failures: tuple[str, ...]  # of this pass
    done: Pass | None  # the last good one
    picture: Picture  # of it
    restart_waits: str = ""  # why a pending restart has to wait

    def waits(self, wish: Wish) -> str:
        """Why there is no answer yet: no choice is made, or an `apply` has to wait for its restart.

        Other delays are only reported.
        """
        if self.done is None or self.failures:
            return ""
        seen = self.done.seen
        if isinstance(seen, Undecided) and seen.is_waiting and wish.command is not Command.PAUSE:
            return seen.choice.because
        return self.restart_waits if wish.command is Command.APPLY else ""

    def answer(self, request: Request) -> Answer:
        if self.refused is not None:
            return self._with_the_refusal(request, self.refused)
        if self.failures:
            return failed(request, self.failures)
        if self.done is None:
            missing = NoPolicy(str(self.policy_path), NO_POLICY, WRITE_ONE)
            if request.wish.needs_no_policy:
                return without_a_pass(request.said, missing)
            return obeyed_but(request.said, (str(missing),))
        return answer_of(request.said, self.done, self.picture)

    def _with_the_refusal(self, request: Request, refused: PolicyRefused) -> Answer:
        """The request was met under an older policy than the one in the file."""
        wrong = wrong_lines(refused)
        if request.wish.needs_no_policy and (self.done is None or self.loaded_at is None):
            return without_a_pass(request.said, refused)
        if self.done is None or self.loaded_at is None or request.wish.command is Command.RELOAD:
            return obeyed_but(request.said, wrong)
        still_used = still_used_since(self.loaded_at)
        answer = answer_of(request.said, self.done, self.picture)
        is_done = request.wish.needs_no_policy
        told = by_the_policy_of_before(answer, wrong, still_used)
        return msgspec.structs.replace(told, exit=answer.exit if is_done else 1)


class OpenRequests:
    """Requests without an answer."""

    def __init__(self) -> None:
        self._next: list[Request] = []  # for the next pass
        self._in_hand: list[Request] = []  # for the pass under way

    def add(self, request: Request) -> None:
        self._next.append(request)

    def take(self) -> Sequence[Request]:
        """The requests for the pass that begins now."""
        self._in_hand, self._next = self._next, []
        return self._in_hand

    def put_back(self) -> None:
        """Leave them to the next pass."""
        self._next = [*self._unanswered(), *self._next]

    def answer(self, after: AfterPass) -> None:
        """A request that has to wait is told why, once, and is kept.

        If an answer cannot be made, that request and those behind it are still there for `fail`.
        """
        self._in_hand = self._unanswered()
        while self._in_hand:
            request, *behind = self._in_hand
            if why := after.waits(request.wish):
                if not request.said:
                    request.said = [f"waited: {why}"]
                    request.say(f"waits: {why}")
                self._next.append(request)
            else:
                request.answer.set_result(after.answer(request))
            self._in_hand = behind

    def fail(self, failures: Sequence[str]) -> None:
        """Answer all after a failed pass, so that no command waits for ever."""
        for request in self._unanswered():
            request.answer.set_result(failed(request, failures))

    def _unanswered(self) -> list[Request]:
        """Without commands that are gone, and requests that were refused."""
        in_hand, self._in_hand = self._in_hand, []
        return [request for request in in_hand if not request.answer.done()]


def failed(request: Request, failures: Sequence[str]) -> Answer:
    """The request was met, but the pass failed."""
    return obeyed_but(request.said, failures)


def refusal_by_another_policy(wish: Wish, mine: Path) -> Answer:
    """The agent would meet the request under its own policy, not under the one the command names."""
    remedy = "Edit that file, or omit --policy; to use another file, first run: systemctl stop docker-proxy-agent"
    refusal = AgentError(wish.policy, f"{wish.command.value}: the running agent uses {mine}; nothing was done", remedy)
    return Answer(1, (str(refusal),))
