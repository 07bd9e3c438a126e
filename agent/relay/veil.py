"""Our password for a proxy, overwritten in that proxy's answers.

A proxy may show the whole request in a page of its own, as Squid before 7.2 does in each error (FACTS 250): everybody
who may use the relay could read the password there. So it is overwritten, keeping the length.

Pure. It is found by the header's name, and not by its value: otherwise the author of a page could try passwords, and
see which of them is overwritten.
"""

from __future__ import annotations

import re
from typing import Final

MOST_HELD: Final = 8192  # bytes that it needs to see at once: more than the longest that it looks for
_MOST: Final = 64  # times in one answer; more are nobody's page, and each takes time
_NAMED: Final = b"authorization"
_A_PROXYS: Final = (b"proxy-", b"proxy_", b"proxy%2d", b"proxy%5f")  # also as CGI spells it
# All in lower case. Between the name and the password stand quotes, tags, blanks, and the name of the scheme.
_SCHEME: Final = re.compile(rb".{0,64}?basic(?:\+|(?:[^a-z0-9%+/=&#\\_-]|%20|%09|&nbsp;|&#32;){1,16})", re.DOTALL)
# In base64, quoted as for a URL, HTML or JSON.
_PASSWORD: Final = re.compile(
    rb"(?:[a-z0-9+/=_-]|%2[bf]|%3d|&#(?:43|47|61|x2b|x2f|x3d);|\\/|\\u00(?:2b|2f|3d)){1,1024}"
)


class TooMuchShown(Exception):
    """An answer has nothing but such headers."""


def veiled(text: bytes) -> bytes:
    """The same, without it. Raises TooMuchShown."""
    if _NAMED not in text.lower():
        return text
    veil = Veil()
    return veil.some(text) + veil.rest()


class Veil:
    """Over what comes in pieces."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._found = 0

    def some(self, data: bytes) -> bytes:
        """What may be shown of what has come so far: the last of it may yet turn out to be a part."""
        self._held += data
        return self._shown(len(self._held) - MOST_HELD)

    def rest(self) -> bytes:
        """At the end."""
        return self._shown(len(self._held))

    def _shown(self, until: int) -> bytes:
        if until <= 0:
            return b""
        text, at, hidden = self._held.lower(), 0, 0
        while (at := text.find(_NAMED, at)) >= 0 and at - len(_A_PROXYS[-1]) < until:
            before, at = text[max(0, at - len(_A_PROXYS[-1])) : at], at + len(_NAMED)
            if before.endswith(_A_PROXYS):
                hidden = self._hide(text, at, hidden)
                until = max(until, hidden)
        shown = bytes(self._held[:until])
        del self._held[:until]
        return shown

    def _hide(self, text: bytearray, at: int, hidden: int) -> int:
        """What follows the header's name. `hidden`: how far all is already, if it began before that."""
        self._found += 1
        if self._found > _MOST:
            raise TooMuchShown
        scheme = _SCHEME.match(text, at)
        password = _PASSWORD.match(text, max(scheme.end(), hidden)) if scheme is not None else None
        if password is None:
            return hidden
        self._held[password.start() : password.end()] = b"*" * len(password[0])
        return password.end()
