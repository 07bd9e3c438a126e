"""The upstreams of a network, probed side by side in order of preference.

The caller says how one upstream is probed, and when the verdicts are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from agent.probe.race import Entrant, race
from agent.values.policy import Upstream
from agent.values.verdict import Verdict

# The preferred one usually answers sooner than this, and then no other is probed. If it hangs, the next one loses no
# more than this.
HEAD_START_S: Final = 0.05
# Starting 49 probes at once takes the loop 20 ms, which the one that works would have to wait for.
APART_S: Final = 0.002

Probe = Callable[[Upstream], Coroutine[Any, Any, Verdict]]
Verdicts = Mapping[str, Verdict]
Enough = Callable[[Verdicts], bool]


async def probe_all(upstreams: Sequence[Upstream], probe: Probe, enough: Enough | None = None) -> dict[str, Verdict]:
    """The verdicts by name, in order of preference, as soon as they are enough. The other probes are cancelled.

    `enough` gets all verdicts so far. By default, one that works is enough once all preferred to it have failed.
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
    """Enough: an upstream that works, and a failure of each one preferred to it."""

    def decided(verdicts: Verdicts) -> bool:
        for name in names:
            if name not in verdicts:
                return False
            if verdicts[name].is_ok:
                return True
        return True

    return decided


def everything(_verdicts: Verdicts) -> bool:
    """Never enough: `probe` shows every result."""
    return False


def _by_name(names: Sequence[str], found: Mapping[int, Verdict]) -> dict[str, Verdict]:
    return {names[position]: found[position] for position in sorted(found)}


def _entrant(probe: Probe, upstream: Upstream) -> Entrant[Verdict]:
    return lambda: probe(upstream)
