"""Where a redirect leads.

Pure. Whether leading there is right is not known here.
"""

from __future__ import annotations

import re

from agent.probe.exchange import HttpAnswer
from agent.values.secret import UNPARSABLE, escaped, redacted

_URL = re.compile(
    r"(?P<scheme>https?)://(?:[^/?#]*@)?(?P<host>\[[^\]]*\]|[^/?#:\[\]]*)(?::\d*)?(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)


def destination(answer: HttpAnswer) -> str:
    """Where a redirect leads, for a person: the host is enough to open a portal, and paths carry tokens."""
    location = _location(answer)
    if not location:
        return "to nowhere"
    url = _URL.match(location)
    if url is None:
        return "to another page of the same host"
    shown = redacted(location[: url.start("rest")])
    if shown == UNPARSABLE:
        return f"to {UNPARSABLE}"
    return escaped(f"to {shown}{'/…' if url['rest'] not in ('', '/') else ''}")


def host_of(answer: HttpAnswer) -> str | None:
    """Its host in lower case; None if it does not name one."""
    url = _URL.match(_location(answer))
    return None if url is None else url["host"].strip("[]").lower()


def _location(answer: HttpAnswer) -> str:
    return next(iter(answer.values(b"location")), "").strip()
