"""The proxy values that a choice means, and when two of them are the same.

A value is canonical from the moment it is built, so that `==` answers: scheme and host in lower case, the port
written out, no path, empty is absent, no_proxy sorted and without duplicates, and everything that means direct is
`DIRECT`. How a value is spelled for one reader is in `targets/`; here is only what all readers share.
"""

from __future__ import annotations

import enum
import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from typing import Final, NoReturn
from urllib.parse import quote, unquote

import msgspec

from agent.values.secret import HIDDEN, UNPARSABLE, Secret


class Scheme(enum.Enum):
    """How an upstream is spoken to."""

    HTTP = "http"
    HTTPS = "https"
    SOCKS5 = "socks5"
    SOCKS5H = "socks5h"

    @property
    def is_socks(self) -> bool:
        return self in (Scheme.SOCKS5, Scheme.SOCKS5H)


# Go's portMap, net/http/transport.go: what dockerd connects to where no port is written.
DEFAULT_PORT: Final = {Scheme.HTTP: 80, Scheme.HTTPS: 443, Scheme.SOCKS5: 1080, Scheme.SOCKS5H: 1080}

# dockerd before Go 1.23 does not know socks5h and resolves names at the proxy for socks5 too (FACTS 8).
_FOR_DOCKERD: Final = {Scheme.SOCKS5H: Scheme.SOCKS5}


class Credentials(msgspec.Struct, frozen=True):
    """User and password as they are, not encoded. Neither is ever shown: tokens are written as user names, too."""

    username: str
    password: Secret | None = None

    def __repr__(self) -> str:
        return HIDDEN

    def encoded(self) -> str:
        """As the userinfo of a URL, each percent-encoded."""
        user = quote(self.username, safe="")
        return user if self.password is None else f"{user}:{quote(self.password.reveal(), safe='')}"


class Masked(enum.Enum):
    """Credentials that dockerd has and does not tell: /info says `xxxxx:xxxxx@` (FACTS 2)."""

    MASKED = "masked"
    OTHER = "other"  # not told, and known to be none that may be wanted


class ProxyUrl(msgspec.Struct, frozen=True):
    """Where a proxy is and how it is spoken to, canonical."""

    scheme: Scheme
    host: str  # lower case; an IPv6 address without its brackets
    port: int
    credentials: Credentials | Masked | None = None

    def __str__(self) -> str:
        return self._spelled(self.scheme, f"{HIDDEN}@" if self.credentials else "")

    def without_credentials(self) -> ProxyUrl:
        return msgspec.structs.replace(self, credentials=None)

    def reveal(self) -> str:
        """With user and password, for the reader that needs them."""
        return self._spelled(self.scheme, self._userinfo())

    def reveal_for_dockerd(self) -> str:
        """With user and password, in a scheme that every dockerd knows."""
        return self._spelled(_FOR_DOCKERD.get(self.scheme, self.scheme), self._userinfo())

    def as_dockerd_sees_it(self) -> ProxyUrl:
        """The same proxy by the scheme that is written for dockerd."""
        return msgspec.structs.replace(self, scheme=_FOR_DOCKERD.get(self.scheme, self.scheme))

    def _userinfo(self) -> str:
        if isinstance(self.credentials, Masked):
            raise TypeError("masked credentials cannot be written")
        return f"{self.credentials.encoded()}@" if self.credentials else ""

    @property
    def authority(self) -> str:
        """`host:port`, as in CONNECT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def _spelled(self, scheme: Scheme, userinfo: str) -> str:
        return f"{scheme.value}://{userinfo}{self.authority}"


class Unparsable(msgspec.Struct, frozen=True):
    """A value that stands somewhere and is no proxy's URL. Go drops it silently, or asks DNS for nonsense (FACTS 7).

    The text is kept for comparing alone: two of them are the same only as they stand.
    """

    text: Secret

    def __str__(self) -> str:
        return UNPARSABLE

    def reveal(self) -> NoReturn:
        raise TypeError("what could not be parsed is not written")

    def shows(self, other: Unparsable) -> bool:
        """Whether this is what /info makes of the other: as it stands, or, where Go can read it, masked."""
        mine, theirs = self.text.reveal(), other.text.reveal()
        return mine == theirs or (_MASK in mine and _as_go_prints(mine) == _as_go_prints(theirs))


def _as_go_prints(text: str) -> str:
    """The same for whatever net/url may spell otherwise once it has read and printed it."""
    return unquote(_USERINFO.sub(_MASK, text)).casefold()


Proxy = ProxyUrl | Unparsable

_MASK: Final = "//xxxxx:xxxxx@"  # what /info says instead of user and password (FACTS 2)
_USERINFO = re.compile(r"//[^/?#]*@")

_AUTHORITY = re.compile(
    r"""(?:(?P<user>[A-Za-z0-9\-._:~!$&'()*+,;=%@]*)@)?     # the bytes Go takes: net/url, validUserinfo
        (?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*)))
        (?::(?P<port>[0-9]{0,5}))?""",
    re.VERBOSE,
)
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def proxy(text: str) -> Proxy | None:
    """A proxy's URL as Go reads it (httpproxy.parseProxy): without a scheme it is http; empty is absent."""
    if not text:
        return None
    scheme_text, found, rest = text.partition("://")
    if not found:
        scheme_text, rest = "http", text
    try:
        scheme = Scheme(scheme_text.lower())
    except ValueError:
        return Unparsable(Secret(text))
    authority, _, path = rest.partition("/")
    parts = _AUTHORITY.fullmatch(authority)
    # An `@` behind the host: what Go takes for a host is a piece of somebody's password, and is not shown as a host.
    if parts is None or not {"?", "#", "@"}.isdisjoint(path):
        return Unparsable(Secret(text))
    host = _host(parts["v6"], parts["name"])
    port = int(parts["port"]) if parts["port"] else DEFAULT_PORT[scheme]
    credentials = _credentials(parts["user"])
    if host is None or not 0 < port < 65536 or isinstance(credentials, Unparsable):
        return Unparsable(Secret(text))
    return ProxyUrl(scheme, host, port, credentials)


def _host(v6: str | None, name: str | None) -> str | None:
    if v6 is None:
        return (name or "").lower() or None
    try:
        return str(ipaddress.IPv6Address(v6))
    except ValueError:
        return None


def _credentials(userinfo: str | None) -> Credentials | Masked | Unparsable | None:
    if not userinfo:
        return None
    if userinfo == "xxxxx:xxxxx":
        return Masked.MASKED
    if _BROKEN_PERCENT.search(userinfo):
        return Unparsable(Secret(userinfo))
    user, found, password = userinfo.partition(":")
    try:
        return Credentials(
            unquote(user, errors="strict"), Secret(unquote(password, errors="strict")) if found else None
        )
    except UnicodeDecodeError:
        return Unparsable(Secret(userinfo))


def no_proxy_entry(text: str) -> str:
    """One entry in its canonical spelling; '' for nothing. `host` and `.host` differ (FACTS 9) and stay as they are."""
    entry = text.strip().lower()
    entry = entry if entry.isascii() else _in_ascii(entry)
    if len(entry) > 1 and not entry.endswith(".."):  # which is no name
        entry = entry.removesuffix(".")
    try:
        return str(ipaddress.ip_network(entry, strict=False)) if "/" in entry else str(ipaddress.ip_address(entry))
    except ValueError:
        return entry


def _in_ascii(entry: str) -> str:
    """A name in other letters as Go reads one (idna.Lookup: `ß` stays `ß`), which every program understands so.

    What is no name stays as it is, and is nothing to Go, either.
    """
    text = unicodedata.normalize("NFKC", entry).lower().replace("\u3002", ".")
    name, colon, port = text.partition(":")
    if not all(char in ".-_*" or unicodedata.category(char)[0] in "LMN" for char in name):
        return entry
    labels = (one if one.isascii() else f"xn--{one.encode('punycode').decode()}" for one in name.split("."))
    return ".".join(labels) + colon + port


def no_proxy(entries: str | Iterable[str]) -> tuple[str, ...]:
    """The entries of a comma-separated text or a list as a set: canonical, sorted, without duplicates."""
    listed = entries.split(",") if isinstance(entries, str) else entries
    return tuple(sorted({no_proxy_entry(entry) for entry in listed} - {""}))


_ENTRY = re.compile(r"[\w.*-]+(?::[0-9]{1,5})?|[0-9a-f:.]+(?:%\w+)?(?:/[0-9]{1,3})?|\[[0-9a-f:.]+\](?::[0-9]{1,5})?")


def no_proxy_shown(entries: Iterable[str]) -> str:
    """The entries for a person. One is a host or a network; what is neither may be a URL with its password.

    A password may hold a comma, and its pieces look like hosts: with one `@` among them nothing is shown.
    """
    listed = tuple(entries)
    if any("@" in entry for entry in listed):
        return UNPARSABLE
    return ",".join(dict.fromkeys(entry if _ENTRY.fullmatch(entry) else UNPARSABLE for entry in listed))


class Settings(msgspec.Struct, frozen=True):
    """What one reader of proxy settings goes by. Build with `settings`, which makes it canonical."""

    http: Proxy | None = None
    https: Proxy | None = None
    no_proxy: tuple[str, ...] = ()
    all: Proxy | None = None  # clients only: Go does not read it (FACTS 7)

    @property
    def is_direct(self) -> bool:
        return self == DIRECT

    @property
    def no_proxy_text(self) -> str:
        return ",".join(self.no_proxy)

    def lines(self) -> tuple[tuple[str, str], ...]:
        """What a person is shown: name and redacted value, only those that are set."""
        if self.is_direct:
            return (("proxy", "direct"),)
        excluded = no_proxy_shown(self.no_proxy)
        named = (("http", self.http), ("https", self.https), ("all", self.all), ("no_proxy", excluded))
        return tuple((name, str(value)) for name, value in named if value)


DIRECT: Final = Settings()


def settings(
    http: str | Proxy | None = None,
    https: str | Proxy | None = None,
    no_proxy: str | Iterable[str] = (),
    all: str | Proxy | None = None,  # noqa: A002 - the field's own name
) -> Settings:
    """Canonical settings from what stands somewhere or is wanted; `*` in no_proxy is direct, whatever else is set."""
    values = [proxy(value) if isinstance(value, str) else value for value in (http, https, all)]
    excluded = _no_proxy(no_proxy)
    if "*" in excluded or not any(values):
        return DIRECT
    return Settings(http=values[0], https=values[1], no_proxy=excluded, all=values[2])


_no_proxy = no_proxy  # `settings` takes an argument of that name


def agrees(real: Settings, desired: Settings) -> bool:
    """Whether what a reader reports is what is desired; masked credentials agree with any that are there."""
    if real.no_proxy != desired.no_proxy:
        return False
    pairs = ((real.http, desired.http), (real.https, desired.https), (real.all, desired.all))
    return all(_same_proxy(one, other) for one, other in pairs)


def _same_proxy(real: Proxy | None, desired: Proxy | None) -> bool:
    if isinstance(real, Unparsable) and isinstance(desired, Unparsable):
        return real.shows(desired)  # none of ours, but what was there before us
    if not isinstance(real, ProxyUrl) or not isinstance(desired, ProxyUrl):
        return real == desired
    if real.credentials is Masked.MASKED:
        return desired.credentials is not None and real.without_credentials() == desired.without_credentials()
    return real == desired


class Texts(msgspec.Struct, frozen=True):
    """The three values as they stand in one place that dockerd reads, not interpreted; '' is absent.

    They may hold a password, so they never show.
    """

    http: str = ""
    https: str = ""
    no_proxy: str = ""

    def __repr__(self) -> str:
        return f"Texts({HIDDEN})"

    def over(self, below: Texts) -> Texts:
        """What counts if this place beats another one, key by key (FACTS 3)."""
        return Texts(self.http or below.http, self.https or below.https, self.no_proxy or below.no_proxy)

    def meaning(self) -> Settings:
        return settings(self.http, self.https, self.no_proxy)
