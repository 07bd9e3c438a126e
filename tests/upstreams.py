"""Upstreams, and URLs of proxies, for tests that know theirs to be right."""

from __future__ import annotations

import msgspec

from agent.values.policy import Upstream
from agent.values.settings import ProxyUrl, proxy


def url(text: str) -> ProxyUrl:
    """Of a text that is one."""
    read = proxy(text)
    assert isinstance(read, ProxyUrl), read
    return read


def upstream(text: str, name: str = "office", **facts: object) -> Upstream:
    """The same proxy for http and https."""
    return msgspec.structs.replace(Upstream(name, url(text), url(text)), **facts)
