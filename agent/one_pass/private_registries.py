"""Private registries of daemon.json, asked for through the upstream in use: a note, for which no pass waits.

Not known here: which registries may be meant, and how one is asked (`probe/private.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from agent.audit.unexpected import unexpected
from agent.decide.desired import as_reached, for_dockerd
from agent.docker.config_file import ConfigFile
from agent.probe.dial import Resolve
from agent.probe.on_their_way import OnTheirWay
from agent.probe.private import MOST, Asking, Private, is_private, named, through
from agent.probe.probe import Question
from agent.system.clock import Clock
from agent.targets import daemon_json
from agent.targets.refused import TextRefused
from agent.values.condition import Code, Condition
from agent.values.errors import TargetFailed
from agent.values.listening import is_name
from agent.values.policy import Policy, RegistryUrl, Upstream
from agent.values.secret import escaped
from agent.values.verdict import Verdict

AGAIN_S: Final = 600.0  # each costs the proxy a request, and a note is not urgent


class _Asked(msgspec.Struct, frozen=True):
    """A probe of private registries, and the result of the last one."""

    about: tuple[Upstream, tuple[Private, ...]]
    at: float
    task: asyncio.Task[tuple[Condition, ...]]
    before: tuple[Condition, ...] = ()

    @property
    def said(self) -> tuple[Condition, ...]:
        return self.task.result() if self.task.done() and not self.task.cancelled() else self.before

    def is_due(self, now: float) -> bool:
        """A failure may have been temporary, so it is probed again."""
        return self.task.done() and bool(self.said) and now - self.at >= AGAIN_S


class PrivateRegistries:
    """What is known of them, from one pass to the next."""

    def __init__(  # noqa: PLR0913 - named at its one call
        self,
        policy: Policy,
        config_file: ConfigFile,
        resolve: Resolve,
        *,
        question: Callable[[], Question],
        heard: dict[str, Verdict],
        told: Callable[[], None] | None,
        clock: Clock,
    ) -> None:
        """`question`: how an upstream is asked now. `heard`: takes up the verdict on one that refused the password.

        `told`: called when a new result is there; None: it is waited for.
        """
        self._policy = policy
        self._config_file = config_file
        self._resolve = resolve
        self._question = question
        self._heard = heard
        self._told = told
        self._clock = clock
        self._last: _Asked | None = None
        self._on_their_way = OnTheirWay()

    @property
    def is_password_out(self) -> bool:
        return bool(self._on_their_way)

    def forget(self) -> None:
        """In another network."""
        if self._last is not None:
            if not self._on_their_way:  # else it goes on until the proxy has said whether it takes the password
                self._last.task.cancel()
            self._last = None

    async def said(self, upstream: Upstream) -> tuple[Condition, ...]:
        """Those that cannot be reached through the upstream, as far as that is known."""
        about, known, now = (upstream, _of_daemon_json(self._config_file)), self._last, self._clock.boottime_s()
        if known is None or known.about != about:
            if known is not None:
                known.task.cancel()
            before: tuple[Condition, ...] = ()
        elif known.is_due(now):
            before = known.said
        else:
            return known.said
        task = asyncio.get_running_loop().create_task(self._ask(*about))
        self._last = asked = _Asked(about, now, task, before)
        if self._told is None:
            return await self._awaited(asked)
        task.add_done_callback(lambda _: self._tell_of(asked))
        return asked.said

    async def _awaited(self, asked: _Asked) -> tuple[Condition, ...]:
        """Another arrival cancels the probe, but not those that wait for it: they get no result."""
        try:
            await asyncio.wait((asked.task,))
        finally:
            asked.task.cancel()
        return asked.said

    def _tell_of(self, asked: _Asked) -> None:
        """Only a new result is a reason for a pass."""
        if self._told is not None and not asked.task.cancelled() and (asked.said != asked.before or self._heard):
            self._told()

    async def _ask(self, upstream: Upstream, found: Sequence[Private]) -> tuple[Condition, ...]:
        try:
            excluded = for_dockerd(upstream, self._policy.no_proxy).no_proxy
            maybe = through(found, upstream, excluded)
            private = await asyncio.gather(*(self._is_private(one.urls[0]) for one in maybe))
            here = [one for one, is_so in zip(maybe, private, strict=True) if is_so][:MOST]
            question = msgspec.structs.replace(self._question(), on_their_way=self._on_their_way)
            asking = Asking(as_reached(upstream, question.vantage), question)
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(asking.fails(one)) for one in here]
        except Exception as error:  # noqa: BLE001 - the boundary of a target: a note is not worth the pass
            unexpected("the look at daemon.json's registries", error)
            return ()
        finally:
            self._on_their_way.note_heard((upstream.name,))
        if asking.refused is not None:
            self._heard[upstream.name] = asking.refused
        return tuple(
            _led_nowhere(upstream, one.host, because)
            for one, task in zip(here, asked, strict=True)
            if (because := task.result())
        )

    async def _is_private(self, url: RegistryUrl) -> bool:
        if is_private(url.host):
            return True
        if not is_name(url.host):
            return False
        try:
            async with asyncio.timeout(self._policy.probe.timeout):
                addresses = [address[0] for _, address in await self._resolve(url.host, url.port)]
        except (OSError, UnicodeError):  # includes TimeoutError: an unknown name is not probed
            return False
        return bool(addresses) and all(map(is_private, addresses))


def _of_daemon_json(config_file: ConfigFile) -> tuple[Private, ...]:
    """From daemon.json alone. What users can write, such as `auths`, must not decide whom the agent asks."""
    try:
        text = config_file.text()
        return named(daemon_json.insecure_registries(text), daemon_json.registry_mirrors(text))
    except (TextRefused, TargetFailed):  # the plan says so
        return ()


def _led_nowhere(upstream: Upstream, host: str, because: str) -> Condition:
    entry = escaped(host)
    return Condition(
        Code.REGISTRY_UNREACHABLE,
        f"Docker reaches {entry}, a private address in daemon.json, through {upstream.name}, and that fails: {because}",
        f'If {entry} is in this network: upstream.{upstream.name}.no_proxy = ["{entry}"]',
    )
