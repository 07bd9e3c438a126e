"""What of a text tells where the laptop is, or whose it is, and what is shown instead.

Pure. Words that are known come in; addresses are known by their looks. The same address, place or user gets the same
mark each time, so that a reader sees what belongs together. As with passwords (`values/secret.py`, which comes first),
too much is hidden rather than too little. Not known here: what such a text is of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from agent.values.policy_faults import without_match
from agent.values.secret import HIDDEN

_IPV4: Final = r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)(?:/\d{1,2})?"
# An IPv6 address or a MAC, whatever stands right before and behind it; a time of day has two colons.
_COLONS: Final = r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:/\d{1,3})?"
_MAC: Final = r"(?<!\w)[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}(?!\w)"
_ADDRESS: Final = re.compile(rf"{_IPV4}|{_MAC}|{_COLONS}")
_MOST_COLONS: Final = 3  # that no address has
# The same everywhere: this host itself, and all private networks, as no_proxy names them.
_NO_PLACE: Final = re.compile(
    r"127(?:\.\d{1,3}){3}(?:/\d+)?|0\.0\.0\.0(?:/0)?|[:]*::1(?:/128)?:?|::(?:/0)?"
    r"|10\.0\.0\.0/8|172\.16\.0\.0/12|192\.168\.0\.0/16|169\.254\.0\.0/16|fc00::/7|fe80::/10"
)
_HOME: Final = re.compile(r"(?<=/home/)[^/\s\"',:;]+")
_FIELD: Final = re.compile(r"[a-z_]+")
_EVERYBODYS: Final = frozenset({"root", "docker"})  # accounts that tell of nobody
# Facts that hold nothing else.
_OF_PLACES: Final = frozenset({"fingerprint", "interfaces", "ssid", "gateways", "gateway_macs", "addresses", "diff"})
_OF_USERS: Final = frozenset({"username", "owner", "claimed"})
_IN_A_NETWORK: Final = frozenset({"network", "previous_network"})  # beside these, `because` is what matched


class Hiding:
    """One bundle's. `places`: SSIDs, domains and what else is known of them; `users`: names of accounts."""

    def __init__(self, users: Iterable[str], places: Iterable[str] | None) -> None:
        self._marks: dict[tuple[str, str], str] = {}
        self._hides_places = places is not None
        self._users = _words(one for one in users if one.lower() not in _EVERYBODYS)
        self._places = _words(places or ())

    def value(self, value: Any) -> Any:
        """The same of plain JSON, in every text of it."""
        match value:
            case str():
                return self.text(value)
            case list() | tuple():
                return [self.value(one) for one in value]
            case Mapping():
                return self._object(value)
        return value

    def text(self, text: str) -> str:
        text = _HOME.sub(lambda found: self._mark("user", found[0]), text)
        if self._users is not None:
            text = self._users.sub(lambda found: self._mark("user", found[0]), text)
        if not self._hides_places:
            return text
        text = without_match(text)
        if self._places is not None:
            text = self._places.sub(lambda found: self._mark("place", found[0]), text)
        return _ADDRESS.sub(self._address, text)

    def _object(self, value: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, one in value.items():
            is_hidden = name in _OF_USERS or (self._hides_places and self._is_of_a_place(name, value))
            # An SSID may be called as one of our fields; and what the policy calls its upstreams stays.
            shown = name if _FIELD.fullmatch(name) else self.text(name)
            found[shown] = HIDDEN if is_hidden and one else self.value(one)
        return found

    @staticmethod
    def _is_of_a_place(name: str, beside: Mapping[str, Any]) -> bool:
        is_recognised = name == "because" and ("fingerprint" in beside or bool(_IN_A_NETWORK & beside.keys()))
        return name in _OF_PLACES or (is_recognised and "upstream" not in beside)

    def _address(self, found: re.Match[str]) -> str:
        text = found[0]
        if _NO_PLACE.fullmatch(text) or not _is_address(text):
            return text
        bits = text.find("/")
        return self._mark("address", text) if bits < 0 else f"{self._mark('address', text[:bits])}{text[bits:]}"

    def _mark(self, kind: str, text: str) -> str:
        if "‹" in text or HIDDEN in text:
            return text
        number = sum(known == kind for known, _ in self._marks) + 1
        return self._marks.setdefault((kind, text.lower()), f"‹{kind} {number}›")


def _is_address(text: str) -> bool:
    colons = text.count(":")
    if not colons:
        return True
    return colons >= _MOST_COLONS or ("::" in text and any(one.isalnum() for one in text))


def _words(these: Iterable[str]) -> re.Pattern[str] | None:
    """All of them, the longest first; None: there are none."""
    known = sorted((one for one in set(these) if one.strip("*?")), key=lambda one: (-len(one), one))
    if not known:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(_expression, known))})(?!\w)", re.IGNORECASE)


def _expression(word: str) -> str:
    """A pattern of the policy hides all that it matches."""
    return re.escape(word).replace(r"\*", r"[\w-]*").replace(r"\?", r".")
