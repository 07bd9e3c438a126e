"""Pages that a proxy on this host has of itself, in every spelling of them."""

from __future__ import annotations

import pytest

from agent.relay.own_pages import own_page


@pytest.mark.parametrize(
    ("host", "path", "whose"),
    [
        ("proxy.home", b"/squid-internal-mgr/active_requests", "Squid"),
        ("192.0.2.1", b"/squid-internal-mgr/info", "Squid"),
        ("proxy.home", b"/squid-internal-dynamic/netdb", "Squid"),
        ("proxy.home", b"/Squid-Internal-MGR/info", "Squid"),
        ("proxy.home", b"//squid-internal-mgr/info", "Squid"),
        ("proxy.home", b"/%2Fsquid-internal-mgr/info", "Squid"),
        ("proxy.home", b"/%73quid%2dinternal%2Dmgr/info", "Squid"),
        ("proxy.home", b"/" + b"".join(b"%%%02x" % letter for letter in b"squid-internal-"), "Squid"),
        ("tinyproxy.stats", b"/", "tinyproxy"),
        ("TinyProxy.Stats.", b"/any", "tinyproxy"),
        ("tinyproxy.stats", b"", "tinyproxy"),
        ("config.privoxy.org", b"/show-status", "Privoxy"),
        ("P.P.", b"/", "Privoxy"),
        ("end.test", b"/", ""),
        ("end.test", b"", ""),
        ("end.test", b"*", ""),
        ("end.test", b"/about/squid-internal-mgr/", ""),
        ("end.test", b"/?/squid-internal-mgr/", ""),
        ("end.test", b"/squid-internals", ""),
        ("end.test", b"/" + b"%61" * 20_000, ""),
        ("www.privoxy.org", b"/", ""),
        ("tinyproxy.stats.test", b"/", ""),
    ],
)
def test_own_page(host: str, path: bytes, whose: str) -> None:
    assert own_page(host, path) == whose
