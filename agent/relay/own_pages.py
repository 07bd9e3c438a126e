"""Pages that a proxy answers itself, whatever host the request names: they are for this host, and not for containers.

A proxy on this host gives them to clients from loopback, and the relay is one. Most have a name that no resolver knows,
so looking the name up does not help.
Pure. Not known here: pages under a name that somebody has chosen, such as another StatHost of tinyproxy.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

# For any host, because the name that Squid takes for its own depends on its settings. The cache manager is below this
# path, and shows the URLs of all current requests. Squid 5.7 accepts only this spelling; refusing others costs nothing.
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
