"""What dockerd is running with now, and what it would run with if it were started now.

Pure. /info reports the settings but hides user and password (FACTS 2); their source tells the rest. While /info is
silent (FACTS 61), the process tells, where that is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from agent.targets import daemon_json
from agent.targets.refused import TextRefused
from agent.values.dockerd import Phase, Reality
from agent.values.settings import Masked, Proxy, ProxyUrl, Settings, Texts, agrees, proxy

_UP: Final = frozenset({Phase.STARTING, Phase.RUNNING, Phase.STOPPING})


def prospective(reality: Reality) -> Settings:
    """Flags, then the file, then the unit's environment (FACTS 3). TextRefused if the file cannot be read."""
    return reality.flags.proxies.over(daemon_json.texts(reality.daemon_json)).over(reality.environment).meaning()


def in_daemon_json(reality: Reality) -> Texts:
    """The proxies of the file; none where it cannot be read, as the plan says."""
    try:
        return daemon_json.texts(reality.daemon_json)
    except TextRefused:
        return Texts()


def effective(reality: Reality) -> Settings | None:
    """What dockerd reports, with the credentials that it was started with where they are known; None: unknown."""
    if reality.engine is None:
        return None
    if reality.engine.proxies is None:
        return told_by_process(reality)
    reported = reality.engine.proxies.meaning()
    known = [reality.flags.proxies]
    if isinstance(reality.started_with, Texts):
        known.append(reality.started_with)
    if reality.running_environment is not None:
        known.append(reality.running_environment)
    if_unknown = Masked.OTHER if reality.started_with is Masked.OTHER else Masked.MASKED
    return msgspec.structs.replace(
        reported,
        http=_unmasked(reported.http, [texts.http for texts in known], if_unknown),
        https=_unmasked(reported.https, [texts.https for texts in known], if_unknown),
    )


def told_by_process(reality: Reality) -> Settings | None:
    """What dockerd was started with, which it never reads again, whatever it answers. None: not known exactly."""
    file = _file_at_start(reality)
    if not reality.are_flags_read or reality.running_environment is None or file is None:
        return None
    return reality.flags.proxies.over(file).over(reality.running_environment).meaning()


def runs_with(reality: Reality) -> Settings | None:
    """The same while it says nothing at all, too, if its process tells. None: it does not run, or that is unknown."""
    return effective(reality) or told_by_process(reality)


def is_unheard(reality: Reality) -> bool:
    """Whether a dockerd runs, and nothing tells with what: it may still have whatever it was given once."""
    return reality.unit.phase in _UP and runs_with(reality) is None


def _file_at_start(reality: Reality) -> Texts | None:
    """daemon.json's half, as this dockerd read it; None: unknown."""
    if reality.takes_proxies is False:
        return Texts()  # with proxies there it would not run (FACTS 1)
    if reality.is_marked:
        return reality.started_with if isinstance(reality.started_with, Texts) else None
    if not reality.file.is_tried or reality.daemon_json_fault is not None:
        return None
    try:
        return daemon_json.texts(reality.daemon_json)
    except TextRefused:  # the plan leaves such a file alone and says why
        return None


def in_force(reality: Reality) -> Settings | None:
    """What dockerd runs with, if it would be started with the same; None: it would not, or that is not known."""
    running = effective(reality)
    if reality.daemon_json_fault is not None:
        return None
    try:
        # A start does not use a drop-in that systemd has not read.
        is_same = running is not None and reality.is_drop_in_read and agrees(running, prospective(reality))
    except TextRefused:  # the plan leaves such a file alone and says why
        return None
    return running if is_same else None


def _unmasked(reported: Proxy | None, known: Sequence[str], if_unknown: Masked) -> Proxy | None:
    if not isinstance(reported, ProxyUrl) or not isinstance(reported.credentials, Masked):
        return reported
    for text in known:
        candidate = proxy(text)
        if (
            isinstance(candidate, ProxyUrl)
            and candidate.credentials is not None
            and candidate.without_credentials() == reported.without_credentials()
        ):
            return candidate
    return msgspec.structs.replace(reported, credentials=if_unknown)
