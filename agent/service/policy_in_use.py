"""The policy that the service uses: the last good one, even if a wrong one was written since.

Not known here: what a policy means (`values/policy.py`), and when it is read again (`service.py`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.one_pass.pac_source import beside_the_policy
from agent.one_pass.ports import World
from agent.service.policy_shown import parts_shown
from agent.service.served import Served
from agent.service.status_file import PolicyStatus
from agent.system.clock import now_text
from agent.system.files import identity_of
from agent.system.keyed import keyed
from agent.system.policy_file import (
    NO_POLICY,
    WRITE_ONE,
    Loaded,
    PolicyFile,
    files_of,
    folder_beside,
    load_safely,
    named,
    owners,
)
from agent.system.state_file import StateFile
from agent.values.condition import Code, Condition
from agent.values.errors import AgentError, NoPolicy, PolicyRefused, TargetFailed
from agent.values.events import Facts, PolicyLoaded, PolicyRejected, PolicyRemoved
from agent.values.paths import Paths
from agent.values.policy import Places, Policy
from agent.values.policy_faults import without_match
from agent.values.policy_lines import difference, lines_of

STARTED: Final = "the agent started"
CHANGED: Final = "it changed"
FIXED: Final = "it is fixed"
# With another file and the same policy, or the same file and another policy.
TOUCHED: Final = "it was written again with the same content"
NOT_ITS_MEANING: Final = "only comments, blanks or the order changed"
WHAT_IT_NAMES: Final = "a file that it names changed, such as a password"


class InUse(msgspec.Struct, frozen=True):
    """A policy, and the world made from it."""

    loaded: Loaded
    at: str  # when it was read, RFC 3339
    world: World
    service: str  # the unit of the Docker in that world

    @property
    def policy(self) -> Policy:
        return self.loaded.policy


class PolicyInUse:
    """Of one agent, which uses one policy file."""

    def __init__(
        self,
        path: Path,
        paths: Paths,
        make_world: Callable[[Paths, Policy], World],
        *,
        record: Record,
        audit_log: AuditLog,
    ) -> None:
        self.path = path
        self._paths = paths
        self._make_world = make_world
        self._record = record
        self._held: list[Callable[[], None]] | None = None  # records that wait; None: none has to
        self._audit_log = audit_log
        self.current: InUse | None = None  # None: there is no policy, or never was a good one
        self.refused: PolicyRefused | None = None  # what is wrong with the file as it is now
        self._idle_world: World | None = None
        self.served = Served(paths, record)
        self._outgoing: list[World] = []
        self._on_disk: tuple[object, ...] = ()  # identities of the files as last read
        self._has_read = False
        self._digest = keyed(paths.state, "policy")
        self._last = StateFile(paths.state / "policy-lines.json", list[str], 1)

    @property
    def policy(self) -> Policy:
        """An empty one, with its defaults, where there is none."""
        return self.current.policy if self.current is not None else Policy()

    @property
    def world(self) -> World:
        """Made from an empty policy where there is none."""
        if self.current is not None:
            return self.current.world
        if self._idle_world is None:
            self._idle_world = self._make_world(self.served.here, Policy())
        return self._idle_world

    def is_at(self, path: str) -> bool:
        """Whether the agent uses this file; '' stands for any."""
        return path in ("", os.path.abspath(self.path))  # noqa: PTH100 - links are as named

    def read(self, record: Record | None = None) -> bool:
        """Read the policy and the files it names again; whether another policy, or another Docker, is now in use.

        `record`: of the pass that reads it.
        """
        of_the_service, self._record = self._record, record or self._record
        try:
            return self._read()
        finally:
            self._record = of_the_service
            self._has_read = True
            self._on_disk = self._files_on_disk()

    def hold(self) -> None:
        """Record nothing of what is read until `tell`: the start of the agent, which comes first, needs a policy."""
        self._held = []

    def tell(self) -> None:
        held, self._held = self._held or [], None
        for say in held:
            say()

    def _say(self, made: Callable[[], Facts]) -> None:
        record = self._record  # of the pass that reads
        if self._held is None:
            record(made())
        else:  # nor is what is compared with the next policy kept yet
            self._held.append(lambda: record(made()))

    def read_early(self) -> bool:
        """Whether a policy written since is refused. A good one is left to the next `read`."""
        if self._on_disk == self._files_on_disk():
            return False
        try:
            self._load()
        except NoPolicy:  # an editor may be about to write it
            return False
        except PolicyRefused as error:
            self._refuse(error)
            self._on_disk = self._files_on_disk()
            return True
        return False

    def take_outgoing(self) -> list[World]:
        """The worlds of policies that are no longer used, each once."""
        worlds, self._outgoing = self._outgoing, []
        return worlds

    @property
    def watched(self) -> list[Path]:
        """The policy's files, Docker's targets, the resolver's files. The clients' files: see `clients/homes.py`."""
        paths, service = self.served.here, self.served.service
        targets = [paths.environment_file, paths.drop_in(service), paths.daemon_json]
        # They change when Docker starts or stops, or another one.
        unit = [paths.invocation_link(one) for one in {service, *self._paths.services}] if paths.is_real else []
        resolvers = [paths.below("/etc/resolv.conf"), paths.below("/run/systemd/resolve/resolv.conf")]
        return [*self._files(), *self._pacs(), *targets, *resolvers, *unit]

    @property
    def status(self) -> PolicyStatus:
        return PolicyStatus(
            str(self.path),
            self.current.at if self.current is not None else None,
            "; ".join(self.refused.problems) if self.refused is not None else None,
            parts_shown(self.current.loaded) if self.current is not None else (),
        )

    def conditions(self) -> Iterator[Condition]:
        if self.refused is not None:
            for wrong in self.refused.found:
                yield Condition(Code.POLICY_ERROR, wrong.text, target=wrong.at(self.refused.path))
        elif self.current is None:
            yield Condition(Code.NO_POLICY, NO_POLICY, WRITE_ONE, str(self.path))

    def _load(self) -> Loaded:
        return load_safely(self.path, owners(self._paths), os.environ, self._paths)

    def _read(self) -> bool:
        try:
            loaded = self._load()
        except NoPolicy:
            if self.current is not None:
                self._say(lambda: PolicyRemoved(path=str(self.path)))
            self._retire()
            self.refused = None
            self._see_which_docker(Policy())
            return False
        except PolicyRefused as error:
            self._refuse(error)
            return self._follow_docker(self.policy)  # of the one in use, which is not the refused one's fault
        is_fixed, self.refused = self.refused is not None, None
        if self.current is None or not self.current.loaded.means(loaded):
            self._see_which_docker(loaded.policy)
            names = self.current is not None and _has_the_same_text(self.current.loaded, loaded)
            changed = WHAT_IT_NAMES if names else CHANGED
            self._take(loaded, FIXED if is_fixed else changed if self._has_read else STARTED)
            return True
        if is_fixed or self.current.loaded.file != loaded.file:
            changed = TOUCHED if _has_the_same_text(self.current.loaded, loaded) else NOT_ITS_MEANING
            self._tell(loaded, FIXED if is_fixed else changed)
            self.current = msgspec.structs.replace(self.current, loaded=loaded)
        return self._follow_docker(loaded.policy)

    def _follow_docker(self, policy: Policy) -> bool:
        """Whether another one is to be served from now on."""
        self._see_which_docker(policy)
        if self.current is None or self.current.service == self.served.service:
            return False
        self._move(self.current)
        return True

    def _see_which_docker(self, policy: Policy) -> None:
        service = self.served.service
        self.served.look(policy)
        if self.served.service != service:
            self._idle_world = None

    def _refuse(self, error: PolicyRefused) -> None:
        if self.refused is None or self.refused.found != error.found:
            self._say(lambda: PolicyRejected(path=error.path, problems=self._problems_of(error)))
        self.refused = error

    def _problems_of(self, error: PolicyRefused) -> tuple[str, ...]:
        """As the log may have them; without a policy in use, what it may have of places is not known."""
        if self.current is not None and self.policy.audit.places is Places.FULL:
            return error.problems
        return tuple(map(without_match, error.problems))

    def _take(self, loaded: Loaded, because: str) -> None:
        world = self._make_world(self.served.here, loaded.policy)  # first: if this fails, the policy is not in use
        self._retire()
        self.current = InUse(loaded, now_text(), world, self.served.service)
        self._audit_log.limit(loaded.policy.audit.keep, loaded.policy.audit.max_size)
        self._tell(loaded, because)

    def _tell(self, loaded: Loaded, because: str) -> None:
        self._say(lambda: self._loaded(loaded, because))

    def _loaded(self, loaded: Loaded, because: str) -> PolicyLoaded:
        file = loaded.file
        return PolicyLoaded(
            path=loaded.path,
            because=because,
            policy_sha256=file.sha256 if file else UNSET,
            files=file.sums if file and file.sums else UNSET,
            size=file.size if file else UNSET,
            owner=file.owner if file else UNSET,
            changed=file.changed if file else UNSET,
            diff=UNSET if file is None else self._difference(file),
            warnings=tuple(warning.beside(loaded.path) for warning in loaded.warnings),
        )

    def _difference(self, file: PolicyFile) -> tuple[str, ...] | UnsetType:
        """To the last policy, whichever agent loaded it; UNSET if none did, or that is not known any more."""
        before = None
        try:
            lines = list(lines_of(file.parts, self._digest))
        except AgentError:  # a full disk: there is no key
            return UNSET
        with contextlib.suppress(AgentError):  # damaged: it is written anew
            before = self._last.load()
        if before != lines:
            with contextlib.suppress(AgentError):  # such as a full disk: the record is worth more
                self._last.save(lines)
        return UNSET if before is None else difference(before, lines)

    def _move(self, current: InUse) -> None:
        """The same policy for another Docker."""
        world = self._make_world(self.served.here, current.policy)
        self._retire()
        self.current = InUse(current.loaded, current.at, world, self.served.service)

    def _retire(self) -> None:
        if self.current is not None:
            self._outgoing.append(self.current.world)
        self.current = None

    def _files(self) -> list[Path]:
        """Including those of a refused policy: a missing file may be what makes it valid."""
        in_use = named(self.current.policy) if self.current is not None else ()
        refused = self.refused.named if self.refused is not None else ()
        return [*self._parts(), *map(self._paths.below, dict.fromkeys((*in_use, *refused)))]

    def _pacs(self) -> Iterator[Path]:
        for upstream in self.current.policy.upstreams.values() if self.current is not None else ():
            if (file := beside_the_policy(upstream.pac, self._paths)) is not None:
                yield file

    def _parts(self) -> list[Path]:
        """The policy's own files, and the folder of those that may come."""
        try:
            files = files_of(self.path)
        except TargetFailed:  # `read` says so
            files = [self.path]
        return [folder_beside(self.path), *files]

    def _files_on_disk(self) -> tuple[object, ...]:
        """Changes whenever the policy on disk does."""
        return tuple(map(identity_of, self._files()))


def _has_the_same_text(before: Loaded, loaded: Loaded) -> bool:
    return before.file is not None and loaded.file is not None and before.file.parts == loaded.file.parts
