"""Where a redirect leads.

Pure. Not known here: what that means.
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
    """Where a redirect leads, for a person. Without the path, which may hold a token; the host is enough."""
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
    """The host in lower case. None if the redirect does not name one."""
    url = _URL.match(_location(answer))
    return None if url is None else url["host"].strip("[]").lower()


def _location(answer: HttpAnswer) -> str:
    return next(iter(answer.values(b"location")), "").strip()
