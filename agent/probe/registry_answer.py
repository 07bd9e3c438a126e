"""What the answer to `GET /v2/` says about the upstream that it came through.

Pure. An https registry has shown its certificate, so the answer is the registry's own. On plain http anything may
answer in its place, and only the registry header tells the two apart. An HTTP proxy is asked for the whole URL: an
answer without that header is taken for the proxy's.
"""

from __future__ import annotations

import enum
import re
from typing import Final

from agent.probe.exchange import HttpAnswer
from agent.probe.redirect import destination, host_of
from agent.probe.through_proxy import auth_wanted
from agent.values.policy import RegistryUrl
from agent.values.verdict import BY_ITS_LIMITS, Outcome

OK: Final = frozenset({200, 401, 429})
_REALM: Final = re.compile(r'\bbearer\s[^"]*?\brealm="([^"\s]*)"', re.IGNORECASE)
_LONGEST_CHALLENGE: Final = 2000
_REGISTRY_HEADER: Final = b"docker-distribution-api-version"


class Answerer(enum.Enum):
    """Who may have answered."""

    REGISTRY = "the registry, its certificate verified"
    ANYBODY = "whatever answers on plain http"
    PROXY = "an HTTP proxy that was asked for the whole URL"


Finding = tuple[Outcome, str]


def judged(answer: HttpAnswer, answerer: Answerer) -> Finding:
    """The outcome with its evidence."""
    if 300 <= answer.status < 400:
        return Outcome.PORTAL, f"{answer.status} {destination(answer)}"
    if answer.status == 511:  # Network Authentication Required (RFC 6585): only portals send it
        return Outcome.PORTAL, answer.words
    if answerer is Answerer.REGISTRY or is_registry(answer):
        return (Outcome.OK if answer.status in OK else Outcome.REGISTRY), answer.words
    if answerer is Answerer.PROXY:
        return _by_proxy(answer)
    if answer.status >= 500:
        return Outcome.REGISTRY, answer.words
    return Outcome.PORTAL, f"{answer.words}, not from a registry"


def _by_proxy(answer: HttpAnswer) -> Finding:
    if answer.status == 407:
        return Outcome.PROXY_AUTH, auth_wanted(answer)
    if answer.status >= 500:
        return Outcome.PROXY_DOWN, f"{answer.words}, not from a registry{BY_ITS_LIMITS * answer.is_by_limits}"
    if answer.status >= 400:
        return Outcome.PROXY_DENIED, f"{answer.words}, not from a registry"
    return Outcome.PORTAL, f"{answer.words}, not from a registry"


def on_port_80(answer: HttpAnswer, host: str) -> str | None:
    """What shows that a portal answered instead of an https registry, which would redirect to itself. None: nothing."""
    if not 300 <= answer.status < 400:
        return f"{answer.words} on port 80"
    if host_of(answer) == host:
        return None
    return f"{answer.status} {destination(answer)} on port 80"


def realm(answer: HttpAnswer) -> RegistryUrl | None:
    """Where a registry sends its clients for tokens, which a pull needs, too. None: it names no https URL."""
    found = (_REALM.search(value[:_LONGEST_CHALLENGE]) for value in answer.values(b"www-authenticate"))
    named = next((match[1] for match in found if match), "") if answer.status == 401 else ""
    if not named.lower().startswith("https://") or not named.isascii():
        return None
    try:
        return RegistryUrl.parse(named)
    except ValueError:
        return None


def is_registry(answer: HttpAnswer) -> bool:
    return any(value.strip().lower() == "registry/2.0" for value in answer.values(_REGISTRY_HEADER))
