"""How other places spell the settings: whole files and commands to copy, and a file of theirs with our keys set.

Pure. A value is quoted so that who reads the file or the command gets exactly it: systemd's `Environment=`, YAML, a
POSIX shell. What has a line break or a NUL in it is refused by nobody here: no proxy's URL and no exclusion has one.
Not known here: which place has which form, and where the files are (`values/places.py`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Final

from agent.targets import daemon_json, environment, for_dockerd, json_splice
from agent.targets.json_splice import Path
from agent.targets.refused import TextRefused
from agent.values.places import Form
from agent.values.settings import ProxyUrl, Settings, Texts

# Docker Desktop's keys. "manual" with empty values means: no proxy.
MODE: Final[Path] = ("ProxyHTTPMode",)
_DESKTOP: Final = (("OverrideProxyHTTP",), ("OverrideProxyHTTPS",), ("OverrideProxyExclude",))
_MANUAL: Final = "manual"

# colima looks for the small letters first, Lima makes the large ones of them.
_YAML_NAMES: Final = ("http_proxy", "https_proxy", "no_proxy")
_LARGE_NAMES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def written(form: Form, wanted: Settings) -> str:
    """A whole file that says these settings and nothing else, or the commands, a line each."""
    match form:
        case Form.DROP_IN:
            return _drop_in(for_dockerd.as_written(wanted))
        case Form.DAEMON_JSON:
            return _daemon_json(for_dockerd.as_written(wanted))
        case Form.SETTINGS_STORE:
            return merged(form, "", wanted)
        case Form.ENVIRONMENT_YAML:
            return _environment_yaml(for_dockerd.as_written(wanted))
        case Form.ORB:
            return _lines(_orb(wanted))
        case Form.RDCTL:
            return _lines(_rdctl(wanted))


def merged(form: Form, text: str, wanted: Settings) -> str:
    """Their file with our keys set; every other byte stays. TextRefused if it cannot be told what it says."""
    if form is Form.DAEMON_JSON:
        return daemon_json.edit(text, wanted, Texts())
    values = for_dockerd.as_written(wanted)
    text = json_splice.set_value(text, MODE, _MANUAL)
    for path, value in zip(_DESKTOP, (values.http, values.https, values.no_proxy), strict=True):
        text = json_splice.set_value(text, path, value)
    return text


def _drop_in(values: Texts) -> str:
    """As the manual has it. For direct all six names are empty, which hides what other files set (FACTS 11)."""
    if values == Texts():
        return "[Service]\n" + _lines([f"Environment={_assigned(name, '')}" for name in environment.NAMES])
    pairs = zip(_LARGE_NAMES, (values.http, values.https, values.no_proxy), strict=True)
    return "[Service]\n" + _lines([f"Environment={_assigned(name, value)}" for name, value in pairs])


def _assigned(name: str, value: str) -> str:
    """systemd.exec(5), Environment=: quotation marks, C escapes, and `%` twice, for it begins a specifier."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{name}={escaped}"'


def _daemon_json(values: Texts) -> str:
    # Direct is written out: without keys a proxy of the environment would count (FACTS 3).
    said = {"http-proxy": values.http, "https-proxy": values.https, "no-proxy": values.no_proxy}
    proxies = {name: value for name, value in said.items() if value} or {"no-proxy": "*"}
    return json.dumps({"proxies": proxies}, indent=2) + "\n"


def _environment_yaml(values: Texts) -> str:
    # A text in JSON is one in YAML.
    pairs = zip(_YAML_NAMES, (values.http, values.https, values.no_proxy), strict=True)
    return "env:\n" + _lines([f"  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in pairs])


def _orb(wanted: Settings) -> list[str]:
    url = wanted.https or wanted.http  # one for everything; most traffic is https
    if not isinstance(url, ProxyUrl):
        return ["orb config set network_proxy none"]
    return [
        f"orb config set network_proxy {shlex.quote(url.reveal())}",
        f"orb config set network.proxy.exclude {shlex.quote(wanted.no_proxy_text)}",
    ]


def _rdctl(wanted: Settings) -> list[str]:
    option = "rdctl set --experimental.virtual-machine.proxy"
    url = wanted.https or wanted.http
    if not isinstance(url, ProxyUrl):
        return [f"{option}.enabled=false"]
    address = f"socks5://{_host(url)}" if url.scheme.is_socks else _host(url)
    return [f"{option}.enabled=true", f"{option}.address={address}", f"{option}.port={url.port}"]


def _host(url: ProxyUrl) -> str:
    return f"[{url.host}]" if ":" in url.host else url.host


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# A file as Windows' programs write it: with a byte order mark, in UTF-8 or UTF-16.

_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


def merged_bytes(form: Form, content: bytes, wanted: Settings) -> bytes:
    """The same for a file as it is on a disk: its byte order mark and its encoding stay, too."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise TextRefused(f"neither UTF-8 nor UTF-16 ({error.reason} at byte {error.start})") from error
    return merged(form, text, wanted).encode(encoding)
