"""What clients should have, as a container can use it; and what must change in one file for that."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.bridge import Bridge
from agent.decide.client_file import SECRET_MODE, Change, FileEdit, OwnedConfig, Was, beaten_by, plan, plan_file
from agent.decide.client_file import put_back as all_put_back
from agent.decide.clients import (
    PRIVATE_NETWORKS,
    Around,
    Intent,
    Wanted,
    beside_the_relay,
    entries_for,
    for_clients,
    gives_socks,
)
from agent.targets.client_config import ClientTexts, has_entry, put_back, texts
from agent.targets.refused import TextRefused
from agent.values.condition import Code
from agent.values.listening import Listener
from agent.values.policy import DIRECT as DIRECT_UPSTREAM
from agent.values.policy import Clients, Exclusion, NoProxy, Scope, Upstream
from agent.values.secret import Secret
from agent.values.settings import DIRECT, ProxyUrl, Settings, proxy, settings

GATEWAY = "172.17.0.1"
NO_PRIVATE = NoProxy(always=(Exclusion("localhost"),), private_networks=False)
ENTRY = "default"
LOCAL = ("unix:///var/run/docker.sock", "unix:///run/docker.sock")

# What clients should have.


def url(text: str) -> ProxyUrl | None:
    read = proxy(text)
    assert read is None or isinstance(read, ProxyUrl)
    return read


def upstream(both: str = "", *, http: str = "", https: str = "", container: str = "", user: str = "", no_proxy: tuple[str, ...] = ()) -> Upstream:  # fmt: skip
    password = Secret("hunter2") if user else None
    return Upstream(
        "office", url(both or http), url(both or https), user, password=password, no_proxy=no_proxy, container_url=url(container)
    )  # fmt: skip


def bridge(*ports: int) -> Bridge:
    """A host on all whose addresses, the bridge's included, alice listens at these ports."""
    return Bridge(GATEWAY, tuple(Listener("::", port, 1000, cookie) for cookie, port in enumerate(ports)))


UNKNOWN = Bridge()
CLOSED = Bridge(is_closed=True)
BY_GATEWAY = Bridge("10.0.2.2", bridge(7890).listeners, heard_at="127.0.0.1")
HIDDEN = Clients()
SHOWN = Clients(credentials=True)


def have(http: str | None = None, https: str | None = None, all_: str | None = None) -> Settings:
    return settings(http, https, "localhost", all_)


@pytest.mark.parametrize(
    ("way", "clients", "docker0", "wanted"),
    [
        # direct, and proxies elsewhere
        pytest.param(DIRECT_UPSTREAM, HIDDEN, UNKNOWN, DIRECT, id="direct"),
        pytest.param(DIRECT_UPSTREAM, HIDDEN, bridge(), DIRECT, id="direct-whatever-the-bridge"),
        pytest.param(upstream("http://p:3128"), HIDDEN, UNKNOWN, have("http://p:3128", "http://p:3128"), id="elsewhere-needs-no-bridge"),
        pytest.param(upstream("https://p"), HIDDEN, UNKNOWN, have("https://p:443", "https://p:443"), id="a-proxy-behind-tls"),
        pytest.param(upstream("http://172.17.0.1:3128"), HIDDEN, UNKNOWN, have("http://172.17.0.1:3128", "http://172.17.0.1:3128"), id="already-on-the-bridge"),
        pytest.param(upstream("http://[fd00::1]:3128"), HIDDEN, UNKNOWN, have("http://[fd00::1]:3128", "http://[fd00::1]:3128"), id="ipv6-elsewhere"),
        # http_url and https_url apart
        pytest.param(upstream(http="http://a:1", https="http://b:2"), HIDDEN, UNKNOWN, have("http://a:1", "http://b:2"), id="apart"),
        pytest.param(upstream(http="http://a:1"), HIDDEN, UNKNOWN, have("http://a:1"), id="http-only"),
        pytest.param(upstream(https="http://b:2"), HIDDEN, UNKNOWN, have(None, "http://b:2"), id="https-only"),
        # loopback
        pytest.param(upstream("http://127.0.0.1:7890"), HIDDEN, bridge(7890), have("http://172.17.0.1:7890", "http://172.17.0.1:7890"), id="loopback"),
        pytest.param(upstream("http://127.8.8.8:7890"), HIDDEN, bridge(7890), have("http://172.17.0.1:7890", "http://172.17.0.1:7890"), id="all-of-127"),
        pytest.param(upstream("http://LOCALHOST:7890"), HIDDEN, bridge(7890), have("http://172.17.0.1:7890", "http://172.17.0.1:7890"), id="localhost"),
        pytest.param(upstream("http://proxy.localhost:7890"), HIDDEN, bridge(7890), have("http://172.17.0.1:7890", "http://172.17.0.1:7890"), id="below-localhost"),
        pytest.param(upstream("http://[::1]:7890"), HIDDEN, bridge(7890), have("http://172.17.0.1:7890", "http://172.17.0.1:7890"), id="loopback-of-ipv6"),
        pytest.param(upstream("http://[::ffff:127.0.0.1]:7890"), HIDDEN, bridge(7890), have("http://172.17.0.1:7890", "http://172.17.0.1:7890"), id="loopback-of-ipv4-in-ipv6"),
        pytest.param(upstream("http://0.0.0.0:7890"), HIDDEN, bridge(7890), have("http://172.17.0.1:7890", "http://172.17.0.1:7890"), id="unspecified"),
        pytest.param(upstream("http://127.0.0.1:7890"), HIDDEN, BY_GATEWAY, have("http://10.0.2.2:7890", "http://10.0.2.2:7890"), id="loopback-by-a-gateway"),
        pytest.param(upstream("https://127.0.0.1"), HIDDEN, bridge(443), have("https://172.17.0.1:443", "https://172.17.0.1:443"), id="loopback-at-a-default-port"),
        pytest.param(upstream(http="http://127.0.0.1:1", https="http://b:2"), HIDDEN, bridge(1), have("http://172.17.0.1:1", "http://b:2"), id="one-on-loopback"),
        pytest.param(upstream(http="http://127.0.0.1:1", https="http://127.0.0.1:2"), HIDDEN, bridge(1, 2), have("http://172.17.0.1:1", "http://172.17.0.1:2"), id="two-on-loopback"),
        # SOCKS
        pytest.param(upstream("socks5://p:1080"), HIDDEN, UNKNOWN, have(all_="socks5://p:1080"), id="socks"),
        pytest.param(upstream("socks5h://p"), HIDDEN, UNKNOWN, have(all_="socks5h://p:1080"), id="socks-as-the-policy-spells-it"),
        pytest.param(upstream("socks5://127.0.0.1:1080"), HIDDEN, bridge(1080), have(all_="socks5://172.17.0.1:1080"), id="socks-on-loopback"),
        pytest.param(upstream(http="http://a:1", https="socks5://p:1080"), HIDDEN, UNKNOWN, have("http://a:1", None, "socks5://p:1080"), id="socks-for-https"),
        pytest.param(upstream(http="socks5://p:1080", https="http://a:1"), HIDDEN, UNKNOWN, have(None, "http://a:1", "socks5://p:1080"), id="socks-for-http"),
        pytest.param(upstream(http="socks5://p:1", https="socks5://p:2"), HIDDEN, UNKNOWN, have(all_="socks5://p:2"), id="two-socks-one-value"),
        # container_url
        pytest.param(upstream("http://127.0.0.1:7890", container="http://10.0.0.5:8080"), HIDDEN, UNKNOWN, have("http://10.0.0.5:8080", "http://10.0.0.5:8080"), id="container-url-over-loopback"),
        pytest.param(upstream("http://p:3128", container="http://10.0.0.5:8080"), HIDDEN, bridge(), have("http://10.0.0.5:8080", "http://10.0.0.5:8080"), id="container-url-over-any"),
        pytest.param(upstream("socks5://127.0.0.1:1080", container="http://host.example:8118"), HIDDEN, bridge(), have("http://host.example:8118", "http://host.example:8118"), id="container-url-over-socks"),
        pytest.param(upstream("http://p:3128", container="socks5://10.0.0.5"), HIDDEN, UNKNOWN, have(all_="socks5://10.0.0.5:1080"), id="container-url-that-is-socks"),
        pytest.param(upstream("http://p:3128", container="http://127.0.0.1:1"), HIDDEN, bridge(), have("http://127.0.0.1:1", "http://127.0.0.1:1"), id="container-url-is-taken-at-its-word"),
        pytest.param(upstream(http="http://p:3128", container="http://10.0.0.5:1"), HIDDEN, UNKNOWN, have("http://10.0.0.5:1", "http://10.0.0.5:1"), id="container-url-is-for-both"),
        pytest.param(upstream("http://p:3128", container="http://10.0.0.5:1", user="alice"), SHOWN, UNKNOWN, have("http://alice:hunter2@10.0.0.5:1", "http://alice:hunter2@10.0.0.5:1"), id="container-url-with-credentials"),
        pytest.param(upstream("http://p:3128", container="http://10.0.0.5:1", user="alice"), HIDDEN, UNKNOWN, have("http://10.0.0.5:1", "http://10.0.0.5:1"), id="container-url-without-credentials"),
        # credentials that clients may have
        pytest.param(upstream("http://p:3128", user="alice"), SHOWN, UNKNOWN, have("http://alice:hunter2@p:3128", "http://alice:hunter2@p:3128"), id="credentials"),
        pytest.param(upstream("http://127.0.0.1:1", user="alice"), SHOWN, bridge(1), have("http://alice:hunter2@172.17.0.1:1", "http://alice:hunter2@172.17.0.1:1"), id="credentials-on-loopback"),
        pytest.param(upstream("socks5://p:1", user="alice"), SHOWN, UNKNOWN, have(all_="socks5://alice:hunter2@p:1"), id="credentials-for-socks"),
        pytest.param(upstream(http="http://p:1", user="alice"), SHOWN, UNKNOWN, have("http://alice:hunter2@p:1"), id="credentials-for-one"),
        pytest.param(upstream("http://p:3128"), SHOWN, UNKNOWN, have("http://p:3128", "http://p:3128"), id="no-credentials-to-show"),
    ],
)  # fmt: skip
def test_what_clients_should_have(way: Upstream, clients: Clients, docker0: Bridge, wanted: Settings) -> None:
    found = for_clients(way, clients, NO_PRIVATE, docker0)

    assert found.intent is Intent.SET
    assert found.settings == wanted
    assert found.condition is None


@pytest.mark.parametrize(
    ("way", "docker0", "intent", "because"),
    [
        pytest.param(upstream("http://127.0.0.1:7890"), UNKNOWN, Intent.LEAVE, "office is on loopback, and the address of Docker's bridge is not known", id="unknown-bridge"),
        pytest.param(upstream(http="http://a:1", https="socks5://[::1]:1"), UNKNOWN, Intent.LEAVE, "office is on loopback, and the address of Docker's bridge is not known", id="unknown-bridge-and-one-on-loopback"),
        pytest.param(upstream("http://127.0.0.1:7890"), bridge(), Intent.WITHDRAW, "office is on loopback, but does not listen on 172.17.0.1:7890", id="not-listening"),
        pytest.param(upstream("http://127.0.0.1:7890"), bridge(8080), Intent.WITHDRAW, "office is on loopback, but does not listen on 172.17.0.1:7890", id="another-port-listens"),
        pytest.param(upstream(http="http://127.0.0.1:1", https="http://127.0.0.1:2"), bridge(1), Intent.WITHDRAW, "office is on loopback, but does not listen on 172.17.0.1:2", id="half-of-it"),
        pytest.param(upstream("socks5://127.0.0.1:1080"), bridge(), Intent.WITHDRAW, "office is on loopback, but does not listen on 172.17.0.1:1080", id="socks"),
        pytest.param(upstream("http://127.0.0.1:7890", user="alice"), bridge(), Intent.WITHDRAW, "office is on loopback, but does not listen on 172.17.0.1:7890", id="with-a-user"),
        pytest.param(upstream("http://p:1"), UNKNOWN, Intent.SET, "office", id="elsewhere"),
        pytest.param(upstream("http://127.0.0.1:1"), bridge(1), Intent.SET, "office: on loopback, and answers on 172.17.0.1, seen from the host", id="listening"),
        pytest.param(upstream("http://127.0.0.1:1", container="http://a:1"), UNKNOWN, Intent.SET, "office: its container_url", id="container-url"),
        pytest.param(DIRECT_UPSTREAM, UNKNOWN, Intent.SET, "direct: no proxy", id="direct"),
        pytest.param(upstream("http://127.0.0.1:7890"), CLOSED, Intent.WITHDRAW, "office is on loopback, which containers of this Docker cannot reach", id="no-way-from-another-network"),
        pytest.param(upstream("http://p:1"), CLOSED, Intent.SET, "office", id="elsewhere-from-another-network"),
        pytest.param(upstream("http://127.0.0.1:7890"), Bridge(is_none=True), Intent.WITHDRAW, "office is on loopback, and Docker has no default bridge", id="no-bridge"),
        pytest.param(upstream("http://p:1"), Bridge(is_none=True), Intent.SET, "office", id="elsewhere-without-a-bridge"),
        pytest.param(upstream("http://127.0.0.1:7890"), BY_GATEWAY, Intent.SET, "office: on loopback, and answers on 127.0.0.1, which is 10.0.2.2 to containers", id="by-a-gateway"),
    ],
)  # fmt: skip
def test_what_is_to_be_done_and_why(way: Upstream, docker0: Bridge, intent: Intent, because: str) -> None:
    found = for_clients(way, HIDDEN, NO_PRIVATE, docker0)

    assert (found.intent, found.because) == (intent, because)
    assert (found.condition is not None) == (intent is Intent.WITHDRAW)


@pytest.mark.parametrize(
    ("way", "docker0", "fact"),
    [
        pytest.param(upstream("http://127.0.0.1:1"), bridge(1), "office answers on 172.17.0.1, seen from the host", id="on-the-bridge"),
        pytest.param(upstream("http://127.0.0.1:1"), bridge(), "", id="not-there"),
        pytest.param(upstream("http://127.0.0.1:7890"), BY_GATEWAY, "office answers on 127.0.0.1, which is 10.0.2.2 to containers", id="by-a-gateway"),
        pytest.param(upstream("http://p:1"), bridge(1), "", id="elsewhere"),
        pytest.param(upstream("http://127.0.0.1:1", container="http://a:1"), bridge(1), "", id="container-url"),
    ],
)  # fmt: skip
def test_from_where_the_bridge_was_looked_at_is_said(way: Upstream, docker0: Bridge, fact: str) -> None:
    assert for_clients(way, HIDDEN, NO_PRIVATE, docker0).fact == fact


def test_a_proxy_that_containers_cannot_reach_is_said_with_what_to_do() -> None:
    way = upstream(http="http://127.0.0.1:7890", https="http://[::1]:7891")

    condition = for_clients(way, HIDDEN, NO_PRIVATE, bridge()).condition

    assert condition is not None
    assert condition.code is Code.CLIENT_UNREACHABLE
    assert str(condition) == (
        "office is 127.0.0.1:7890 and [::1]:7891; containers reach it only if it listens on 172.17.0.1:7890 and"
        " 172.17.0.1:7891, too. Make it listen on 172.17.0.1, or set upstream.office.container_url"
    )


def test_a_password_that_clients_do_not_get_is_said_with_what_to_do() -> None:
    found = for_clients(upstream("http://p:3128", user="alice"), HIDDEN, NO_PRIVATE, UNKNOWN)

    assert found.settings == have("http://p:3128", "http://p:3128")
    assert found.condition is not None
    assert found.condition.code is Code.CLIENT_NO_CREDENTIALS
    assert str(found.condition) == (
        "office asks for a password, which clients do not get: containers and builds may be refused. Set"
        " clients.credentials = true (whoever can look at a container then sees the password), or"
        " upstream.office.container_url to a proxy that asks for none"
    )


@pytest.mark.parametrize(
    ("way", "reached"),
    [
        pytest.param(upstream("http://p:3128", user="alice"), UNKNOWN, id="a-password-that-clients-do-not-get"),
        pytest.param(upstream("http://127.0.0.1:7890"), bridge(), id="one-on-this-host"),
    ],
)
def test_what_a_pac_names_has_no_container_url_to_be_set(way: Upstream, reached: Bridge) -> None:
    condition = for_clients(msgspec.structs.replace(way, named_by="corp"), HIDDEN, NO_PRIVATE, reached).condition

    assert condition is not None
    assert "container_url" not in condition.remedy
    assert condition.remedy.endswith("relay.enable = true")


@pytest.mark.parametrize(
    ("exclusions", "of_upstream", "no_proxy"),
    [
        pytest.param(NO_PRIVATE, (), "localhost", id="always"),
        pytest.param(NO_PRIVATE, (".corp.example",), "localhost,.corp.example", id="the-upstream's"),
        pytest.param(NoProxy(always=()), (), ",".join(PRIVATE_NETWORKS), id="private-networks"),
        pytest.param(NoProxy(), ("10.0.0.0/8",), ",".join(("localhost", "127.0.0.0/8", "127.0.0.1", "::1", *PRIVATE_NETWORKS)), id="by-default"),
        pytest.param(NO_PRIVATE, ("127.0.0.0/8",), "localhost,127.0.0.0/8,127.0.0.1", id="loopback-by-the-upstream"),
        pytest.param(NoProxy(always=(), private_networks=False), (), "", id="none"),
    ],
)  # fmt: skip
def test_exclusions(exclusions: NoProxy, of_upstream: tuple[str, ...], no_proxy: str) -> None:
    found = for_clients(upstream("http://p:1", no_proxy=of_upstream), HIDDEN, exclusions, UNKNOWN)

    assert found.settings == settings("http://p:1", "http://p:1", no_proxy)


def test_all_excluded_is_direct() -> None:
    assert for_clients(upstream("http://p:1"), HIDDEN, NoProxy(always=(Exclusion("*"),)), UNKNOWN).settings == DIRECT


NAMED = Around(addresses={"p": "10.0.0.9"})


@pytest.mark.parametrize(
    ("way", "clients", "wanted"),
    [
        pytest.param(upstream("http://p:1"), HIDDEN, have("http://p:1", "http://p:1"), id="not-asked-for"),
        pytest.param(upstream("http://p:1"), Clients(resolve=True), have("http://10.0.0.9:1", "http://10.0.0.9:1"), id="its-address"),
        pytest.param(upstream("socks5h://p:1"), Clients(resolve=True), have(all_="socks5h://10.0.0.9:1"), id="socks"),
        pytest.param(upstream("https://p:1"), Clients(resolve=True), have("https://p:1", "https://p:1"), id="a-certificate-is-for-the-name"),
        pytest.param(upstream("http://q:1"), Clients(resolve=True), have("http://q:1", "http://q:1"), id="one-that-does-not-resolve"),
        pytest.param(upstream("http://q:1", container="http://p:1"), Clients(resolve=True), have("http://10.0.0.9:1", "http://10.0.0.9:1"), id="container-url"),
    ],
)  # fmt: skip
def test_containers_that_ask_another_dns_can_be_given_an_address(
    way: Upstream, clients: Clients, wanted: Settings
) -> None:
    assert for_clients(way, clients, NO_PRIVATE, UNKNOWN, NAMED).settings == wanted


def test_a_name_that_containers_cannot_look_up_is_said_with_what_to_do() -> None:
    around = Around(unknown={"p": "8.8.8.8 (dns in daemon.json)"})

    condition = for_clients(upstream("http://p:1"), HIDDEN, NO_PRIVATE, UNKNOWN, around).condition

    assert condition is not None
    assert condition.code is Code.CLIENT_UNREACHABLE
    assert str(condition) == (
        "office: containers ask 8.8.8.8 (dns in daemon.json), where p is not known. Set clients.resolve = true, which"
        " writes its address, or upstream.office.container_url to one that containers can look up"
    )
    assert for_clients(upstream("http://q:1"), HIDDEN, NO_PRIVATE, UNKNOWN, around).condition is None


@pytest.mark.parametrize(
    ("way", "docker0", "intent", "wanted"),
    [
        pytest.param(upstream("http://p:1"), UNKNOWN, Intent.SET, have("http://p:1", "http://p:1"), id="no-socks"),
        pytest.param(upstream("socks5://p:1"), UNKNOWN, Intent.WITHDRAW, DIRECT, id="socks"),
        pytest.param(upstream("socks5://127.0.0.1:1"), bridge(1), Intent.WITHDRAW, DIRECT, id="socks-on-the-bridge"),
        pytest.param(upstream(http="http://a:1", https="socks5://p:1"), UNKNOWN, Intent.SET, have("http://a:1"), id="half-of-it"),
        pytest.param(upstream("socks5://p:1", container="http://a:1"), UNKNOWN, Intent.SET, have("http://a:1", "http://a:1"), id="container-url"),
        pytest.param(upstream("http://p:1", container="socks5://a:1"), UNKNOWN, Intent.WITHDRAW, DIRECT, id="container-url-that-is-socks"),
        pytest.param(DIRECT_UPSTREAM, UNKNOWN, Intent.SET, DIRECT, id="direct"),
    ],
)  # fmt: skip
def test_a_client_that_knows_no_all_proxy_is_not_given_it(
    way: Upstream, docker0: Bridge, intent: Intent, wanted: Settings
) -> None:
    found = for_clients(way, HIDDEN, NO_PRIVATE, docker0, Around(drops_all="20.10.24+dfsg1"))

    assert (found.intent, found.settings) == (intent, wanted)
    is_dropped = gives_socks(way)
    assert (found.condition is not None) == is_dropped
    if found.condition is not None:
        assert str(found.condition) == (
            "office is SOCKS, and the docker client 20.10.24+dfsg1 does not support allProxy: containers and builds do not get"
            " it, and the client removes it when it saves. Use docker client 23 or newer, or set upstream.office.container_url to"
            " an http proxy"
        )


@pytest.mark.parametrize(
    ("scope", "socket", "is_local", "entries"),
    [
        (Scope.DEFAULT, "/run/docker.sock", False, ("default",)),
        (Scope.DEFAULT, "/run/docker.sock", True, LOCAL),
        (Scope.LOCAL, "/run/docker.sock", False, LOCAL),
        (Scope.LOCAL, "/var/run/docker.sock", False, LOCAL),
        (Scope.LOCAL, "/run/user/1000/docker.sock", False, ("unix:///run/user/1000/docker.sock",)),
    ],
)
def test_the_entries_are_named_as_the_client_asks_for_them(
    scope: Scope, socket: str, is_local: bool, entries: tuple[str, ...]
) -> None:
    assert entries_for(scope, socket, is_local=is_local) == entries


# What must change in one file.

OFFICE = Wanted(Intent.SET, "office", settings("http://office:3128", "http://office:3128", "localhost"))
CAFE = Wanted(Intent.SET, "cafe", settings("http://cafe:8080", "http://cafe:8080", "localhost"))
HOME = Wanted(Intent.SET, "direct: no proxy", DIRECT)
LEAVE = Wanted(Intent.LEAVE, "not known")
WITHDRAW = Wanted(Intent.WITHDRAW, "does not listen")
NEVER_WRITTEN = OwnedConfig()
EVERY = (OFFICE, CAFE, HOME, LEAVE, WITHDRAW)
FOREIGN = '{"auths": {}, "proxies": {"default": {"httpProxy": "http://foreign:1"}}}'
LOGINS = '{\n\t"auths": {\n\t\t"r": {}\n\t}\n}'


def said(**values: str) -> str:
    return json.dumps({"auths": {}, "proxies": {"default": values}})


def written(text: str | None, wanted: Wanted, owned: OwnedConfig = NEVER_WRITTEN) -> FileEdit:
    edit = plan_file(text, ENTRY, wanted, owned, keyed=keyed)
    assert edit is not None
    return edit


def keyed(text: str) -> str:
    return hashlib.sha256(b"key" + text.encode("utf-8", "surrogatepass")).hexdigest()


def kept(edit: FileEdit) -> OwnedConfig:
    return edit.owned(None, keyed)


def after_office(text: str | None = LOGINS) -> FileEdit:
    return written(text, OFFICE)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(None, HOME, id="no-file-is-direct"),
        pytest.param(LOGINS, HOME, id="without-proxies-is-direct"),
        pytest.param(said(httpProxy="office:3128", httpsProxy="HTTP://OFFICE:3128/", noProxy="localhost"), OFFICE, id="says-so-in-another-spelling"),
        pytest.param(FOREIGN, LEAVE, id="leave"),
        pytest.param('{"proxies": []}', LEAVE, id="leave-even-what-is-broken"),
        pytest.param(None, LEAVE, id="leave-nothing"),
        pytest.param(FOREIGN, WITHDRAW, id="withdraw-leaves-what-we-did-not-write"),
        pytest.param('{"proxies": []}', WITHDRAW, id="withdraw-from-a-file-that-we-never-wrote"),
        pytest.param(None, WITHDRAW, id="withdraw-from-no-file"),
    ],
)  # fmt: skip
def test_nothing_is_written(text: str | None, wanted: Wanted) -> None:
    assert plan_file(text, ENTRY, wanted, OwnedConfig(), keyed=keyed) is None


@pytest.mark.parametrize(
    ("text", "wanted", "after", "change"),
    [
        pytest.param('{"auths": {}}', OFFICE, said(httpProxy="http://office:3128", httpsProxy="http://office:3128", noProxy="localhost"), Change.CHOICE, id="the-first-proxy"),
        pytest.param(FOREIGN, OFFICE, said(httpProxy="http://office:3128", httpsProxy="http://office:3128", noProxy="localhost"), Change.ADOPTED, id="over-a-foreign-value"),
        pytest.param(FOREIGN, HOME, '{"auths": {}}', Change.ADOPTED, id="direct-over-a-foreign-value"),
    ],
)  # fmt: skip
def test_the_first_write(text: str, wanted: Wanted, after: str, change: Change) -> None:
    edit = written(text, wanted)

    assert (edit.before, edit.after, edit.change) == (text, after, change)
    assert edit.old == texts(text, ENTRY).meaning()
    assert edit.new == wanted.settings
    assert edit.last == texts(after, ENTRY)
    assert put_back(edit.after, edit.originals) == text


def test_what_is_kept_of_a_write_tells_no_password_and_knows_it_again() -> None:
    secret = Wanted(Intent.SET, "office", settings("http://alice:hunter2@office:3128"))
    edit = written(LOGINS, secret)

    known = msgspec.json.encode(kept(edit))

    assert b"hunter2" not in known
    assert b"office" not in known
    changed = written(edit.after.replace("hunter2", "hunter3"), OFFICE, kept(edit))
    assert changed.change is Change.DRIFT
    assert written(edit.after, OFFICE, kept(edit)).change is Change.CHOICE


def test_a_new_file_is_for_its_owner_alone_and_an_old_one_keeps_its_mode() -> None:
    secret = Wanted(Intent.SET, "office", settings("http://alice:hunter2@office:3128"))

    assert written(None, OFFICE).mode == SECRET_MODE == 0o600
    assert written(LOGINS, OFFICE).mode is None
    assert written(LOGINS, secret).mode == 0o600
    assert "hunter2" not in repr(written(LOGINS, secret))


def test_a_file_that_was_closed_for_a_password_is_opened_again_when_that_is_gone() -> None:
    secret = Wanted(Intent.SET, "office", settings("http://alice:hunter2@office:3128"))
    closed = written(LOGINS, secret)
    owned = msgspec.structs.replace(kept(closed), was=Was(True, 0o644))

    assert closed.mode == 0o600
    assert written(closed.after, CAFE, owned).mode == 0o644
    assert written(closed.after, HOME, owned).mode == 0o644
    made_by_us = msgspec.structs.replace(owned, was=Was(False))
    assert written(closed.after, CAFE, made_by_us).mode is None
    without = written(LOGINS, OFFICE)
    assert written(without.after, CAFE, msgspec.structs.replace(kept(without), was=Was(True, 0o644))).mode is None


@pytest.mark.parametrize("text", [None, "", LOGINS, FOREIGN])
def test_a_pass_after_a_pass_has_nothing_to_do(text: str | None) -> None:
    for wanted in (OFFICE, CAFE, HOME):
        edit = plan_file(text, ENTRY, wanted, OwnedConfig(), keyed=keyed)
        if edit is not None:
            assert plan_file(edit.after, ENTRY, wanted, kept(edit), keyed=keyed) is None


def test_moving_keeps_the_originals_of_the_first_write() -> None:
    first = after_office()

    second = written(first.after, CAFE, kept(first))
    home = written(second.after, HOME, kept(second))

    assert [edit.change for edit in (first, second, home)] == [Change.CHOICE] * 3
    assert second.originals == first.originals
    assert second.old == OFFICE.settings
    assert home.after == LOGINS


def test_somebody_elses_edit_is_drift_and_put_right() -> None:
    first = after_office()

    edit = written(first.after.replace("office", "other"), OFFICE, kept(first))

    assert edit.change is Change.DRIFT
    assert edit.after == first.after


def test_what_was_broken_since_is_drift_and_put_right() -> None:
    first = after_office()

    edit = written(LOGINS.replace("\n}", ',\n\t"proxies": "x"\n}'), OFFICE, kept(first))

    assert edit.change is Change.DRIFT
    assert edit.after == first.after


def test_where_the_last_write_is_not_known_only_what_is_broken_is_drift() -> None:
    first = after_office()
    owned = OwnedConfig(first.originals)

    assert written(first.after, CAFE, owned).change is Change.CHOICE
    assert written(first.after.replace('"localhost"', "7"), CAFE, owned).change is Change.DRIFT


def test_what_somebody_else_broke_is_refused() -> None:
    with pytest.raises(TextRefused, match=r"proxies\.httpProxy: expected an object"):
        plan_file('{"proxies": {"httpProxy": "http://a:1"}}', ENTRY, OFFICE, OwnedConfig(), keyed=keyed)


@pytest.mark.parametrize(
    ("since", "left"),
    [
        pytest.param({}, None, id="as-we-wrote-it"),
        pytest.param({"noProxy": "mine"}, {"noProxy": "mine"}, id="a-key-that-somebody-changed-stays"),
        pytest.param({"ftpProxy": "f"}, {"ftpProxy": "f"}, id="a-key-that-is-not-ours-stays"),
        pytest.param({"allProxy": "socks5://a:1"}, {"allProxy": "socks5://a:1"}, id="a-key-that-somebody-added-stays"),
    ],
)
def test_withdrawn_is_what_we_wrote_and_nothing_else(since: dict[str, str], left: dict[str, str] | None) -> None:
    first = after_office()
    document = json.loads(first.after)
    document["proxies"]["default"] |= since

    edit = written(json.dumps(document), WITHDRAW, kept(first))

    assert json.loads(edit.after).get("proxies", {}).get("default") == left
    assert plan_file(edit.after, ENTRY, WITHDRAW, kept(edit), keyed=keyed) is None


def test_withdrawn_as_if_it_had_never_been() -> None:
    first = after_office()

    edit = written(first.after, WITHDRAW, kept(first))

    assert edit.after == LOGINS
    assert edit.new == DIRECT
    assert (edit.originals, edit.last) == (first.originals, ClientTexts())


def test_a_value_that_somebody_writes_after_a_withdrawal_stays() -> None:
    gone = written(after_office().after, WITHDRAW, kept(after_office()))
    theirs = json.dumps(json.loads(LOGINS) | {"proxies": {"default": {"httpProxy": "http://theirs:1"}}})

    assert plan_file(theirs, ENTRY, WITHDRAW, kept(gone), keyed=keyed) is None
    assert written(theirs, OFFICE, kept(gone)).change is Change.DRIFT


def test_a_foreign_value_is_not_put_back_by_a_withdrawal_but_by_a_restore() -> None:
    first = after_office(FOREIGN)

    edit = written(first.after, WITHDRAW, kept(first))

    assert edit.after == '{"auths": {}}'
    assert json.loads(put_back(edit.after, edit.originals)) == json.loads(FOREIGN)


def test_another_scope_puts_the_old_entry_back_and_keeps_anew() -> None:
    first = written(FOREIGN, OFFICE)

    edit = plan_file(first.after, "unix:///var/run/docker.sock", CAFE, kept(first), keyed=keyed)

    assert edit is not None
    proxies = json.loads(edit.after)["proxies"]
    assert proxies["default"] == {"httpProxy": "http://foreign:1"}
    assert texts(edit.after, "unix:///var/run/docker.sock").meaning() == CAFE.settings
    assert put_back(edit.after, edit.originals) == FOREIGN


steps = st.lists(st.sampled_from(EVERY), min_size=1, max_size=6)


@given(st.sampled_from([None, "", "{}", LOGINS, FOREIGN, said(noProxy="x"), '{"proxies": null}']), steps)
def test_any_journey_ends_in_what_was_there(text: str | None, journey: list[Wanted]) -> None:
    now, owned = text, OwnedConfig()
    for wanted in journey:
        edit = plan_file(now, ENTRY, wanted, owned, keyed=keyed)
        if edit is not None:
            now, owned = edit.after, msgspec.json.decode(msgspec.json.encode(kept(edit)), type=OwnedConfig)
        if wanted.intent is Intent.SET:
            assert texts(now, ENTRY).meaning() == wanted.settings

    assert put_back(now, owned.originals) == (text or "") if owned.is_ours else now == text


# Several entries.

HERE = Wanted(
    Intent.SET, "on the bridge", settings("http://172.17.0.1:1", "http://172.17.0.1:1", "localhost"), is_only_here=True
)
EVERYWHERE = ("default",)


def proxies_of(text: str | None) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(text or "{}").get("proxies", {})
    return found


@pytest.mark.parametrize(
    ("way", "docker0", "is_only_here"),
    [
        pytest.param(upstream("http://127.0.0.1:1"), bridge(1), True, id="on-the-bridge"),
        pytest.param(upstream("http://172.17.0.1:1"), bridge(1), True, id="the-bridge-by-the-policy"),
        pytest.param(upstream("http://p:1", container="http://172.17.0.1:1"), bridge(1), True, id="a-container-url-on-the-bridge"),
        pytest.param(upstream("http://127.0.0.1:1", container="http://p:1"), bridge(1), False, id="a-container-url-elsewhere"),
        pytest.param(upstream("http://p:1"), bridge(1), False, id="elsewhere"),
        pytest.param(DIRECT_UPSTREAM, bridge(1), False, id="direct"),
    ],
)  # fmt: skip
def test_which_address_is_good_on_this_laptop_only(way: Upstream, docker0: Bridge, is_only_here: bool) -> None:
    assert for_clients(way, HIDDEN, NO_PRIVATE, docker0).is_only_here == is_only_here


def after(edit: FileEdit | None) -> tuple[str, OwnedConfig]:
    assert edit is not None
    return edit.after, msgspec.json.decode(msgspec.json.encode(edit.owned(Was(True, 0o600), keyed)), type=OwnedConfig)


def test_an_address_of_this_laptop_leaves_the_entry_that_other_engines_get() -> None:
    text, owned = after(plan(LOGINS, EVERYWHERE, OFFICE, OwnedConfig(), keyed))

    text, owned = after(plan(text, LOCAL, HERE, owned, keyed))
    assert set(proxies_of(text)) == set(LOCAL)
    assert [texts(text, entry).meaning() for entry in LOCAL] == [HERE.settings] * 2
    assert plan(text, LOCAL, HERE, owned, keyed) is None

    text, owned = after(plan(text, EVERYWHERE, OFFICE, owned, keyed))
    assert set(proxies_of(text)) == {"default"}
    back = all_put_back(text, owned)
    assert back is not None
    assert back.after == LOGINS


# As `beside_the_relay`.
SPLIT = [
    msgspec.structs.replace(here, elsewhere=others) for here in (HERE, WITHDRAW) for others in (OFFICE, CAFE, HOME)
]
EACH = ("default", *LOCAL)


@pytest.mark.parametrize("others", [OFFICE, HOME])
@pytest.mark.parametrize("here", [HERE, WITHDRAW])
def test_other_engines_have_something_else_beside_the_relay(here: Wanted, others: Wanted) -> None:
    wanted = beside_the_relay(here, others)

    text, owned = after(plan(LOGINS, EVERYWHERE, CAFE, OwnedConfig(), keyed))
    text, owned = after(plan(text, EACH, wanted, owned, keyed))

    assert texts(text, "default").meaning() == others.settings
    assert [texts(text, entry).meaning() for entry in LOCAL] == [here.settings] * 2
    assert all(has_entry(text, entry) for entry in LOCAL) == (here is HERE or others is OFFICE)
    assert plan(text, EACH, wanted, owned, keyed) is None
    assert beaten_by(text, EACH, "/run/docker.sock", wanted, owned) == ""


@pytest.mark.parametrize(
    ("here", "others"),
    [
        pytest.param(LEAVE, OFFICE, id="nothing-is-to-be-written"),
        pytest.param(HERE, WITHDRAW, id="they-cannot-have-it-either"),
        pytest.param(HERE, HERE, id="its-address-is-good-here-alone"),
    ],
)
def test_other_engines_are_given_nothing_that_they_could_not_use(here: Wanted, others: Wanted) -> None:
    assert beside_the_relay(here, others) == here


def test_an_entry_of_the_users_own_stays_and_the_other_is_written() -> None:
    mine = json.dumps({"proxies": {LOCAL[0]: {"httpProxy": "http://mine:1"}}})

    text, owned = after(plan(mine, LOCAL, HERE, OwnedConfig(), keyed))

    assert proxies_of(text)[LOCAL[0]] == {"httpProxy": "http://mine:1"}
    assert texts(text, LOCAL[1]).meaning() == HERE.settings
    assert beaten_by(text, LOCAL, "/run/docker.sock", HERE, owned) == LOCAL[0]
    assert plan(text, LOCAL, HERE, owned, keyed) is None
    text, owned = after(plan(text, LOCAL, CAFE, owned, keyed))
    assert proxies_of(text)[LOCAL[0]] == {"httpProxy": "http://mine:1"}
    back = all_put_back(text, owned)
    assert back is not None
    assert back.after == mine


def with_entry(entry: str, says: object) -> str:
    return json.dumps({"proxies": {entry: says}})


@pytest.mark.parametrize(
    ("text", "entries", "wanted", "beats"),
    [
        pytest.param(None, EVERYWHERE, OFFICE, "", id="no-file"),
        pytest.param(LOGINS, EVERYWHERE, OFFICE, "", id="no-proxies"),
        pytest.param(with_entry(LOCAL[0], {"noProxy": "a"}), EVERYWHERE, OFFICE, LOCAL[0], id="something"),
        pytest.param(with_entry(LOCAL[0], {}), EVERYWHERE, OFFICE, LOCAL[0], id="nothing-hides-default"),
        pytest.param(with_entry(LOCAL[0], None), EVERYWHERE, OFFICE, LOCAL[0], id="null-hides-default"),
        pytest.param(with_entry(LOCAL[0], {"ftpProxy": "f"}), EVERYWHERE, OFFICE, LOCAL[0], id="none-of-our-keys"),
        pytest.param(with_entry(LOCAL[0], {}), LOCAL, HERE, LOCAL[0], id="nothing-of-the-users-own-stays"),
        pytest.param(with_entry(LOCAL[0], {}), EVERYWHERE, HOME, "", id="nothing-is-direct"),
        pytest.param(with_entry("unix:///other.sock", {}), EVERYWHERE, OFFICE, "", id="of-another-engine"),
        pytest.param('{"proxies": null}', EVERYWHERE, OFFICE, "", id="no-entries-at-all"),
    ],
)
def test_an_entry_of_this_engine_beats_default_also_with_nothing_in_it(
    text: str | None, entries: tuple[str, ...], wanted: Wanted, beats: str
) -> None:
    now = text
    owned = OwnedConfig()
    if (edit := plan(text, entries, wanted, owned, keyed)) is not None:
        now, owned = after(edit)

    assert beaten_by(now, entries, "/run/docker.sock", wanted, owned) == beats
    if beats:
        assert proxies_of(now)[beats] == proxies_of(text)[beats]


def test_an_entry_that_was_ours_and_is_emptied_is_written_again() -> None:
    text, owned = after(plan(LOGINS, LOCAL, HERE, OwnedConfig(), keyed))
    document = json.loads(text)
    document["proxies"][LOCAL[0]] = {}

    edit = plan(json.dumps(document), LOCAL, HERE, owned, keyed)

    assert edit is not None
    assert edit.change is Change.DRIFT
    assert texts(edit.after, LOCAL[0]).meaning() == HERE.settings


def test_somebody_elses_change_of_one_of_several_is_drift() -> None:
    text, owned = after(plan(LOGINS, LOCAL, HERE, OwnedConfig(), keyed))

    edit = plan(text.replace("http://172.17.0.1:1", "http://theirs:1", 1), LOCAL, HERE, owned, keyed)

    assert edit is not None
    assert edit.change is Change.DRIFT
    assert edit.after == text


# --- direct, for one engine -------------------------------------------------------------------------------------------

OWN = ("unix:///run/user/1000/docker.sock",)


@pytest.mark.parametrize(
    ("default", "wanted", "hides"),
    [
        pytest.param({"httpProxy": "http://theirs:1"}, HOME, True, id="direct-is-not-what-default-says"),
        pytest.param({"httpProxy": "http://theirs:1"}, WITHDRAW, True, id="nothing-is-not-what-default-says"),
        pytest.param({"httpProxy": "http://theirs:1"}, LEAVE, False, id="left-as-it-is"),
        pytest.param({"httpProxy": "http://theirs:1", "noProxy": "*"}, HOME, False, id="default-is-direct"),
        pytest.param({"ftpProxy": "ftp://theirs:1"}, HOME, False, id="a-key-that-is-not-ours"),
        pytest.param({}, HOME, False, id="default-gives-nothing"),
        pytest.param(None, HOME, False, id="null"),
    ],
)
def test_direct_for_one_engine_hides_what_default_would_give_it(default: object, wanted: Wanted, hides: bool) -> None:
    text = with_entry("default", default)

    edit = plan(text, OWN, wanted, OwnedConfig(), keyed)

    if not hides:
        assert edit is None
        return
    now, owned = after(edit)
    assert proxies_of(now) == {"default": default, OWN[0]: {}}
    assert plan(now, OWN, wanted, owned, keyed) is None
    back = all_put_back(now, owned)
    assert back is not None
    assert back.after == text


def test_an_entry_that_only_hides_is_there_as_long_as_default_gives_a_proxy() -> None:
    theirs, theirs_owned = after(plan(LOGINS, EVERYWHERE, OFFICE, OwnedConfig(), keyed))
    now, owned = after(plan(theirs, OWN, HOME, OwnedConfig(), keyed))
    assert proxies_of(now)[OWN[0]] == {}

    now, theirs_owned = after(plan(now, EVERYWHERE, HOME, theirs_owned, keyed))
    assert proxies_of(now) == {OWN[0]: {}}

    now, owned = after(plan(now, OWN, HOME, owned, keyed))
    assert now == LOGINS
    assert plan(now, OWN, HOME, owned, keyed) is None

    now, _ = after(plan(now, EVERYWHERE, OFFICE, theirs_owned, keyed))
    now, _ = after(plan(now, OWN, HOME, owned, keyed))
    assert proxies_of(now)[OWN[0]] == {}


def test_an_entry_of_the_users_own_is_not_emptied_to_hide_default() -> None:
    mine = json.dumps({"proxies": {"default": {"httpProxy": "http://d:1"}, OWN[0]: {"httpProxy": "http://mine:1"}}})

    assert plan(mine, OWN, HOME, OwnedConfig(), keyed) is None
    assert beaten_by(mine, OWN, "/run/user/1000/docker.sock", HOME, OwnedConfig()) == OWN[0]


split = st.tuples(st.sampled_from([EVERYWHERE, EACH]), st.sampled_from(SPLIT))
agents = st.lists(
    st.tuples(st.sampled_from([EVERYWHERE, LOCAL, OWN]), st.sampled_from((*EVERY, HERE))) | split, max_size=9
)


@given(st.sampled_from([None, "{}", LOGINS, FOREIGN, with_entry("default", {"noProxy": "*"})]), agents)
def test_two_agents_with_an_entry_each_leave_the_others_alone(
    text: str | None, journey: list[tuple[tuple[str, ...], Wanted]]
) -> None:
    """The system's, with `default` or its own socket's names; and one user's."""
    now = text
    owned = {True: OwnedConfig(), False: OwnedConfig()}
    meant: dict[bool, tuple[tuple[str, ...], Wanted]] = {}
    for entries, wanted in journey:
        is_users = entries == OWN
        meant[is_users] = entries, wanted
        for one, (kept_entries, what) in [(is_users, meant[is_users]), *meant.items()]:
            others = {entry: says for entry, says in proxies_of(now).items() if (entry == OWN[0]) is not one}
            if (edit := plan(now, kept_entries, what, owned[one], keyed)) is not None:
                now, owned[one] = after(edit)
            left = {entry: says for entry, says in proxies_of(now).items() if (entry == OWN[0]) is not one}
            assert left == others
        # Each has what it wants: nobody has anything to do.
        assert [plan(now, kept_entries, what, owned[one], keyed) for one, (kept_entries, what) in meant.items()] == [
            None for _ in meant
        ]
    for known in owned.values():
        if (back := all_put_back(now, known)) is not None:
            now = back.after
    assert json.loads(now or "{}") == json.loads(text or "{}")


same = st.tuples(st.sampled_from([EVERYWHERE, LOCAL, LOCAL[:1]]), st.sampled_from((*EVERY, HERE)))
ways = st.lists(same | split, max_size=7)


@given(st.sampled_from([None, "", "{}", LOGINS, FOREIGN, '{"proxies": null}', with_entry(LOCAL[1], {"httpProxy": "http://mine:1"}), with_entry(LOCAL[0], {})]), ways)  # fmt: skip
def test_any_journey_over_several_entries_ends_in_what_was_there(
    text: str | None, journey: list[tuple[tuple[str, ...], Wanted]]
) -> None:
    now, owned = text, OwnedConfig()
    for entries, wanted in journey:
        edit = plan(now, entries, wanted, owned, keyed)
        if edit is None:
            continue
        now, owned = after(edit)
        assert plan(now, entries, wanted, owned, keyed) is None
    back = all_put_back(now, owned)

    assert (now if back is None else back.after) == (text or "") or now == text
