"""What a policy's text means, and how what is wrong with it is worded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.values.policy import DIRECT, Method, Policy, Problems, RegistryUrl, Restart, Unreachable
from agent.values.policy_text import parse
from agent.values.policy_warnings import warnings
from agent.values.settings import proxy
from tests.policies import policy_of

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
LOCAL = '[upstream.local]\nurl = "http://127.0.0.1:7890"\n'
ANYWHERE = '[[network]]\nuse = ["local", "direct"]\n'


def problems(text: str) -> tuple[str, ...]:
    read = parse(text)
    assert isinstance(read, Problems), read
    return read.lines


def test_the_smallest_useful_policy() -> None:
    read = policy_of(LOCAL + ANYWHERE)

    assert list(read.upstreams) == ["direct", "local"]
    assert read.upstreams["direct"] == DIRECT
    assert read.upstreams["local"].http == read.upstreams["local"].https == proxy("http://127.0.0.1:7890")
    assert [network.name for network in read.networks] == ["network 1"]
    assert read.networks[0].use == ("local", "direct")
    assert read.networks[0].unreachable is Unreachable.KEEP


def test_defaults() -> None:
    read = policy_of("")

    assert [float(read.probe.timeout), float(read.probe.recheck), float(read.probe.failback)] == [3, 60, 30]
    assert read.probe.failures == 2
    assert (read.docker.method, read.docker.restart) == (Method.AUTO, Restart.PROTECT)
    assert read.no_proxy.always == ("localhost", "127.0.0.0/8", "::1")
    assert [float(read.audit.keep), int(read.audit.max_size)] == [400 * 86400, 100_000_000]
    assert read.networks == ()


def test_the_example_is_valid_and_knows_every_key() -> None:
    text = EXAMPLE.read_text()

    read = policy_of(text)

    assert not warnings(read)
    written = {line.lstrip("#").split("=")[0].strip() for line in text.splitlines() if "=" in line}
    tables = (read.probe, read.docker, read.clients, read.audit, read.no_proxy, read.relay)
    known = {key for table in tables for key in table.__struct_fields__}
    known |= {f"match.{key}" for key in read.networks[0].match.__struct_fields__}
    assert known <= written


def test_the_example_shows_the_defaults() -> None:
    example, default = policy_of(EXAMPLE.read_text()), policy_of("")

    assert example.docker == default.docker
    assert example.clients == default.clients
    assert example.audit == default.audit
    assert example.no_proxy == default.no_proxy
    assert example.relay == default.relay
    assert (example.probe.timeout, example.probe.failures) == (default.probe.timeout, default.probe.failures)


GATEWAY = (
    '[[network]]\nuse = ["direct"]\n[[network]]\nname = "office"\nuse = ["direct"]\nmatch.gateway = ["10.0.0.300"]'
)
UPSTREAM = "[upstream.a]\n"
URL = 'url = "http://proxy:3128"\n'


PAC = 'pac = "http://wpad.corp.example/wpad.dat"\n'
NO_PAC = 'is not where a PAC file is, such as "http://wpad.example/wpad.dat", "file:///etc/corp.pac" or "auto"'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GATEWAY, 'network 2 (office).match.gateway: "10.0.0.300" is not an address'),
        ('[[network]]\nname = "offline"\nuse = ["direct"]', "network 1 (offline).name: the log says offline where there is no network; use another name"),
        ("pac = {}", "pac: unknown; known are probe, docker, clients, audit, no_proxy, relay, upstream, network"),
        ("[relay]\nport = 0", "relay.port: 0 is not a port: write 1 to 65535"),
        ('[relay]\nport = "3130"', 'relay.port: "3130" is not a whole number'),
        ('[relay]\nlisten = ["bridge"]', 'relay.listen: "loopback" is missing: add it, because dockerd reaches the relay there'),
        ('[relay]\nlisten = ["0.0.0.0"]', 'relay.listen: "0.0.0.0" is not one of loopback, bridge'),
        ('[relay]\nlog = "all"', 'relay.log: "all" is not one of none, summary, connections'),
        ("[relay]\nmax_connections = 4", "relay.max_connections: 4 is out of range: write 16 to 65536"),
        (
            '[relay]\nenable = true\n[upstream.a]\nurl = "http://localhost:3130"',
            "upstream.a: is at port 3130 of this host, where the relay listens: write another relay.port",
        ),
        ("[probe]\ntimout = 3", 'probe.timout: unknown; did you mean "timeout"? Known are registry, timeout, recheck, failures, failback, ca_file, reach'),
        ("[probe]\ntimeout = 3", "probe.timeout: 3 is not text in quotes"),
        ('[probe]\ntimeout = "3"', 'probe.timeout: "3" is not a duration, such as "30s", "5m", "2h" or "400d"'),
        ("[probe]\nfailures = true", "probe.failures: true is not a whole number"),
        ("[probe]\nfailures = 0", "probe.failures: 0 is out of range: write 1 to 100"),
        ('[probe]\ntimeout = "0s"', 'probe.timeout: "0s" is out of range: write "100ms" to "1m"'),
        ('[probe]\ntimeout = "61s"', 'probe.timeout: "61s" is out of range: write "100ms" to "1m"'),
        ('[probe]\nrecheck = "10ms"', 'probe.recheck: "10ms" is out of range: write "0s", or "100ms" to "1d"'),
        ('[probe]\nfailback = "25h"', 'probe.failback: "25h" is out of range: write "0s" to "1d"'),
        ('[docker]\nmin_interval = "2d"', 'docker.min_interval: "2d" is out of range: write "0s" to "1d"'),
        ('[audit]\nkeep = "1s"', 'audit.keep: "1s" is out of range: write "1h" to "36500d"'),
        ("[probe]\nfailures = 1000", "probe.failures: 1000 is out of range: write 1 to 100"),
        ('[upstreams.a]\nurl = ""', 'upstreams: unknown; did you mean "upstream"? Known are probe, docker, clients, audit, no_proxy, relay, upstream, network'),
        ('[probe]\nregistry = ["https://10.0.0.300"]', 'probe.registry: "https://10.0.0.300" names no host: "10.0.0.300" is not an address'),
        ('[probe]\nreach = ["https://a"]', 'probe.reach: "https://a" is not a host, such as "blobs.registry.example" or "blobs.registry.example:8443"'),
        ('[probe]\nreach = ["a:99999"]', 'probe.reach: "a:99999" is not a host, such as "blobs.registry.example" or "blobs.registry.example:8443"'),
        ('[probe]\nregistry = ["registry"]', 'probe.registry: "registry" is not the URL of a registry, such as "https://registry.example"'),
        ('[probe]\nca_file = "ca.pem"', 'probe.ca_file: "ca.pem" is not an absolute path, such as "/etc/ssl/certs/corp.pem"'),
        ('[docker]\nmethod = "dropin"', 'docker.method: "dropin" is not one of auto, systemd-drop-in, daemon-json'),
        ('[docker]\nservice = "docker"', 'docker.service: "docker" is not the name of a unit, such as "docker.service"'),
        ('[docker]\ntake_along = ["stack"]', 'docker.take_along: "stack" is not the name of a unit or a pattern, such as "*-firewall.service"'),
        ('[docker]\ntake_along = ["a b.service", "*.service"]', 'docker.take_along: "a b.service" is not the name of a unit or a pattern, such as "*-firewall.service"'),
        ('[docker]\nsocket = "tcp://x"', 'docker.socket: "tcp://x" is not an absolute path, such as "/run/docker.sock"'),
        ("[clients]\nusers = 5", "clients.users: 5 is not text in quotes or a list"),
        ('[clients]\nusers = "alice"', 'clients.users: "alice" is not one of auto; a list names users'),
        ('[clients]\nscope = "all"', 'clients.scope: "all" is not one of default, local'),
        ('[audit]\nmax_size = "1 mile"', 'audit.max_size: "1 mile" is not a size, such as "500kB" or "100MB"'),
        ("probe = 3", "probe: 3 is not a table"),
        ('[no_proxy]\nalways = ["192.168.*"]', 'no_proxy.always: "192.168.*" is not valid for Docker: write "host", ".domain", "host:port", an address or a CIDR'),
        ('[no_proxy]\nalways = "localhost"', 'no_proxy.always: "localhost" is not a list: write ["localhost"]'),
        ("[no_proxy]\nalways = 3", "no_proxy.always: 3 is not a list"),
        ("[upstream.a]\nurl = http://b:1", "not TOML: Invalid value (at line 2, column 7); a text stands in quotes, and true and false have no capitals"),
        (UPSTREAM + URL + "relay.enable = true", "upstream.a.relay: unknown; a line belongs to the [ ] above it: write it into a table [relay], or above the first [ ]"),
        ("upstream = 3", "upstream: expected tables, such as [upstream.corp-proxy]"),
        ('[upstream.direct]\nurl = ""', "upstream.direct: direct is built in and cannot be defined; use another name"),
        (UPSTREAM, 'upstream.a: url is missing, such as "http://proxy.example:3128"'),
        (UPSTREAM + 'url = "proxy:3128"', 'upstream.a.url: "proxy:3128" is not a proxy\'s URL, such as "http://proxy.example:3128" or "socks5://…"'),
        (UPSTREAM + 'url = "http://wpad/wpad.dat"', 'upstream.a.url: "http://wpad/…" has a path, but a proxy has none; for a PAC file write pac = "…" instead of url'),
        (UPSTREAM + 'url = "http://proxy:3128/path"', 'upstream.a.url: "http://proxy:3128/…" has a path, but a proxy has none; for a PAC file write pac = "…" instead of url'),
        (UPSTREAM + 'url = "file:///etc/proxy.pac"', 'upstream.a.url: "‹unparsable›/…" has a path, but a proxy has none; for a PAC file write pac = "…" instead of url'),
        (UPSTREAM + 'url = "http://10.0.0.300:3128"', 'upstream.a.url: "http://10.0.0.300:3128" names no proxy: "10.0.0.300" is not an address'),
        (UPSTREAM + URL + 'container_url = "http://10.0.0.1-9"', 'upstream.a.container_url: "http://10.0.0.1-9" names no proxy: "10.0.0.1-9" is not an address'),
        (UPSTREAM + 'url = "http://proxy.test:88888"', 'upstream.a.url: "http://proxy.test:88888" has a port that does not exist: write 1 to 65535'),
        (UPSTREAM + 'url = "socks4://proxy"', 'upstream.a.url: "socks4://proxy" is not a proxy\'s URL, such as "http://proxy.example:3128" or "socks5://…"'),
        (UPSTREAM + 'url = "http://u:hunter2@proxy"', 'upstream.a.url: "http://•••@proxy" contains a user or password: write username and password_file instead'),
        (UPSTREAM + URL + 'http_url = "http://b"', "upstream.a: url is set together with http_url or https_url: use one or the other"),
        (UPSTREAM + URL + 'password_file = "/p"', "upstream.a: username is missing; a password needs one"),
        (UPSTREAM + URL + 'username = "u"\npassword_file = "p"', 'upstream.a.password_file: "p" is not an absolute path, such as "/etc/docker-proxy-agent/office.password"'),
        (UPSTREAM + URL + 'username = "u"\npassword_file = "/p"\npassword_credential = "c"', "upstream.a.password_file and password_credential: use only one of them"),
        (UPSTREAM + URL + 'password = "hunter2"', 'upstream.a.password: unknown; did you mean "password_file"? Known are url, http_url, https_url, username, password_file, password_credential, no_proxy, owner, container_url, pac, pac_refresh, trusted'),
        (UPSTREAM + URL + 'owner = "alice"', "upstream.a.owner: is only for a proxy on loopback, such as 127.0.0.1; http://proxy:3128 is not"),
        (UPSTREAM + 'http_url = "http://[::1]:1"\nhttps_url = "http://proxy:1"\nowner = "alice"', "upstream.a.owner: is only for a proxy on loopback, such as 127.0.0.1; http://proxy:1 is not"),
        (UPSTREAM + 'url = "http://127.0.0.1:1"\nowner = "a:b"', 'upstream.a.owner: "a:b" is not the name of a user'),
        (UPSTREAM + 'url = "http://127.0.0.1:1"\nowner = 1000', "upstream.a.owner: 1000 is not text in quotes"),
        (UPSTREAM + 'pac = "wpad.dat"', f'upstream.a.pac: "wpad.dat" {NO_PAC}'),
        (UPSTREAM + 'pac = "ftp://wpad/wpad.dat"', f'upstream.a.pac: "ftp://wpad/…" {NO_PAC}'),
        (UPSTREAM + 'pac = "file://etc/wpad.dat"', f'upstream.a.pac: "file://etc/…" {NO_PAC}'),
        (UPSTREAM + 'pac = "http://wp ad/wpad.dat"', f'upstream.a.pac: "‹unparsable›/…" {NO_PAC}'),
        (UPSTREAM + 'pac = "http://u:hunter2@wpad/wpad.dat"', 'upstream.a.pac: "‹unparsable›" contains a user or password: a PAC file is fetched without one'),
        (UPSTREAM + 'pac = "http://10.0.0.300/wpad.dat"', 'upstream.a.pac: "http://10.0.0.300/…" does not name a host'),
        (UPSTREAM + PAC + URL, "upstream.a.url: is set together with pac: use one or the other"),
        (UPSTREAM + PAC + 'http_url = "http://b"', "upstream.a.http_url: is set together with pac: use one or the other"),
        (UPSTREAM + PAC + 'https_url = "http://b"', "upstream.a.https_url: is set together with pac: use one or the other"),
        (UPSTREAM + PAC + 'container_url = "http://b"', "upstream.a.container_url: is set together with pac: use one or the other"),
        (UPSTREAM + PAC + 'owner = "alice"', "upstream.a.owner: is set together with pac: use one or the other"),
        (UPSTREAM + PAC + 'pac_refresh = "1s"', 'upstream.a.pac_refresh: 1 s is out of range: write "10s" to "7d"'),
        (UPSTREAM + PAC + 'password_file = "/p"', "upstream.a: username is missing; a password needs one"),
        *(
            (UPSTREAM + PAC + f'trusted = ["{text}"]', f'upstream.a.trusted: "{text}" is not a host or pattern, such as "*.corp.example", "10.10.0.3" or "10.10.0.0/24"')
            for text in ("", "proxy:3128", "10.10.0.3:3128", "10.10.0.*:3128", "*:3128", "10.10.0.300", "10.10.0", "10.10.0.0/33", "10.10.0.*/24", "http://proxy", "a b")
        ),
        (UPSTREAM + URL + 'trusted = ["*.corp.example"]', "upstream.a.trusted: is only for pac"),
        (UPSTREAM + URL + 'pac_refresh = "2h"', "upstream.a.pac_refresh: is only for pac"),
        (UPSTREAM + 'pac = "auto"\n[[network]]\nuse = ["a"]', 'network 1.use: "a" has pac = "auto", which trusts whoever answers: give the network a match'),
        ("network = 3", "network: expected [[network]], with double brackets"),
        ("[network]\nuse = []", "network: expected [[network]], with double brackets"),
        ("[[network]]", "network 1.use: is missing"),
        ("[[network]]\nuse = []", 'network 1.use: names no upstream; write ["direct"] for none'),
        ('[[network]]\nuse = ["offce"]', 'network 1.use: "offce" is not an upstream; known are direct'),
        ('[[network]]\nuse = ["direct", "direct"]', 'network 1.use: "direct" is listed twice; once is enough'),
        (LOCAL + '[[network]]\nuse = ["locale"]', 'network 1.use: "locale" is not an upstream; did you mean "local"? Known are direct, local'),
        ('[[network]]\nuse = ["direct"]\ngateway = ["10.0.0.1"]', "network 1.gateway: unknown; did you mean match.gateway?"),
        ('[[network]]\nname = "a"\nuse = ["direct"]\n' * 2, 'network: the name "a" is used 2 times; names must be unique'),
        ('[[network]]\nuse = ["direct"]\nmatch.gateway_mac = ["aa:bb"]', 'network 1.match.gateway_mac: "aa:bb" is not a MAC, such as "52:54:00:12:34:56"'),
        ('[[network]]\nuse = ["direct"]\nmatch.address = ["10.0.0.0/33"]', 'network 1.match.address: "10.0.0.0/33" is not a network, such as "10.10.0.0/16"'),
        ('[[network]]\nuse = ["direct"]\nmatch.ssid = [""]', 'network 1.match.ssid: "" is not a name or a pattern, such as "CorpNet*"'),
        ('[[network]]\nuse = ["direct"]\nunreachable = "panic"', 'network 1.unreachable: "panic" is not one of keep, direct'),
        ("[probe", "not TOML: Expected ']' at the end of a table declaration (at end of document)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_what_and_what_was_expected(text: str, line: str) -> None:
    assert problems(text) == (line,)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("http://wpad.corp.example/wpad.dat", "wpad.corp.example"),
        ("HTTPS://Wpad:8443/p.pac?site=1", "wpad"),
        ("http://[fd00::1]/wpad.dat", "fd00::1"),
        ("http://wpad", "wpad"),
        ("file:///etc/corp.pac", ""),
        ("auto", ""),
    ],
)
def test_who_is_asked_for_a_pac_file(text: str, host: str) -> None:
    read = policy_of(f'{UPSTREAM}pac = "{text}"').upstreams["a"]

    assert read.is_pac
    assert (read.pac, read.pac.host) == (text, host)
    assert read.http is read.https is None


def test_all_that_is_wrong_is_told_in_one_reading() -> None:
    text = """
[probe]
timeout = 1
recheck = "1y"
failures = 0
colour = "red"
[audit]
keep = 1
[no_proxy]
always = ["a;b", "fine", "c;d"]
[upstream.a]
[upstream.b]
url = "http://wpad/wpad.dat"
password_file = "secret"
[[network]]
use = ["offce", "hme"]
match.gateway = ["10.0.0.300", "10.0.0.1", "10.0.0.301"]
colour = "red"
[[network]]
[[network]]
use = 1
"""

    places = sorted(line.split(" is ")[0].split(": unknown")[0] for line in problems(text))

    assert places == sorted(
        [
            "probe.timeout: 1",
            'probe.recheck: "1y"',
            "probe.failures: 0",
            "probe.colour",
            "audit.keep: 1",
            'no_proxy.always: "a;b"',
            'no_proxy.always: "c;d"',
            "upstream.a: url",
            'upstream.b.url: "http://wpad/…" has a path, but a proxy has none; for a PAC file write pac = "…" instead of url',
            "upstream.b: username",
            'upstream.b.password_file: "secret"',
            'network 1.use: "offce"',
            'network 1.use: "hme"',
            'network 1.match.gateway: "10.0.0.300"',
            'network 1.match.gateway: "10.0.0.301"',
            "network 1.colour",
            "network 2.use:",
            "network 3.use: 1",
        ]
    )


def test_a_table_that_is_wrong_all_over_costs_a_bounded_time() -> None:
    entries = ", ".join(f'"{number};"' for number in range(10_000))

    assert 1 < len(problems(f"[no_proxy]\nalways = [{entries}]")) < 100


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    assert isinstance(parse(text), Policy | Problems)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("3s", 3), ("1h30m", 5400), ("1d", 86_400), ("0s", 0), ("1.5s", 1.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert policy_of(f'[probe]\nrecheck = "{text}"').probe.recheck == seconds


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Registry.example/v2/", "https://registry.example"),
        ("https://registry.example:443", "https://registry.example"),
        ("http://registry.example:5000", "http://registry.example:5000"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_registries_are_canonical(text: str, url: str) -> None:
    assert RegistryUrl.parse(text) == url


@pytest.mark.parametrize(
    "entry",
    [
        "host",
        ".domain.example",
        "*.domain.example",
        "host:8080",
        "10.0.0.0/8",
        "10.0.0.1",
        "::1",
        "[::1]:80",
        "*",
        "fd00::/8",
    ],
)
def test_exclusions_that_docker_understands(entry: str) -> None:
    assert policy_of(f'[no_proxy]\nalways = ["{entry}"]').no_proxy.always == (entry,)


@pytest.mark.parametrize(
    "entry",
    [
        "a;b",
        "a b",
        "192.168.*",
        "10.0.0.0/99",
        "http://a",
        "",
        ",",
        "a*",
        "10.0.0.1-10.0.0.9",
        "10.0.0.1-9",
        "10.0.0.300",
        "10.0.0.300:80",
        "192.168.1",
        ".10.0.0.1",
        "host:70000",
        "a,b;c",
        "büch er.example",
    ],
)
def test_exclusions_that_docker_does_not_understand(entry: str) -> None:
    assert "is not valid for Docker" in problems(f'[no_proxy]\nalways = ["{entry}"]')[0]


@pytest.mark.parametrize(
    ("entry", "entries"),
    [
        ("a,b", ("a", "b")),
        (" a , .B.example ,,10.0.0.1:80", ("a", ".b.example", "10.0.0.1:80")),
        ("Bücher.example", ("xn--bcher-kva.example",)),
        ("*.bücher.example:8443", ("*.xn--bcher-kva.example:8443",)),
        ("straße.example", ("xn--strae-oqa.example",)),  # as Go's idna.Lookup has it, not as of 2003
        ("例え。テスト", ("xn--r8jz45g.xn--zckzah",)),
    ],
)
def test_exclusions_are_taken_as_docker_takes_them(entry: str, entries: tuple[str, ...]) -> None:
    read = policy_of(f'[no_proxy]\nalways = ["{entry}"]\n[upstream.a]\nurl = "http://a"\nno_proxy = ["{entry}"]')

    assert read.no_proxy.always == entries
    assert read.upstreams["a"].no_proxy == entries
