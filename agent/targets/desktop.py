"""What a desktop says of a proxy: GNOME's settings as `gsettings list-recursively` prints them, KDE's kioslaverc, and
the connections of NetworkManager.

Pure, and only read: Docker takes nothing of any. A PAC file is no proxy: of it only the URL is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from agent.values.machine_text import lines
from agent.values.settings import DIRECT, Settings, settings

GNOME: Final = ("gsettings", "list-recursively", "org.gnome.system.proxy")
KDE: Final = (".config", "kioslaverc")  # below a home
# nm-settings-keyfile(5). They are root's alone.
CONNECTIONS: Final = (
    "/etc/NetworkManager/system-connections",
    "/run/NetworkManager/system-connections",
    "/usr/lib/NetworkManager/system-connections",
)
_AUTO: Final = ("1", "auto")  # NM_SETTING_PROXY_METHOD_AUTO; a connection has no other proxy than by PAC
# In a PAC script, whether its line breaks are written out or not.
_BY_SCRIPT: Final = re.compile(r"\b(?:PROXY|HTTPS?|SOCKS[45]?)[ \t]+([A-Za-z0-9.-]+:[0-9]{1,5})\b")
_MOST_NAMED: Final = 4
_MANUAL, _PAC, _WPAD = "1", "2", "3"  # KProtocolManager::ProxyType
_WHATEVER: Final = "auto"  # the network names, as a policy has it


class Desktop(msgspec.Struct, frozen=True):
    """One desktop's proxy."""

    means: Settings = DIRECT
    pac: str = ""  # the URL of a PAC file, or `auto`; '': there is none


def gnome(printed: str) -> Desktop:
    """Only what `mode` says counts, whatever else is filled in."""
    found: dict[str, str] = {}
    for line in lines(printed):
        schema, _, rest = line.partition(" ")
        key, _, value = rest.partition(" ")
        found[f"{schema.removeprefix('org.gnome.system.proxy').lstrip('.')}.{key}"] = value
    mode = _text(found.get(".mode", ""))
    if mode == "auto":
        return Desktop(pac=_text(found.get(".autoconfig-url", "")) or _WHATEVER)
    if mode != "manual":
        return Desktop()
    excluded = ",".join(re.findall(r"'([^']*)'", found.get(".ignore-hosts", "")))
    socks = _at(found, "socks", "socks5")
    return Desktop(settings(_at(found, "http", "http"), _at(found, "https", "http"), excluded, socks))


def _at(found: Mapping[str, str], which: str, scheme: str) -> str:
    host, port = _text(found.get(f"{which}.host", "")), found.get(f"{which}.port", "0")
    return f"{scheme}://{host}:{port}" if host and port.isdecimal() and int(port) else ""


def _text(value: str) -> str:
    return value.strip().strip("'")


def kde(text: str) -> Desktop:
    """`httpProxy=http://host 3128`, with a blank before the port."""
    found = _section(text, "[Proxy Settings]")
    kind = found.get("ProxyType", "0")
    if kind in (_PAC, _WPAD):
        script = found.get("Proxy Config Script", "") if kind == _PAC else ""
        return Desktop(pac=f"file://{script}" if script.startswith("/") else script or _WHATEVER)
    if kind != _MANUAL:
        return Desktop()
    http, https, socks = (_kde_url(found.get(f"{name}Proxy", "")) for name in ("http", "https", "socks"))
    return Desktop(settings(http, https, found.get("NoProxyFor", ""), socks.replace("socks://", "socks5://", 1)))


class Connection(msgspec.Struct, frozen=True):
    """One of NetworkManager's, that gives a PAC file to whoever asks."""

    name: str
    pac: str = ""  # the URL, or `auto`; '': the script stands there itself
    proxies: tuple[str, ...] = ()  # that such a script names, as HOST:PORT


def network_manager(text: str) -> Connection | None:
    """None: it has no proxy. A script may stand there itself."""
    said = _section(text, "[proxy]")
    if said.get("method", "") not in _AUTO and not said.get("pac-url") and not said.get("pac-script"):
        return None
    script = said.get("pac-script", "")
    proxies = dict.fromkeys(_BY_SCRIPT.findall(script))
    pac = said.get("pac-url") or ("" if script else _WHATEVER)
    return Connection(_section(text, "[connection]").get("id", ""), pac, tuple(proxies)[:_MOST_NAMED])


def _section(text: str, wanted: str) -> Mapping[str, str]:
    section, found = "", {}
    for line in lines(text):
        bare = line.strip(" \t\r")
        if bare.startswith("["):
            section = bare
        elif section == wanted:
            name, _, value = bare.partition("=")
            found[name.strip()] = value.strip()
    return found


def _kde_url(value: str) -> str:
    host, _, port = value.strip().rpartition(" ")
    return f"{host.strip().rstrip('/')}:{port}" if host else value
