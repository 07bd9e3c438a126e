"""The upstreams of a network, probed side by side in order of preference.

When there is enough to go by is the caller's to say, who sees each verdict as it comes; how one upstream is probed is
the caller's, too.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from agent.probe.race import Entrant, race
from agent.values.policy import Upstream
from agent.values.verdict import Verdict

# The preferred one mostly works and answers sooner than this: then nobody else is bothered. It is the most that a
# preferred one which hangs costs the next.
HEAD_START_S: Final = 0.05
# Starting forty-nine probes at once takes the loop some 20 ms, which the one that works would have to wait for.
APART_S: Final = 0.002

Probe = Callable[[Upstream], Coroutine[Any, Any, Verdict]]
Verdicts = Mapping[str, Verdict]
Enough = Callable[[Verdicts], bool]


async def probe_all(upstreams: Sequence[Upstream], probe: Probe, enough: Enough | None = None) -> dict[str, Verdict]:
    """The verdicts by name, in order of preference, as soon as they are enough; probes under way then are cancelled.

    `enough` is asked after each verdict with all that have come; without it, the first upstream that works decides as
    soon as all preferred to it have failed.
    """
    names = [upstream.name for upstream in upstreams]
    decided = enough or preferred(names)
    found = await race(
        [_entrant(probe, upstream) for upstream in upstreams],
        apart_s=[HEAD_START_S if position == 1 else APART_S for position in range(len(upstreams))],
        enough=lambda results: decided(_by_name(names, results)),
    )
    return _by_name(names, found)


def preferred(names: Sequence[str]) -> Enough:
    """Enough is an upstream that works, and a failure of each that is preferred to it."""

    def decided(verdicts: Verdicts) -> bool:
        for name in names:
            if name not in verdicts:
                return False
            if verdicts[name].is_ok:
                return True
        return True

    return decided


def everything(_verdicts: Verdicts) -> bool:
    """Never enough before all have come, as a person wants who asks how each one does."""
    return False


def _by_name(names: Sequence[str], found: Mapping[int, Verdict]) -> dict[str, Verdict]:
    return {names[position]: found[position] for position in sorted(found)}


def _entrant(probe: Probe, upstream: Upstream) -> Entrant[Verdict]:
    return lambda: probe(upstream)
