"""Everybody who asked the agent for something gets an answer."""

from __future__ import annotations

from pathlib import Path

from agent.one_pass.drawing import picture_of
from agent.service.answers import AfterPass, OpenRequests
from agent.service.requests import Answer, Command, Request, Wish
from agent.values.asker import Asker, Via


class Broken(AfterPass, frozen=True):
    """Cannot answer a reload."""

    def answer(self, request: Request) -> Answer:
        if request.wish.command is Command.RELOAD:
            raise KeyError("reload")
        return super().answer(request)


async def test_who_asked_behind_one_that_cannot_be_answered_is_told_of_the_failure_too() -> None:
    wishes = map(Wish, (Command.PAUSE, Command.RELOAD, Command.PAUSE))
    asked = [Request(wish, lambda _: None, Asker(Via.CONTROL, uid=0)) for wish in wishes]
    requests = OpenRequests()
    for request in asked:
        requests.add(request)
    requests.take()

    try:
        requests.answer(Broken(Path("/config.toml"), None, None, (), None, picture_of(None)))
    except KeyError:
        requests.fail(("the pass failed",))

    first, *others = (request.answer.result() for request in asked)
    assert first.lines != ("the pass failed",)
    assert [other.lines for other in others] == [("the pass failed",)] * 2
