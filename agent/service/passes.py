"""How a pass is made, in one order, by the running agent and by a command that runs without it.

    lay down   end pins and pauses whose time is over, then do what a person asks
    finish     finish what was begun with Docker
    make       the pass itself

Failures are noted. Not known here: whether a failure stops the caller, and what is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.audit.record import Record
from agent.decide.rate import Asked
from agent.one_pass.following import follow
from agent.one_pass.memory import Memory
from agent.one_pass.ports import Choosing, Maker, World
from agent.one_pass.reconcile import reconcile
from agent.one_pass.seen import Pass
from agent.service.failures import Failures, ServicePart
from agent.service.policy_in_use import InUse
from agent.service.requests import Answer, Request, asked_by, obey
from agent.service.unfinished import Unfinished
from agent.system.alongside import alongside
from agent.values.dockerd import Reality
from agent.values.errors import AgentError
from agent.values.policy import Policy


class Passes:
    """Of one agent, or of one command."""

    def __init__(self, memory: Memory, failures: Failures, unfinished: Unfinished) -> None:
        self._memory = memory
        self._failures = failures
        self._unfinished = unfinished
        self._asks_pacs = False  # a person asked
        self._awaits_pacs = False  # … to be told what comes of it

    def lay_down(
        self, requests: Sequence[Request], policy: Policy | None, record: Record, *, is_reload: bool = False
    ) -> bool:
        """Returns whether everything that was given up is to be tried again.

        A request that cannot be met is answered here. `policy`: None without one. `is_reload`: SIGHUP was received.
        """
        if policy is not None:
            self._end_what_is_over(policy, record)
        else:  # nothing can be over then: what failed before was of another pass
            self._failures.clear(ServicePart.LAID_DOWN)
        wishes = [request.wish for request in requests]
        self._memory.asked = asked_by(wishes)
        forgives = is_reload or any(wish.forgives for wish in wishes)
        if forgives:
            self._forgive()
        if forgives or requests:
            self._memory.ask_anew()
            self._asks_pacs = True
        # One that was obeyed before, and waits for something else, does not delay another pass.
        self._awaits_pacs |= any(one.wish.asks_what_is_so and not one.pass_id for one in requests)
        for request in requests:
            if not request.pass_id:  # else it was met before, and waits for its answer
                request.pass_id = record.pass_id
                self._obey(request, policy, record)
        return forgives

    async def finish(self, world: World, reality: Reality | None = None) -> None:
        """`reality`: Docker as last seen."""
        try:
            await self._unfinished.finish(world, reality)
        finally:
            self._memory.is_held = self._unfinished.forbids_writing

    async def make(
        self,
        in_use: InUse,
        record: Record,
        *,
        choosing: Choosing,
        maker: Maker,
    ) -> Pass:
        """Raises AgentError, or an unexpected exception, if the pass fails."""
        if self._asks_pacs:
            in_use.world.pacs.ask_anew(is_awaited=self._awaits_pacs)
            self._asks_pacs = self._awaits_pacs = False
        done = await reconcile(
            in_use.policy,
            in_use.world,
            record,
            choosing=choosing,
            maker=maker,
            stops_within_s=self._unfinished.stops_within_s,
        )
        self._failures.clear(ServicePart.WHOLE)
        await self._unfinished.follow(in_use.world, done)
        if done.outcome is not None and done.outcome.goes_down:
            return done
        # Last: nothing waits for a note, and the relay not for a Docker that hangs by now. An idle pass asks nothing.
        anew = self._memory.asked is not Asked.AGENT or bool(done.clients)
        async with alongside(follow(in_use.policy, in_use.world, choosing, done.seen.snapshot)):
            carried = await in_use.world.daemon.carried(anew=anew)
        return msgspec.structs.replace(done, carried=tuple(carried or ()))

    def _end_what_is_over(self, policy: Policy, record: Record) -> None:
        try:
            for facts in self._memory.overrides.end_what_is_over(policy.upstreams):
                record(facts)
        except AgentError as error:  # a full disk: it is over all the same, and recorded the next time
            self._failures.note(ServicePart.LAID_DOWN, error)
        else:
            self._failures.clear(ServicePart.LAID_DOWN)

    def _forgive(self) -> None:
        try:
            self._memory.forgive()
        except AgentError as error:  # a full disk: what was given up stays given up
            self._failures.note(ServicePart.LAID_DOWN, error)

    def _obey(self, request: Request, policy: Policy | None, record: Record) -> None:
        try:
            theirs = record.asked_by(request.asker, request.wish.command.value)
            said = obey(request.wish, self._memory.overrides, policy, theirs)
        except AgentError as error:  # a full disk: the wish could not be kept
            said = Answer(1, (str(error),))
        if isinstance(said, Answer):
            request.answer.set_result(said)
        else:
            request.said = said
