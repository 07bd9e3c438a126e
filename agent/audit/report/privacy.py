"""What of a record's facts is on the page: not where the laptop was, unless that is asked for.

Pure. As with `audit.places = "names"`: a network has the name that the policy gives it. What is left out is what it was
recognised by, and what somebody there said: a portal, an issuer of certificates, a proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.values.events import Event
from agent.values.policy_faults import without_match
from agent.values.verdict import IN_OUR_WORDS

_IN_OUR_WORDS: Final = frozenset(outcome.value for outcome in IN_OUR_WORDS)
_OF_A_PLACE: Final = ("interfaces", "fingerprint", "place", "is_new")


def without_places(event: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts under today's names, but for those that tell where this was."""
    kept = {name: fact for name, fact in facts.items() if name not in _OF_A_PLACE}
    if event == Event.NETWORK_CHANGED.value:
        kept.pop("because", None)
    if event == Event.RELAY_REFUSED.value:  # addresses of the network that this was in
        kept.pop("sources", None)
    if isinstance(verdicts := kept.get("verdicts"), list):
        kept["verdicts"] = [_without_evidence(one) for one in verdicts]
    if isinstance(pacs := kept.get("pacs"), list):
        kept["pacs"] = [_without_source(one) for one in pacs]
    if isinstance(problems := kept.get("problems"), list):
        kept["problems"] = [without_match(one) if isinstance(one, str) else one for one in problems]
    return kept


def _without_source(pac: object) -> object:
    return (
        {name: pac[name] for name in ("upstream", "names", "excepted") if name in pac} if isinstance(pac, dict) else pac
    )


def _without_evidence(judged: object) -> object:
    if isinstance(judged, dict) and judged.get("verdict") not in _IN_OUR_WORDS:
        return {name: fact for name, fact in judged.items() if name != "evidence"}
    return judged
