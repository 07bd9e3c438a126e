"""The long-running service: wake-ups in, passes out, systemd told.

A wake-up carries no information but "look again". One pass at a time; what wakes us meanwhile is remembered by `Wakes`.
Not known here: what wakes us (`watch/`), what a pass does (`reconcile.py`), and how a choice remembers (`memory.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final, Protocol

from agent.audit.log import AuditLog
from agent.condition import Code, Condition
from agent.decide.rate import Cause
from agent.errors import AgentError, NoPolicy, PolicyRefused
from agent.events import Event
from agent.memory import QUARANTINE_S, Memory
from agent.notify import Notify
from agent.paths import Paths
from agent.policy import Policy
from agent.policy_file import Loaded, load_safely, owners
from agent.reconcile import Pass, World, reconcile
from agent.record import Record
from agent.status import Docker, PolicyStatus, Since, StatusFile, now_text, status_of
from agent.users import Source
from agent.watch.wakeups import Reason

READY_WITHIN_S: Final = 5.0  # then Docker's start is no longer held up, whatever the network does
# While our unit stops, systemd holds up Docker's start, for we are Before= it: waiting for that would never end. Docker
# then starts with what was written, and the next start of the agent looks.
_STOPS_WITHIN_S: Final = 2.0
_AGAIN_S: Final = 5.0  # after a pass that failed as a whole
_REREAD: Final = frozenset({Reason.FILES, Reason.REQUEST})  # wake-ups after which the policy is read again


class Wakes(Protocol):
    """What wakes the service."""

    async def next(self, at: float | None) -> frozenset[Reason]:
        """Why it is time to look again, once that has come to rest; at the latest at that moment of CLOCK_BOOTTIME."""
        ...

    def watch(self, files: Sequence[Path]) -> None:
        """The files whose change wakes us."""
        ...


class Service:
    """One agent, from start to stop."""

    def __init__(
        self,
        paths: Paths,
        policy_path: Path,
        wakes: Wakes,
        notify: Notify,
        world: Callable[[Paths, Policy], World],
    ) -> None:
        self._paths = paths
        self._policy_path = policy_path
        self._wakes = wakes
        self._notify = notify
        self._make_world = world
        self._audit_log = AuditLog(paths.audit_log, paths.state)
        self._record = Record(self._audit_log, trigger="service")
        self._memory = Memory()
        self._status = StatusFile(paths.status)
        self._loaded: Loaded | None = None
        self._loaded_at: str | None = None
        self._refused: PolicyRefused | None = None
        self._world: World | None = None
        self._last: Pass | None = None
        self._failure: AgentError | None = None
        self._docker = Docker()
        self._since: Since | None = None
        self._invocation = ""

    async def run(self) -> None:
        """Until it is cancelled; everything then stays as it is."""
        self._record(Event.AGENT_STARTED, version=metadata.version("docker-proxy-agent"))
        ready = asyncio.create_task(self._ready_at_the_latest())
        alive = asyncio.create_task(self._alive())
        try:
            # The unit is Before=docker.service: until READY only files are written, or the two wait for each other.
            why = frozenset[Reason]()
            at = await self._looked(why)
            self._notify.ready()
            self._memory.may_restart()
            if self._last is not None and _is_restart_due(self._last):
                at = await self._looked(why)
            while True:
                why = await self._wakes.next(at)
                at = await self._looked(why)
        finally:
            self._notify.stopping()
            for task in (ready, alive):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            self._record(Event.AGENT_STOPPED, because="told to stop")

    async def _ready_at_the_latest(self) -> None:
        await asyncio.sleep(READY_WITHIN_S)
        self._notify.ready()

    async def _alive(self) -> None:
        """From the event loop: a loop that hangs is not alive."""
        while self._notify.watchdog_s:
            self._notify.alive()
            await asyncio.sleep(self._notify.watchdog_s / 3)

    async def _looked(self, why: frozenset[Reason]) -> float | None:
        """One pass, and when the next is due; None: only when something wakes us."""
        if Reason.RESUME in why:
            self._memory.resumed()
        if Reason.REQUEST in why:
            self._memory.forgive()
        if not _REREAD.isdisjoint(why) or self._world is None:
            self._reread()
        again: float | None = None
        if self._loaded is not None and self._world is not None:
            record = self._record.for_pass(secrets.token_hex(4), " ".join(sorted(why)) or "start")
            try:
                self._last = await reconcile(
                    self._loaded.policy,
                    self._world,
                    record,
                    choosing=self._memory,
                    stops_within_s=_STOPS_WITHIN_S,
                )
                self._failure = None
                self._remember(self._last)
                again = self._memory.next_at(_is_restart_due(self._last))
            except AgentError as error:  # said, shown, and tried again: the service goes on
                if str(error) != str(self._failure):
                    record(Event.TARGET_FAILED, target=error.where, error=str(error))
                self._failure = error
                again = self._memory.now() + _AGAIN_S
        self._show()
        self._wakes.watch(self._watched())
        return again

    def _remember(self, done: Pass) -> None:
        if done.seen.is_offline:
            self._memory.offline()
        upstream = done.seen.choice.upstream if done.seen.choice else None
        if upstream is not None and (self._since is None or self._since.name != upstream):
            self._since = Since(upstream, now_text())
        invocation = done.seen.reality.unit.invocation if done.seen.reality else ""
        if self._invocation and invocation not in ("", self._invocation):
            self._memory.docker_started(Cause.OTHERS)
        self._invocation = invocation or self._invocation
        outcome = done.outcome
        if outcome is None or (outcome.restarted_s is None and not outcome.rolled_back):
            return
        self._memory.docker_started(Cause.AGENT)
        self._invocation = ""  # ours: the next pass sees which it is
        if outcome.restarted_s is not None:
            self._docker = Docker(self._docker.restarts + 1, now_text(), outcome.restarted_s)
        elif upstream is not None:
            self._memory.quarantine(upstream)

    def _reread(self) -> None:
        """The policy and the files it names; a wrong one is said, and the last good one stays in force."""
        try:
            loaded = load_safely(self._policy_path, owners(self._paths), os.environ)
        except NoPolicy:
            self._loaded = self._world = self._last = self._refused = None
        except PolicyRefused as error:
            if self._refused is None or self._refused.problems != error.problems:
                self._record(Event.POLICY_REJECTED, path=error.path, problems=error.problems)
            self._refused = error
        else:
            self._refused = None
            if self._loaded is None or self._loaded != loaded:
                self._take(loaded)

    def _take(self, loaded: Loaded) -> None:
        self._loaded, self._loaded_at = loaded, now_text()
        policy = loaded.policy
        self._audit_log.limit(policy.audit.keep, policy.audit.max_size)
        self._record(Event.POLICY_LOADED, path=loaded.path, warnings=loaded.warnings)
        self._world = self._make_world(self._paths, policy)
        self._memory.use(policy, self._world.prober)

    def _watched(self) -> list[Path]:
        """The policy and its passwords; our targets; where DNS is said."""
        paths, policy = self._paths, self._loaded.policy if self._loaded else Policy()
        passwords = [Path(up.password_file) for up in policy.upstreams.values() if up.password_file]
        targets = [paths.environment_file, paths.drop_in(policy.docker.service), paths.daemon_json]
        files = self._last.seen.clients.files if self._last and self._last.seen.clients else ()
        # A home that was named by hand may lie on a network: looking at it would hold everything up.
        clients = [file.account.config for file in files if file.account.source is not Source.NAMED]
        resolvers = [paths.below("/etc/resolv.conf"), paths.below("/run/systemd/resolve/resolv.conf")]
        return [self._policy_path, *passwords, *targets, *resolvers, *clients]

    def _show(self) -> None:
        policy = PolicyStatus(
            str(self._policy_path), self._loaded_at, "; ".join(self._refused.problems) if self._refused else None
        )
        status = status_of(self._last, policy, self._docker, self._since, tuple(self._conditions()))
        with contextlib.suppress(AgentError):  # a full disk: the journal goes on, and the next pass tries again
            self._status.show(status)
        self._notify.status(_in_one_line(status.state.value, self._last))

    def _conditions(self) -> list[Condition]:
        found = []
        if self._refused is not None:
            found += [Condition(Code.POLICY_ERROR, text, target=self._refused.path) for text in self._refused.problems]
        elif self._loaded is None:
            found.append(Condition(Code.NO_POLICY, f"there is no policy: {self._policy_path}", "Write one"))
        for name in self._memory.quarantined:
            text = (
                f"Docker did not start with the settings of {name}: it is passed over for {QUARANTINE_S / 60:.0f} min"
            )
            found.append(Condition(Code.QUARANTINED, text, "To try again: systemctl reload docker-proxy-agent"))
        if self._failure is not None:
            found.append(Condition(Code.TARGET_FAILED, self._failure.what, self._failure.remedy, self._failure.where))
        if self._record.problem:
            found.append(Condition(Code.AUDIT_UNWRITABLE, self._record.problem))
        return found


def _is_restart_due(done: Pass) -> bool:
    restarted = done.outcome is not None and done.outcome.restarted_s is not None
    return done.seen.plan is not None and done.seen.plan.restart is not None and not restarted


def _in_one_line(state: str, done: Pass | None) -> str:
    if done is None:
        return "waits for a policy"
    if done.seen.recognised is None or done.seen.choice is None:
        return state
    return f"{done.seen.recognised.network.name}: {done.seen.choice.upstream or state} ({done.seen.choice.because})"
