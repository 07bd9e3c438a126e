"""The policy that the user writes: its values, its tables and their defaults.

Values only. `policy_text.py` reads them from TOML and words what is wrong; owners, modes and passwords are looked
at by `system/policy_file.py`; which network this is and which upstream works is decided in `decide/`.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

from agent.values.relay import LogMode
from agent.values.remark import Remark
from agent.values.secret import Secret
from agent.values.settings import DEFAULT_PORT, Credentials, ProxyUrl, no_proxy_entry, proxy
from agent.values.verdict import Verdict

DIRECT_NAME: Final = "direct"
ELSEWHERE_NAME: Final = "elsewhere"
OFFLINE_NAME: Final = "offline"  # as a network, where the log has the names of networks: there was none
DEFAULT_REGISTRY: Final = "https://registry-1.docker.io"


# Values: each is checked once, when it is read.


class Duration(float):
    """Seconds."""

    _PARTS = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
    _PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
    _SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    LONGEST: Final = 36500 * 86400  # an end that far away must still be a date, and fit the kernel's timers

    @classmethod
    def parse(cls, text: str) -> Duration:
        """`1h30m` and the like; ValueError if it is no such text."""
        if not cls._PARTS.fullmatch(text):
            raise ValueError('is not a duration, such as "30s", "5m", "2h" or "400d"')
        seconds = sum(float(number) * cls._SECONDS[unit] for number, unit in cls._PART.findall(text))
        if seconds > cls.LONGEST:
            raise ValueError('is longer than the maximum of 100 years ("36500d")')
        return cls(seconds)


class Size(int):
    """Bytes."""

    _TEXT = re.compile(r"(\d+) ?(B|kB|KB|MB|GB)")
    _BYTES: Final = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3}

    @classmethod
    def parse(cls, text: str) -> Size:
        parts = cls._TEXT.fullmatch(text)
        if parts is None:
            raise ValueError('is not a size, such as "500kB" or "100MB"')
        return cls(int(parts[1]) * cls._BYTES[parts[2]])


class Address(str):
    """An IPv4 or IPv6 address in its usual spelling."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Address:
        try:
            return cls(ipaddress.ip_address(text))
        except ValueError:
            raise ValueError("is not an address") from None


class Subnet(str):
    """An IPv4 or IPv6 network in its usual spelling; an address alone is a network of one."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Subnet:
        try:
            return cls(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise ValueError('is not a network, such as "10.10.0.0/16"') from None


class Mac(str):
    """A hardware address, lower case with colons."""

    __slots__ = ()
    _TEXT = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}")

    @classmethod
    def parse(cls, text: str) -> Mac:
        if not cls._TEXT.fullmatch(text.lower()):
            raise ValueError('is not a MAC, such as "52:54:00:12:34:56"')
        return cls(text.lower().replace("-", ":"))


class Pattern(str):
    """A name in which `*` and `?` stand for any text and any character."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Pattern:
        if not text or not text.isprintable():
            raise ValueError('is not a name or a pattern, such as "CorpNet*"')
        return cls(text)


class HostPattern(str):
    """Hosts: a name, an address, a network, or a pattern of names or of addresses.

    One of addresses is for no names: `10.10.0.*` is not what `10.10.0.evil.example` is called.
    """

    __slots__ = ()
    _NAMES = re.compile(r"[a-z0-9_.*?-]+")
    _IPV4 = re.compile(r"[0-9.*?]*[0-9][0-9.*?]*")
    _IPV6 = re.compile(r"[0-9a-f:.*?]+")
    _WITH_PORT = re.compile(r"[^:]*:[0-9]+")

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """In small letters, without the brackets of IPv6 and the dot at the end."""
        found = cls(no_proxy_entry(text.removeprefix("[").removesuffix("]")))
        if not found._can_hold:
            raise ValueError('is not a host or pattern, such as "*.corp.example", "10.10.0.3" or "10.10.0.0/24"')
        return found

    @property
    def _can_hold(self) -> bool:
        if not self.is_of_addresses:
            return self._NAMES.fullmatch(self) is not None
        if "*" in self or "?" in self:
            is_ours = self._IPV4.fullmatch(self) or self._IPV6.fullmatch(self)
            return is_ours is not None and not self._WITH_PORT.fullmatch(self)
        return _is_network(self)

    @property
    def is_of_addresses(self) -> bool:
        return "/" in self or ":" in self or self._IPV4.fullmatch(self) is not None

    @property
    def is_of_names(self) -> bool:
        """One such as `*` is of both."""
        return not self.is_of_addresses and not {*self} <= {*"*?."}


class Exclusion(str):
    """A canonical entry of no_proxy, in a form that Go understands (FACTS 9); or several, with commas between them."""

    __slots__ = ()
    _HOST = re.compile(
        r"(?P<below>\*\.|\.)?(?P<host>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)(?::(?P<port>\d{1,5}))?|\[[0-9a-f:.]+\](?::\d{1,5})?"
    )

    @classmethod
    def parse(cls, text: str) -> Exclusion:
        entries = [no_proxy_entry(entry) for entry in text.split(",")]
        found = [entry for entry in entries if entry]  # Go passes over what is empty between two commas
        if not found or not all(map(cls._is_understood, found)):
            raise ValueError('is not valid for Docker: write "host", ".domain", "host:port", an address or a CIDR')
        return cls(",".join(found))

    @classmethod
    def _is_understood(cls, entry: str) -> bool:
        if entry == "*" or _is_network(entry):
            return True
        parts = cls._HOST.fullmatch(entry)
        if parts is None or int(parts["port"] or 1) not in range(1, 65536):
            return False
        if parts["host"] is None:
            return True
        return not looks_like_an_address(parts["host"]) or (not parts["below"] and _is_network(parts["host"]))


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def looks_like_an_address(host: str) -> bool:
    """Whether no name can end so: no top-level domain is a number. `10.0.0.300` and `10.0.0.1-10.0.0.9` are typing
    errors, or forms that nobody understands, and not the names that Go would ask DNS for.
    """
    return re.fullmatch(r"[0-9-]+", host.removesuffix(".").rpartition(".")[2]) is not None


def _is_possible(host: str) -> bool:
    """Whether it is an address, or a name that could be one."""
    return not looks_like_an_address(host) or _is_network(host)


class RegistryUrl(str):
    """Where a registry answers `GET /v2/`: scheme, host and, where it is not the usual one, port."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> RegistryUrl:
        """From what a person or daemon.json's registry-mirrors say; a path does not count."""
        url = proxy(text) if re.match(r"https?://", text, re.IGNORECASE) else None
        if not isinstance(url, ProxyUrl) or url.credentials:
            raise ValueError('is not the URL of a registry, such as "https://registry.example"')
        if not _is_possible(url.host):
            raise ValueError(f'names no host: "{url.host}" is not an address')
        return cls(str(url).removesuffix(f":{DEFAULT_PORT[url.scheme]}"))

    @property
    def _parts(self) -> ProxyUrl:
        url = proxy(self)
        assert isinstance(url, ProxyUrl)  # noqa: S101 - `parse` made it
        return url

    @property
    def is_https(self) -> bool:
        return self.startswith("https:")

    @property
    def host(self) -> str:
        return self._parts.host

    @property
    def port(self) -> int:
        return self._parts.port


class ReachedHost(RegistryUrl):
    """A host that must be reached by TLS, as its URL; the policy writes `host` or `host:port`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> ReachedHost:
        if re.search(r"[/@?#\s]", text):
            raise ValueError('is not a host, such as "blobs.registry.example" or "blobs.registry.example:8443"')
        try:
            return cls(RegistryUrl.parse(f"https://{text}"))
        except ValueError as error:
            raise ValueError(
                'is not a host, such as "blobs.registry.example" or "blobs.registry.example:8443"'
            ) from error


class UpstreamUrl:
    """A proxy's URL as the policy writes it: with its scheme, without credentials; '' is none."""

    __slots__ = ("url",)

    def __init__(self, url: ProxyUrl | None) -> None:
        self.url = url

    @classmethod
    def parse(cls, text: str) -> UpstreamUrl:
        if not text:
            return cls(None)
        url = proxy(text)
        if _has_path(text):
            raise ValueError('has a path, but a proxy has none; for a PAC file write pac = "…" instead of url')
        if not isinstance(url, ProxyUrl) or "://" not in text:
            if "://" in text and isinstance(proxy(_PORT.sub("", text)), ProxyUrl):
                raise ValueError("has a port that does not exist: write 1 to 65535")
            raise ValueError('is not a proxy\'s URL, such as "http://proxy.example:3128" or "socks5://…"')
        if not _is_possible(url.host):
            raise ValueError(f'names no proxy: "{url.host}" is not an address')
        if url.credentials:
            raise ValueError("contains a user or password: write username and password_file instead")
        return cls(url)


class PacUrl(str):
    """Where a PAC file is, or `auto`; '' is none."""

    __slots__ = ()
    AUTO: Final = "auto"
    _TEXT = re.compile(
        r"(?P<web>https?)://(?P<authority>[^/?#]+)(?:[/?][^#]*)?|file://(?P<path>/[^?#]+)", re.IGNORECASE
    )
    _LONGEST: Final = 2048

    @classmethod
    def parse(cls, text: str) -> PacUrl:
        if text in ("", cls.AUTO):
            return cls(text)
        parts = cls._TEXT.fullmatch(text)
        if parts is None or not text.isascii() or re.search(r"[\0- \x7f]", text) or len(text) > cls._LONGEST:
            raise ValueError(
                'is not where a PAC file is, such as "http://wpad.example/wpad.dat", "file:///etc/corp.pac" or "auto"'
            )
        if parts["path"] is not None:
            return cls(f"file://{parts['path']}")
        url = proxy(f"{parts['web']}://{parts['authority']}")
        if not isinstance(url, ProxyUrl) or not _is_possible(url.host):
            raise ValueError("does not name a host")
        if url.credentials:
            raise ValueError("contains a user or password: a PAC file is fetched without one")
        return cls(text)

    @property
    def host(self) -> str:
        """Who is asked for it; '' for a file, and for `auto`."""
        parts = self._TEXT.fullmatch(self)
        url = proxy(f"{parts['web']}://{parts['authority']}") if parts and parts["web"] else None
        return url.host if isinstance(url, ProxyUrl) else ""

    @property
    def path(self) -> str:
        """Of a file; '' for every other."""
        return unquote(self.removeprefix("file://")) if self.startswith("file://") else ""


_PORT: Final = re.compile(r":[0-9]+/?\Z")


def _has_path(text: str) -> bool:
    """A `/` in it that may belong to a password is none."""
    path = text.partition("://")[2].partition("/")[2]
    return bool(path) and "@" not in path


# Tables.


class Method(enum.Enum):
    """Where the daemon's settings go."""

    AUTO = "auto"
    DROP_IN = "systemd-drop-in"
    DAEMON_JSON = "daemon-json"


class Restart(enum.Enum):
    """When Docker may be restarted."""

    PROTECT = "protect"
    WHEN_IDLE = "when-idle"
    ALWAYS = "always"
    NEVER = "never"


class Scope(enum.Enum):
    """Which entry of a client's `proxies` is kept."""

    DEFAULT = "default"
    LOCAL = "local"


class Unreachable(enum.Enum):
    """What happens when nothing works."""

    KEEP = "keep"
    DIRECT = "direct"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the policy: unknown keys are errors."""


class Probing(Table, frozen=True):
    """[probe]"""

    registry: tuple[RegistryUrl, ...] = ()
    timeout: Duration = Duration(3)
    recheck: Duration = Duration(60)
    failures: int = 2
    failback: Duration = Duration(30)
    ca_file: str = ""
    reach: tuple[ReachedHost, ...] = ()


class Docker(Table, frozen=True):
    """[docker]"""

    method: Method = Method.AUTO
    restart: Restart = Restart.PROTECT
    take_along: tuple[str, ...] = ()  # patterns of units that may be stopped and started with Docker
    min_interval: Duration = Duration(30)
    service: str = ""  # what is here (`docker/which.py`)
    socket: str = ""  # the layout's (`Paths.socket`)
    restart_command: tuple[str, ...] = ()

    def service_named(self, usual: str) -> str:
        """The unit to be served; '': whichever is here. What a command restarts is the usual Docker."""
        return self.service or (usual if self.restart_command else "")


class Clients(Table, frozen=True):
    """[clients]"""

    users: Literal["auto"] | tuple[str, ...] = "auto"
    files: tuple[str, ...] = ()
    credentials: bool = False
    resolve: bool = False
    scope: Scope = Scope.DEFAULT


class Places(enum.Enum):
    """What the audit log keeps of where the laptop was."""

    FULL = "full"  # SSID, gateway, addresses
    NAMES = "names"  # the policy's name of the network, and a keyed digest that tells two places apart


class Audit(Table, frozen=True):
    """[audit]"""

    places: Places = Places.FULL
    keep: Duration = Duration(400 * 86400)
    max_size: Size = Size(100 * 1000**2)


class NoProxy(Table, frozen=True):
    """[no_proxy]"""

    always: tuple[Exclusion, ...] = (Exclusion("localhost"), Exclusion("127.0.0.0/8"), Exclusion("::1"))
    private_networks: bool = True


class Listen(enum.Enum):
    """Where the relay listens."""

    LOOPBACK = "loopback"  # for dockerd
    BRIDGE = "bridge"  # for containers


class Relay(Table, frozen=True):
    """[relay]"""

    enable: bool = False
    port: int = 3130
    listen: tuple[Listen, ...] = (Listen.LOOPBACK, Listen.BRIDGE)
    log: LogMode = LogMode.SUMMARY
    max_connections: int = 1024


PAC_REFRESH: Final = Duration(3600)


class UpstreamTable(Table, frozen=True):
    """[upstream.NAME] as it is written."""

    url: UpstreamUrl = UpstreamUrl(None)
    http_url: UpstreamUrl = UpstreamUrl(None)
    https_url: UpstreamUrl = UpstreamUrl(None)
    username: str = ""
    password_file: str = ""
    password_credential: str = ""
    no_proxy: tuple[Exclusion, ...] = ()
    owner: str = ""
    container_url: UpstreamUrl = UpstreamUrl(None)
    pac: PacUrl = PacUrl("")
    pac_refresh: Duration = PAC_REFRESH
    trusted: tuple[HostPattern, ...] = ()


class Match(Table, frozen=True):
    """`match` of a network: keys AND, values OR; an empty list is as if absent."""

    ssid: tuple[Pattern, ...] = ()
    gateway: tuple[Address, ...] = ()
    gateway_mac: tuple[Mac, ...] = ()
    address: tuple[Subnet, ...] = ()
    interface: tuple[Pattern, ...] = ()
    dns_search: tuple[Pattern, ...] = ()
    dns_server: tuple[Address, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self == Match()


class NetworkTable(Table, frozen=True):
    """[[network]] as it is written."""

    use: tuple[str, ...]
    name: str = ""
    match: Match = Match()
    unreachable: Unreachable = Unreachable.KEEP


class Upstream(msgspec.Struct, frozen=True):
    """A named proxy, or `direct`, which has no URL."""

    name: str
    http: ProxyUrl | None = None
    https: ProxyUrl | None = None
    username: str = ""
    password_file: str = ""
    password_credential: str = ""
    password: Secret | None = None  # filled in by policy_file
    no_proxy: tuple[str, ...] = ()
    owner: str = ""  # whose listener it must be; '': anybody's
    container_url: ProxyUrl | None = None
    pac: PacUrl = PacUrl("")  # says what the upstreams are that it stands for
    pac_refresh: Duration = PAC_REFRESH
    trusted: tuple[HostPattern, ...] = ()  # the hosts among them that the password may go to
    candidates: tuple[str, ...] = ()  # what its PAC says, where that is known: these upstreams, in this order
    fault: Verdict | None = None  # why that is not known
    named_by: str = ""  # the upstream whose PAC says this one; '': the policy does

    @property
    def is_direct(self) -> bool:
        return self.name == DIRECT_NAME

    @property
    def is_pac(self) -> bool:
        return bool(self.pac)

    @property
    def urls(self) -> tuple[ProxyUrl, ...]:
        """Where the proxy is, each place once; none of `direct`, and none of a PAC."""
        return tuple(dict.fromkeys(url for url in (self.http, self.https) if url is not None))

    @property
    def urls_for_containers(self) -> tuple[ProxyUrl, ...]:
        """The same as the policy has it for containers."""
        return self.urls if self.container_url is None else (self.container_url,)

    @property
    def sends_password(self) -> bool:
        return bool(self.password_file or self.password_credential)

    @property
    def credentials(self) -> Credentials | None:
        return Credentials(self.username, self.password) if self.username else None

    def without_credentials(self) -> Upstream:
        return msgspec.structs.replace(self, username="", password=None)

    def _with_credentials(self, url: ProxyUrl | None) -> ProxyUrl | None:
        return url and msgspec.structs.replace(url, credentials=self.credentials)

    @property
    def http_with_credentials(self) -> ProxyUrl | None:
        return self._with_credentials(self.http)

    @property
    def https_with_credentials(self) -> ProxyUrl | None:
        return self._with_credentials(self.https)


DIRECT: Final = Upstream(DIRECT_NAME)


class Network(msgspec.Struct, frozen=True):
    """A named place, with the upstreams to use there in order of preference."""

    name: str
    use: tuple[str, ...]
    match: Match = Match()
    unreachable: Unreachable = Unreachable.KEEP


ELSEWHERE: Final = Network(ELSEWHERE_NAME, (DIRECT_NAME,))


class Policy(msgspec.Struct, frozen=True):
    """A whole and valid policy."""

    probe: Probing = Probing()
    docker: Docker = Docker()
    clients: Clients = Clients()
    audit: Audit = Audit()
    no_proxy: NoProxy = NoProxy()
    relay: Relay = Relay()
    upstreams: Mapping[str, Upstream] = msgspec.field(default_factory=lambda: {DIRECT_NAME: DIRECT})
    networks: tuple[Network, ...] = ()

    @property
    def names_a_mac(self) -> bool:
        return any(network.match.gateway_mac for network in self.networks)


class Problems(msgspec.Struct, frozen=True):
    """Why one text or several are no policy."""

    found: tuple[Remark, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(remark.text for remark in self.found)
