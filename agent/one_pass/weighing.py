"""The plan of a pass, and what is asked for it alone: who holds it, and how urgent it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from agent.decide.desired import as_upstream
from agent.decide.plan import NOTHING_HOLDS, Holding, Plan, plan, put_off
from agent.decide.rate import Asked
from agent.decide.relay import Relayed
from agent.decide.restart import why_ended
from agent.decide.urgent import Urgency, can_be_asked, is_another_secret, may_be_asked, urgency
from agent.one_pass.docker_now import but_for_no_proxy, look_at_docker, meaning
from agent.one_pass.here import Here
from agent.one_pass.ports import Choosing, Daemon
from agent.values.dockerd import Phase, Reality
from agent.values.errors import AgentError
from agent.values.policy import Upstream
from agent.values.settings import Settings
from agent.values.verdict import Outcome, Verdict


async def weigh(weighing: Weighing, reality: Reality, *, is_known: bool) -> tuple[Reality, Plan]:
    """A pass that acts takes a full look just before it. One that waits asks only what may have changed."""
    if not is_known:
        return reality, await weighing.plan(reality)
    daemon, rough = weighing.here.world.daemon, weighing.rough(reality)
    is_all_needed = bool(rough.edits)
    if not is_all_needed:
        reality = await daemon.busy_now(reality) if rough.changes else reality
        planned = await weighing.plan(reality)
        is_all_needed = planned.acts
    if is_all_needed:
        reality, meant = await look_at_docker(weighing.here.policy, weighing.here.world)
        planned = await msgspec.structs.replace(weighing, meant=meant).plan(reality)
    return reality, planned


class Weighing(msgspec.Struct, frozen=True):
    """What the plan of this pass depends on, besides reality."""

    here: Here
    upstream: str  # the chosen one
    meant: Mapping[str, Settings]  # what each upstream means for dockerd
    relayed: Relayed

    @property
    def desired(self) -> Settings:
        return self.relayed.for_docker or self.meant[self.upstream]

    def rough(self, reality: Reality) -> Plan:
        """The plan if nothing held it back."""
        return self._planned(reality, NOTHING_HOLDS)

    async def plan(self, reality: Reality) -> Plan:
        """Urgency costs a probe, so it is asked only where it decides."""
        holding = self.here.choosing.holding(reality)
        planned = self._planned(reality, holding)
        is_news = reality.file.is_tried is False or reality.daemon_json_fault is not None
        if is_news and holding.foreign is None:
            # Asked again just before a restart; here it tells why one waits, or what the next one would meet.
            said = await self.here.world.daemon.refusal(reality)
            holding = msgspec.structs.replace(holding, foreign=said)
            planned = self._planned(reality, holding)
        is_asked = planned.is_urgency_asked and not holding.waits and not self.here.choosing.is_starting
        if is_asked and planned.effective is not None:
            holding = msgspec.structs.replace(holding, urgency=await self._urgency(planned.effective))
            planned = self._planned(reality, holding)
        if planned.restart is not None and planned.restart.spares_running and (why := await self._why_ended(reality)):
            planned = self._planned(reality, msgspec.structs.replace(holding, ends=why))
        if self.here.choosing.is_starting:
            planned = msgspec.structs.replace(planned, restart=None)
        planned = await or_put_off(planned, reality, self.here.world.daemon, self.here.choosing)
        if planned.effective is None or not self._is_only_looked_at(planned):
            return planned
        return msgspec.structs.replace(planned, verdict_here=(await self._urgency(planned.effective)).verdict)

    def _is_only_looked_at(self, planned: Plan) -> bool:
        """Whether a restart is due but has to wait, so that there is time to ask if Docker is cut off meanwhile.

        Only the record of that depends on the answer: what has to be written for Docker does not wait for it.
        """
        if planned.restart is None or planned.verdict_here is not None:
            return False
        return self.here.choosing.is_paused or not (planned.restarts or planned.edits)

    def _planned(self, reality: Reality, holding: Holding) -> Plan:
        is_asked_now = self.here.choosing.asked is Asked.NOW
        owned = self.here.world.daemon.owned(reality)
        found = plan(self.desired, reality, self.here.policy.docker, owned, is_asked_now=is_asked_now, holding=holding)
        verdict = holding.urgency.verdict if holding.urgency is not None else None
        return msgspec.structs.replace(found, verdict_here=verdict)

    async def _why_ended(self, reality: Reality) -> str:
        """Why a container would not survive although live-restore can be on. A new Docker is not asked."""
        engine = reality.engine
        if engine is None or not engine.ends_auto_removed:
            return ""
        try:
            return why_ended(engine, await self.here.world.daemon.running())
        except AgentError as error:  # unknown is not harmless: it waits, and the next pass asks again
            return str(error)

    async def _urgency(self, running: Settings) -> Urgency:
        if self.relayed.is_dead_for(running):
            return urgency(running, self.desired, "the relay", Verdict(Outcome.ERROR))
        upstream, is_asked = self._in_force(running)
        verdict = (
            await self.here.choosing.works(upstream, self.here.snapshot) if upstream is not None and is_asked else None
        )
        return urgency(running, self.desired, upstream.name if upstream else "", verdict)

    def _in_force(self, running: Settings) -> tuple[Upstream | None, bool]:
        """What dockerd goes through, if that has a name, and whether it may be asked here."""
        upstreams, network = self.here.policy.upstreams, self.here.network
        named = upstreams.get(meaning(running, self.meant, self.relayed) or "")
        if named is not None:
            return named, may_be_asked(named, network)
        if is_another_secret(running, self.desired) and can_be_asked(running):  # the proxy itself was chosen here
            return as_upstream(running, "the old password"), True
        alike = upstreams.get(but_for_no_proxy(running, self.meant) or "")
        if alike is None or not can_be_asked(running):
            return None, False
        return msgspec.structs.replace(alike, no_proxy=running.no_proxy), may_be_asked(alike, network)


async def or_put_off(planned: Plan, reality: Reality, daemon: Daemon, choosing: Choosing) -> Plan:
    is_down = reality.unit.phase is Phase.STOPPED  # its next start, in a boot, must find the right settings
    may_be_put_off = planned.writes_ahead and not is_down and not choosing.is_paused
    return put_off(planned) if may_be_put_off and await asyncio.to_thread(is_on_trial, daemon) else planned


def is_on_trial(daemon: Daemon) -> bool:
    """Whether dockerd's last start is still on probation; False if that is unknown."""
    try:
        return daemon.under_way().trial is not None
    except AgentError:  # a write notes it there first, and reports the error
        return False
