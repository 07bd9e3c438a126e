"""What a PAC file says: the script, what it is asked, and the ways that an answer of it means.

Pure. A PAC comes from the network and may say anything: what is kept of it is bounded, escaped, and a proxy's host is
one that a proxy can have. Also here: the lines by which the evaluator's process is asked, for it knows nothing else.
Not known here: how a script is fetched and evaluated (`probe/`), and what becomes of the ways (`decide/`).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from agent.values.secret import escaped
from agent.values.settings import ProxyUrl, Scheme, proxy
from agent.values.verdict import Outcome

LARGEST_SCRIPT: Final = 1024 * 1024  # bytes
LONGEST_ANSWER: Final = 8192  # characters of an answer that are looked at; 16 ways have 500
MOST_WAYS: Final = 16
MOST_SKIPPED: Final = 8
_LONGEST_URL: Final = 2048
_LONGEST_HOST: Final = 253  # characters, as DNS has it; it becomes part of an upstream's name
_SHOWN: Final = 80  # characters of a word that is skipped

_BLANKS: Final = " \t\r\n\f\v"
_WORDS: Final = re.compile(f"[{_BLANKS}]+")
# SOCKS: browsers differ in which version they take it for. It is taken for 5, and the probe tells.
_SCHEMES: Final = {
    "PROXY": Scheme.HTTP,
    "HTTP": Scheme.HTTP,
    "HTTPS": Scheme.HTTPS,
    "SOCKS": Scheme.SOCKS5,
    "SOCKS5": Scheme.SOCKS5,
}
_NOBODY: Final = frozenset({"null", "undefined", "nan"})  # what JavaScript makes of a host that is not there


class Way(msgspec.Struct, frozen=True):
    """One way out that an answer names: by this proxy, or directly."""

    proxy: ProxyUrl | None = None  # without credentials; None: directly

    @property
    def is_direct(self) -> bool:
        return self.proxy is None

    def __str__(self) -> str:
        """`a:8080`, `https://b:443`, `socks5://c:1080` or `direct`."""
        if self.proxy is None:
            return "direct"
        return str(self.proxy).removeprefix("http://")


class PacAnswer(msgspec.Struct, frozen=True):
    """The ways of an answer in order, each once, and what of it says nothing, escaped."""

    ways: tuple[Way, ...] = ()
    skipped: tuple[str, ...] = ()


class PacScript(msgspec.Struct, frozen=True):
    """A PAC file as it was fetched."""

    text: str
    url: str
    fetched_at: float = 0.0  # seconds of the wall clock: a copy outlives a boot; also when it was found unchanged
    etag: str = ""
    last_modified: str = ""


class PacFault(msgspec.Struct, frozen=True):
    """Why there is no script, or no answer. `evidence` is one escaped line, as that of a verdict."""

    outcome: Outcome
    evidence: str


def read_answer(text: str) -> PacAnswer:
    """What FindProxyForURL returned, such as `PROXY a:8080; DIRECT`."""
    parts = text[:LONGEST_ANSWER].split(";")
    skipped: list[str] = []
    if len(text) > LONGEST_ANSWER:
        parts.pop()  # cut in the middle
        skipped.append(f"everything after the first {LONGEST_ANSWER // 1024} KB")
    ways: dict[Way, None] = {}
    for part in parts:
        words = _WORDS.split(part.strip(_BLANKS))
        if words == [""]:
            continue
        found = _way(words)
        if isinstance(found, str):
            skipped.append(found)
        elif len(ways) < MOST_WAYS or found in ways:
            ways[found] = None
        else:
            skipped.append(f"more than {MOST_WAYS} ways")
    if not ways and not skipped:
        skipped.append("an empty answer")
    told = [*dict.fromkeys(skipped)]
    if len(told) > MOST_SKIPPED:
        told = [*told[: MOST_SKIPPED - 1], f"and {len(told) - MOST_SKIPPED + 1} more"]
    return PacAnswer(tuple(ways), tuple(told))


def _way(words: list[str]) -> Way | str:
    """A text: what it is that says no way."""
    kind, *others = words
    said = escaped(" ".join(words), _SHOWN)
    if kind.upper() == "DIRECT" and not others:
        return Way()
    if kind.upper() == "SOCKS4":
        return f"{said}: SOCKS 4 is not supported"
    scheme = _SCHEMES.get(kind.upper())
    if scheme is None or len(others) != 1:
        return said
    return _by_proxy(scheme, others[0]) or f"{said}: not a valid host and port"


def _by_proxy(scheme: Scheme, where: str) -> Way | None:
    if not {"@", "/"}.isdisjoint(where):
        return None
    url = proxy(f"{scheme.value}://{where}")
    if not isinstance(url, ProxyUrl) or url.host in _NOBODY or len(url.host) > _LONGEST_HOST:
        return None
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        return Way(url)
    # Nobody listens at 0.0.0.0:3421: it is how a PAC says "nowhere".
    return None if address.is_unspecified or address.is_multicast else Way(url)


# The file.

_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# What a server may say of it. Of Python's other codecs some are not of text, or take long.
_CHARSETS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-16": "utf-16-le",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "cp1252",
}


def decoded(data: bytes, charset: str = "") -> str:
    """The text of a script. Its own mark (BOM) counts more than what the server says (`charset`)."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    # A script begins with ASCII: where every other byte is none, it is UTF-16 that lacks its mark.
    if data[1:2] == b"\0" != data[:1]:
        return data.decode("utf-16-le", "replace")
    if data[:1] == b"\0" != data[1:2]:
        return data.decode("utf-16-be", "replace")
    for encoding in (_CHARSETS.get(charset.lower(), "utf-8"), "utf-8"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def is_html(text: str) -> bool:
    """Whether it is a page, as a portal answers with. `<!--` is a comment in JavaScript, too."""
    start = text[:4096].lstrip("\ufeff" + _BLANKS)
    return start.startswith("<") and not (start.startswith("<!--") and "FindProxyForURL" in text)


# How the evaluator's process is asked: a line with the order, the script, then a line for each question and each reply.


class PacOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line. The script follows, in UTF-8."""

    length: int  # of the script, in bytes
    my_ip: str = ""  # what myIpAddress() says; '': whatever the host's own name leads to


class PacQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The two arguments of FindProxyForURL."""

    url: str
    host: str


def question(host: str, port: int, *, is_https: bool) -> PacQuestion:
    """About a host. A browser tells a PAC no path of what it asks for by https, and no PAC needs one."""
    name = f"[{host}]" if ":" in host else host
    scheme, default = ("https", 443) if is_https else ("http", 80)
    return PacQuestion(f"{scheme}://{name}{'' if port == default else f':{port}'}/", host)


def asked_about(text: str) -> PacQuestion:
    """By what a person writes: a URL, or a host with or without a port. ValueError: it is neither."""
    url = text if "://" in text else f"https://{text}"
    wrong = "is not a URL that a PAC file can be asked about, such as https://ghcr.io"
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > _LONGEST_URL:
        raise ValueError(wrong)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError(wrong)
    if parts.scheme == "http" and (parts.path or parts.query):
        return PacQuestion(url, parts.hostname)
    is_https = parts.scheme == "https"
    return question(parts.hostname, port or (443 if is_https else 80), is_https=is_https)


class PacReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What it returned, or why it returned nothing. The first one, with neither, says that the script has come."""

    answer: str = ""
    error: str = ""
