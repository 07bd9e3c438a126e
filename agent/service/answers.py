"""Who asked the running agent for something, and what each is told when the pass that follows has ended.

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
    without_a_pass,
    wrong_lines,
)
from agent.system.policy_file import NO_POLICY, WRITE_ONE
from agent.values.errors import AgentError, NoPolicy, PolicyRefused


class AfterPass(msgspec.Struct, frozen=True):
    """What an answer is made of."""

    policy_path: Path
    loaded_at: str | None  # when the policy in force was read; None: none is
    refused: PolicyRefused | None  # what is wrong with the file as it stands
    failures: tuple[str, ...]  # of this pass
    done: Pass | None  # the last good one
    picture: Picture  # of it
    restart_waits: str = ""  # why a restart that is due and that the agent will make itself has to wait

    def waits(self, wish: Wish) -> str:
        """Why no answer is given yet: until there is a choice, and a person's `apply` until Docker may be restarted.

        Other waits are only said.
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
            return Answer(1, (*request.said, str(missing)))
        return answer_of(request.said, self.done, self.picture)

    def _with_the_refusal(self, request: Request, refused: PolicyRefused) -> Answer:
        """What was asked for was done by another policy than the one that stands there."""
        wrong = wrong_lines(refused)
        if request.wish.needs_no_policy and (self.done is None or self.loaded_at is None):
            return without_a_pass(request.said, refused)
        if self.done is None or self.loaded_at is None or request.wish.command is Command.RELOAD:
            return Answer(1, (*request.said, *wrong))
        in_force = f"the policy loaded at {self.loaded_at} stays in force"
        answer = answer_of(request.said, self.done, self.picture)
        is_done = request.wish.needs_no_policy
        told = by_the_policy_of_before(answer, wrong, in_force)
        return msgspec.structs.replace(told, exit=answer.exit if is_done else 1)


class OpenRequests:
    """Those that have no answer yet."""

    def __init__(self) -> None:
        self._next: list[Request] = []  # that the next pass is to answer
        self._in_hand: list[Request] = []  # that the pass under way is to answer

    def add(self, request: Request) -> None:
        self._next.append(request)

    def take(self) -> Sequence[Request]:
        """Those that the pass which begins is to answer."""
        self._in_hand, self._next = self._next, []
        return self._in_hand

    def put_back(self) -> None:
        """The next pass answers them, too."""
        self._next = [*self._unanswered(), *self._next]

    def answer(self, after: AfterPass) -> None:
        """What has to wait is said once, and stays for a pass to come."""
        for request in self._unanswered():
            if why := after.waits(request.wish):
                if not request.said:
                    request.said = [f"waited: {why}"]
                    request.say(f"waits: {why}")
                self._next.append(request)
            else:
                request.answer.set_result(after.answer(request))

    def fail(self, failures: Sequence[str]) -> None:
        """The pass has failed: nobody who asked waits for ever."""
        for request in self._unanswered():
            request.answer.set_result(failed(request, failures))

    def _unanswered(self) -> list[Request]:
        """Without who is gone, or was told already that it cannot be."""
        in_hand, self._in_hand = self._in_hand, []
        return [request for request in in_hand if not request.answer.done()]


def failed(request: Request, failures: Sequence[str]) -> Answer:
    """What was laid down holds; the pass has failed."""
    return Answer(1, (*request.said, *failures))


def refusal_by_another_policy(wish: Wish, mine: Path) -> Answer:
    """What a command asks for by a file of its own would be done by the service's, and undone by its next pass."""
    remedy = "Change that file, or leave --policy out; for another one stop it first: systemctl stop docker-proxy-agent"
    refusal = AgentError(
        wish.policy, f"{wish.command.value}: the running agent goes by {mine}, and nothing is done", remedy
    )
    return Answer(1, (str(refusal),))
