"""The records of a pass: where the host is, what was chosen, and what is about to be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from msgspec import UNSET, UnsetType

from agent.decide.choose import Choice
from agent.decide.clients import Intent
from agent.decide.pac import PacSeen, told
from agent.decide.plan import Plan
from agent.decide.recognise import Recognised
from agent.decide.restart import When
from agent.decide.urgent import is_another_secret
from agent.one_pass.seen import Planned, Seen, Verdicts
from agent.system.clock import rfc3339
from agent.values.events import ApplyStarted, NetworkChanged, NoUpstream, PacTold, PlaceSeen, UpstreamChosen, judged

_PAUSED: Final = "the agent is paused: nothing is written"


def network_changed(
    recognised: Recognised, here: PlaceSeen, *, previous: str | UnsetType | None = UNSET
) -> NetworkChanged:
    """`previous`: the network before, None if it was offline, UNSET if that is not known."""
    return NetworkChanged(
        network=recognised.network.name,
        previous_network=previous,
        because=UNSET if here.interfaces is UNSET else recognised.because,
        place=here.place,
        is_new=here.is_new,
        fingerprint=here.fingerprint,
        interfaces=here.interfaces,
    )


def upstream_chosen(  # noqa: PLR0913 - named at every call
    recognised: Recognised,
    choice: Choice,
    verdicts: Verdicts,
    *,
    previous: str | UnsetType = UNSET,
    pacs: Sequence[PacSeen] = (),
    says_where: bool = True,
    is_paused: bool = False,
) -> UpstreamChosen:
    """`previous`: the upstream before, if that was another. `says_where`: see `events.judged`."""
    assert choice.upstream is not None  # noqa: S101 - the caller looked
    return UpstreamChosen(
        upstream=choice.upstream,
        previous_upstream=previous,
        network=recognised.network.name,
        because=choice.because,
        withheld=_PAUSED if is_paused else UNSET,
        verdicts=judged(verdicts, says_where=says_where),
        pacs=_told(pacs, says_where=says_where),
    )


def no_upstream(
    recognised: Recognised,
    choice: Choice,
    verdicts: Verdicts,
    *,
    pacs: Sequence[PacSeen] = (),
    says_where: bool = True,
) -> NoUpstream:
    return NoUpstream(
        network=recognised.network.name,
        because=choice.because,
        verdicts=judged(verdicts, says_where=says_where),
        pacs=_told(pacs, says_where=says_where),
    )


def _told(pacs: Sequence[PacSeen], *, says_where: bool) -> tuple[PacTold, ...] | UnsetType:
    return told(pacs, rfc3339, says_where=says_where) or UNSET


def intent(seen: Seen) -> ApplyStarted:
    """What the log has on disk before the first write; of Docker's settings if they are written or put in force."""
    plan, clients = seen.plan if isinstance(seen, Planned) else None, seen.clients
    dockers = plan if plan is not None and plan.acts else None
    daemon_targets = tuple(edit.path for edit in plan.edits) if plan else ()
    client_targets = tuple(file.path for file in clients.edits) if clients else ()
    is_given = clients is not None and clients.wanted.intent is not Intent.LEAVE  # else they get back what was theirs
    restart = plan.restart if plan else None
    is_now = restart is not None and restart.when is When.NOW
    return ApplyStarted(
        settings=_known(dockers.desired if dockers else None),
        effective=_known(plan.effective if plan else None),
        prospective=_known(plan.prospective if plan else None),
        in_force=True if plan and not dockers and plan.is_in_force else UNSET,
        changes=_known(_hidden_change(dockers) if dockers else None),
        method=_known(dockers.method if dockers else None),
        method_because=_known((dockers.why_method if dockers else None) or None),
        client_settings=_known(clients.wanted.settings if client_targets and clients and is_given else None),
        targets=(*daemon_targets, *client_targets),
        restart=restart.when.value if restart else UNSET,
        due=plan.due if plan and restart else UNSET,
        allowed=restart.allowed if restart and is_now else UNSET,
        waits=restart.waits if restart and not is_now else UNSET,
    )


_T = TypeVar("_T")


def _known(fact: _T | None) -> _T | UnsetType:
    """What is not known is not in the record."""
    return UNSET if fact is None else fact


def _hidden_change(plan: Plan) -> str | None:
    """Says that the secret differs, which redacted settings do not show; never which."""
    before = plan.effective or plan.prospective
    is_hidden = before is not None and is_another_secret(before, plan.desired)
    return "nothing but a user or a password" if is_hidden else None
