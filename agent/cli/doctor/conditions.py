"""What a pass would say: its conditions, as findings.

Pure. What is wrong with settings, files and units is known there already, and is not judged twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from agent.cli.doctor.finding import Finding, Sign
from agent.cli.doctor.told import Around, told
from agent.values.condition import Code, Condition

# What changes something. A user's own instance, and systemd's for a user, need no root: those are spelled with --user.
_NEED_ROOT: Final = re.compile(
    r"(?<!\bsudo )\b(?:docker-proxy-agent (?:apply|plan|probe|reload|resume|restore|stale|uninstall|unpin)\b"
    r"|systemctl (?:daemon-reload|disable|edit|enable|reset-failed|restart|start|stop|unmask)\b)(?! --user)"
)

# What the other subjects say the cause of.
_FOLLOWING: Final = frozenset({Code.UNREACHABLE, Code.REGISTRY_UNREACHABLE, Code.CLIENT_UNREACHABLE, Code.OUT_OF_REACH})

# What a person would see mended with the finding that is broken: beside it, it only misleads.
_FOLLOWING_FROM: Final = {
    Sign.DOCKER_MASKED: Code.ENGINE_ABSENT,
    Sign.OTHER_ENGINE: Code.ENGINE_ABSENT,
    Sign.DOCKER_FAILED: Code.ENGINE_DOWN,
    Sign.LOGIN_REFUSED: Code.UNREACHABLE,
    Sign.NAME_UNKNOWN_TO_CONTAINERS: Code.CLIENT_UNREACHABLE,
}

# What keeps Docker at what it has, or the agent from an upstream that works. A pin to one that works does neither.
_HOLDING: Final = frozenset({Code.PAUSED, Code.QUARANTINED})

# What fails by them is no command of the agent, but what people do.
_BREAKING: Final = frozenset({Code.PINNED_BUT_FAILING, Code.CONTAINERS_CUT_OFF})

_NOTHING: Final = Around()


def judge(conditions: Iterable[Condition], around: Around = _NOTHING) -> Iterator[Finding]:
    """Of one that keeps Docker at what does not work here it says so."""
    for one in conditions:
        is_in_the_way = one.code in _BREAKING or (one.code in _HOLDING and around.is_docker_failing)
        is_harmless = one.code is Code.UNREACHABLE and around.is_led_out
        words = told(one, around)
        yield Finding(
            code=Sign.CONDITION,
            is_broken=(one.code.is_failure or is_in_the_way) and not is_harmless,
            where=words.where,
            what=words.what,
            why=words.why,
            command=_as_root(words.command),
            condition=one.code.value,
        )


def is_holding(finding: Finding) -> bool:
    """Whether Docker's settings would work but for this."""
    codes = {code.value for code in _HOLDING | {Code.NOT_EFFECTIVE, Code.PINNED_BUT_FAILING}}
    return finding.is_broken and (finding.condition in codes or finding.code is Sign.AGENT_DOWN)


def without_what_follows(conditions: Iterable[Condition], causes: Iterable[Finding]) -> Sequence[Condition]:
    """`causes`: what is found besides."""
    following = {_FOLLOWING_FROM.get(one.code) for one in causes if one.is_broken}
    return [one for one in conditions if one.code not in following]


def _as_root(remedy: str) -> str:
    """Remedies are worded for whoever is root already; who reads `doctor` has typed sudo."""
    return _NEED_ROOT.sub(r"sudo \g<0>", remedy)


def causes_first(conditions: Iterable[Condition]) -> tuple[Sequence[Condition], Sequence[Condition]]:
    """What others failed by, and what only follows from what other subjects find.

    A pause before all else that the agent does: nothing of that comes about until it is over.
    """
    found = sorted(conditions, key=lambda one: one.code is not Code.PAUSED)
    return [one for one in found if one.code not in _FOLLOWING], [one for one in found if one.code in _FOLLOWING]
