"""Pages that a proxy answers itself, whoever is named in the request: they are for this host, and not for containers.

A proxy on this host gives them to whoever comes from loopback, and the relay does. Most are asked for under a name that
no resolver knows, so the name alone, looked up, tells nothing.
Pure. Not known here: pages under a name that somebody has chosen, such as another StatHost of tinyproxy.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

# Whatever host is asked for: what Squid takes for its own name is a matter of its settings. The cache manager is below,
# with the URLs that everybody has under way. Squid 5.7 takes this one spelling; others cost nothing to refuse.
_PATH: Final = re.compile(rb"/+squid-internal-", re.IGNORECASE)
_LOOKED_AT: Final = 128  # bytes of a path: of 64 KB, others would wait for that
_HOSTS: Final = {
    "tinyproxy.stats": "tinyproxy",  # StatHost, as it comes
    "config.privoxy.org": "Privoxy",  # its settings, and if enable-edit-actions is set, a way to change them
    "p.p": "Privoxy",
}


def own_page(host: str, path: bytes) -> str:
    """Which proxy would answer that itself; '' if none that is known."""
    if _PATH.match(unquote_to_bytes(path[:_LOOKED_AT])):
        return "Squid"
    return _HOSTS.get(host.rstrip(".").lower(), "")
