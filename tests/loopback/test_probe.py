"""Probes of real servers: what each kind of way out, broken in its way, is called, and what a person is shown."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.probe.dial import Address, Ground, Resolve, threaded
from agent.probe.on_their_way import OnTheirWay
from agent.probe.probe import Beyond, Question, Realms, beyond, probe
from agent.probe.tls import Trust
from agent.values.policy import DIRECT, ReachedHost, RegistryUrl, Upstream
from agent.values.secret import Secret
from agent.values.settings import ProxyUrl, Scheme
from agent.values.verdict import Outcome, Verdict
from tests.loopback.certificates import INTERCEPTOR, server_tls, trust
from tests.loopback.servers import (
    HOST,
    HttpProxy,
    Portal,
    Registry,
    Says,
    Server,
    SocksProxy,
    basic,
    black_hole,
    closed_port,
)

PASSWORD = "open #sesame% ü"
ALICE = ("alice", PASSWORD)
SOON_S = 0.4  # the whole time of a probe that is to run out of it


async def the_tests_names(host: str, port: int) -> Sequence[Address]:
    """A resolver that knows what ends in .test."""
    if not host.endswith(".test"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [(socket.AF_INET, (HOST, port))]


async def a_hanging_resolver(_host: str, _port: int) -> Sequence[Address]:
    await asyncio.Event().wait()
    return []


def via(proxy: ProxyUrl, login: tuple[str, str] | None = None) -> Upstream:
    if login is None:
        return Upstream("office", http=proxy, https=proxy)
    user, password = login
    return Upstream("office", http=proxy, https=proxy, username=user, password_file="/p", password=Secret(password))


class Laptop:
    """Asks; and sees to it that no verdict shows a secret or more than a line."""

    def __init__(self, tls: Trust) -> None:
        self.tls = tls

    async def probes(
        self,
        upstream: Upstream,
        *registries: str,
        any_of: bool = True,
        timeout_s: float = 8.0,
        no_proxy: Sequence[str] = (),
        resolve: Resolve = the_tests_names,
        portal_port: int = 1,
        reach: Sequence[str] = (),
        realms: Realms | None = None,
        on_their_way: OnTheirWay | None = None,
    ) -> Verdict:
        urls = tuple(RegistryUrl.parse(url) for url in registries)
        hosts = tuple(ReachedHost.parse(host) for host in reach)
        question = Question(urls, any_of, self.tls, timeout_s, Ground(resolve), portal_port, realms=realms, reach=hosts)
        question = msgspec.structs.replace(question, on_their_way=on_their_way)
        verdict = await probe(upstream, question, no_proxy)
        shown = repr(verdict)
        assert not any(secret in shown for secret in (PASSWORD, "sesame", basic(*ALICE)[6:-2].decode()))
        assert verdict.evidence.isprintable()
        return verdict


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(trust(tmp_path))


def https(server: Server, name: str = "registry.test") -> str:
    return f"https://{name}:{server.port}"


def http(server: Server, name: str = "registry.test") -> str:
    return f"http://{name}:{server.port}"


def end(server: Server, name: str = "registry.test") -> str:
    return f"{name}:{server.port}"


def secure_registry(status: int = 401) -> Registry:
    return Registry(server_tls("registry.test"), status=status)


# What works.


@pytest.mark.parametrize("status", [200, 401, 429])
async def test_a_registry_is_reached_directly(laptop: Laptop, status: int) -> None:
    async with secure_registry(status) as registry:
        verdict = await laptop.probes(DIRECT, https(registry))

    assert verdict.outcome is Outcome.OK
    assert registry.heads[0].startswith(b"GET /v2/ HTTP/1.1\r\nHost: registry.test:%d\r\n" % registry.port)
    timings = verdict.timings
    assert None not in (timings.resolve, timings.connect, timings.tls, timings.answer)
    assert timings.proxy is None
    assert timings.total > 0


@pytest.mark.parametrize("password", ["right", "wrong"])
@pytest.mark.parametrize("scheme", [http, https])
async def test_a_password_that_was_taken_is_no_longer_on_its_way(
    laptop: Laptop, scheme: Callable[[Server], str], password: str
) -> None:
    on_their_way = OnTheirWay()
    login = ALICE if password == "right" else ("alice", "another so far")
    made = Registry() if scheme is http else secure_registry()
    async with made as registry, HttpProxy({end(registry): registry}, login=login) as proxy:
        verdict = await laptop.probes(via(proxy.url(), ALICE), scheme(registry), on_their_way=on_their_way)

    assert verdict.outcome is (Outcome.OK if password == "right" else Outcome.PROXY_AUTH)
    assert bool(on_their_way) is (password == "wrong")  # a refusal, until who asked has heard of it


async def test_whatever_goes_wrong_with_a_name_is_told_to_who_asked() -> None:
    def look_up(_host: str, _port: int) -> Sequence[Address]:
        raise MemoryError

    async with asyncio.timeout(10):
        with pytest.raises(MemoryError):
            await threaded(look_up)("registry.test", 443)


async def test_a_registry_is_reached_through_an_http_proxy(laptop: Laptop) -> None:
    async with secure_registry() as registry, HttpProxy({end(registry): registry}, login=ALICE) as proxy:
        verdict = await laptop.probes(via(proxy.url(), ALICE), https(registry))

    assert (verdict.outcome, verdict.evidence) == (Outcome.OK, "401 Unauthorized")
    assert basic(*ALICE) not in b"".join(registry.heads)
    assert verdict.timings.resolve is None
    assert verdict.timings.proxy is not None


async def test_a_registry_is_reached_through_an_https_proxy(laptop: Laptop) -> None:
    async with (
        secure_registry() as registry,
        HttpProxy({end(registry): registry}, login=ALICE, tls=server_tls("proxy.test")) as proxy,
    ):
        verdict = await laptop.probes(via(proxy.url(Scheme.HTTPS, "proxy.test"), ALICE), https(registry))

    assert verdict.outcome is Outcome.OK


@pytest.mark.parametrize("scheme", [Scheme.SOCKS5, Scheme.SOCKS5H])
async def test_a_registry_is_reached_through_socks_by_its_name(laptop: Laptop, scheme: Scheme) -> None:
    async with secure_registry() as registry, SocksProxy({end(registry): registry}, login=ALICE) as proxy:
        verdict = await laptop.probes(via(proxy.url(scheme), ALICE), https(registry))

    assert verdict.outcome is Outcome.OK
    assert proxy.asked == [end(registry)]


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
async def test_a_plain_registry_is_reached_through_a_proxy(
    laptop: Laptop, kind: type[HttpProxy] | type[SocksProxy]
) -> None:
    async with Registry(status=200) as registry, kind({end(registry): registry}, login=ALICE) as proxy:
        scheme = Scheme.HTTP if kind is HttpProxy else Scheme.SOCKS5
        verdict = await laptop.probes(via(proxy.url(scheme), ALICE), http(registry))

    assert (verdict.outcome, verdict.evidence) == (Outcome.OK, "200 OK")
    whole_url = b"GET http://registry.test:%d/v2/ HTTP/1.1" % registry.port
    assert registry.heads[0].startswith(whole_url if kind is HttpProxy else b"GET /v2/ HTTP/1.1")


async def test_what_no_proxy_excludes_is_reached_directly(laptop: Laptop) -> None:
    async with secure_registry() as registry, HttpProxy() as proxy:
        verdict = await laptop.probes(via(proxy.url()), https(registry), no_proxy=["registry.test"])

    assert verdict.outcome is Outcome.OK
    assert proxy.accepted == 0


async def test_the_half_without_a_proxy_is_direct(laptop: Laptop) -> None:
    async with secure_registry() as registry, HttpProxy() as proxy:
        verdict = await laptop.probes(Upstream("half", http=proxy.url()), https(registry))

    assert verdict.outcome is Outcome.OK
    assert proxy.accepted == 0


# What a proxy does instead.


@pytest.mark.parametrize(
    ("says", "outcome", "evidence"),
    [
        pytest.param(
            [b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nProxy-Authenticate: NTLM\r\n\r\n"],
            Outcome.PROXY_AUTH,
            "407, asks for Basic, NTLM",
            id="407",
        ),
        pytest.param(
            [b"HTTP/1.1 407 N", b"o\r\nProxy-Authen", b"ticate: Basic\r\n", b"\r\n"],
            Outcome.PROXY_AUTH,
            "407, asks for Basic",
            id="407-half-a-line-at-a-time",
        ),
        pytest.param([b"HTTP/1.1 403 No\r\n\r\n"], Outcome.PROXY_DENIED, "403 Forbidden to CONNECT", id="403"),
        pytest.param([b"HTTP/1.1 503 No\r\n\r\n"], Outcome.PROXY_DOWN, "503 Service Unavailable to CONNECT", id="503"),
        pytest.param([b"SSH-2.0-OpenSSH_9.2\r\n"], Outcome.ERROR, "not HTTP: ", id="garbage"),
        pytest.param([], Outcome.ERROR, "closed without an answer", id="close-at-once"),
        pytest.param([b"HTTP/1.1 200 OK\r\nVi"], Outcome.ERROR, "closed in the middle of its answer", id="half"),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\n"], Outcome.ERROR, "TLS with registry.test: failed", id="then-ends"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\n\r\n", b"<html>"], Outcome.ERROR, "TLS with registry.test: ", id="tunnel-to-a-page"
        ),
    ],
)
async def test_what_a_proxy_says(laptop: Laptop, says: list[bytes], outcome: Outcome, evidence: str) -> None:
    async with Says(*says) as proxy:
        verdict = await laptop.probes(via(proxy.url(), ALICE), "https://registry.test")

    assert verdict.outcome is outcome
    assert evidence in verdict.evidence
    assert basic(*ALICE) in proxy.heads[0]


async def test_an_echo_is_no_proxy_and_its_echo_is_not_shown(laptop: Laptop) -> None:
    class Echo(Server):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                writer.write(data)

    async with Echo() as echo:
        verdict = await laptop.probes(via(echo.url(), ALICE), "https://registry.test")
        plain = await laptop.probes(via(echo.url(), ALICE), "http://registry.test")
        socks = await laptop.probes(via(echo.url(Scheme.SOCKS5), ALICE), "https://registry.test")

    assert {verdict.outcome, plain.outcome, socks.outcome} == {Outcome.ERROR}


async def test_a_wrong_password_is_told_from_none(laptop: Laptop) -> None:
    async with HttpProxy(login=ALICE) as http_proxy, SocksProxy(login=ALICE) as socks_proxy:
        wrong = await laptop.probes(via(http_proxy.url(), ("alice", "wrong")), "https://registry.test")
        plain = await laptop.probes(via(http_proxy.url(), ("alice", "wrong")), "http://registry.test")
        socks = await laptop.probes(via(socks_proxy.url(Scheme.SOCKS5), ("alice", "wrong")), "https://registry.test")
        none = await laptop.probes(via(socks_proxy.url(Scheme.SOCKS5)), "https://registry.test")

    assert {verdict.outcome for verdict in (wrong, plain, socks, none)} == {Outcome.PROXY_AUTH}
    assert "refuses the user and password" in socks.evidence
    assert "asks for a login other than none" in none.evidence
    assert (http_proxy.refused_logins, socks_proxy.refused_logins) == (2, 1)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (1, Outcome.PROXY_DOWN),
        (2, Outcome.PROXY_DENIED),
        (3, Outcome.PROXY_DOWN),
        (4, Outcome.PROXY_DOWN),
        (5, Outcome.PROXY_DOWN),
        (6, Outcome.PROXY_DOWN),
        (7, Outcome.PROXY_DENIED),
        (8, Outcome.PROXY_DENIED),
        (77, Outcome.ERROR),
    ],
)
async def test_what_a_socks_proxy_replies(laptop: Laptop, reply: int, outcome: Outcome) -> None:
    async with SocksProxy(reply=reply) as proxy:
        verdict = await laptop.probes(via(proxy.url(Scheme.SOCKS5)), "https://registry.test")

    assert verdict.outcome is outcome


async def test_a_plain_registry_behind_a_proxy_that_does_not_reach_it(laptop: Laptop) -> None:
    async with HttpProxy() as proxy:
        verdict = await laptop.probes(via(proxy.url()), "http://registry.test")

    assert (verdict.outcome, verdict.evidence) == (Outcome.PROXY_DOWN, "502 Bad Gateway, not from a registry")


# What does not answer.


async def test_nobody_listens(laptop: Laptop) -> None:
    port = closed_port()
    verdict = await laptop.probes(via(ProxyUrl(Scheme.HTTP, HOST, port)), "https://registry.test")

    assert verdict.outcome is Outcome.REFUSED
    assert verdict.evidence == f"connecting to {HOST}:{port}: nothing listens there"


async def test_a_name_that_is_not_known(laptop: Laptop) -> None:
    verdict = await laptop.probes(via(ProxyUrl(Scheme.HTTP, "proxy.example", 3128)), "https://registry.test")

    assert verdict.outcome is Outcome.DNS
    assert verdict.evidence == "looking up proxy.example: Name or service not known"


async def test_no_route(laptop: Laptop) -> None:
    async def only_by_appletalk(_host: str, port: int) -> Sequence[Address]:
        return [(socket.AF_APPLETALK, ("registry", port))]  # as on a kernel without IPv6

    verdict = await laptop.probes(DIRECT, "https://registry.test", resolve=only_by_appletalk)

    assert (verdict.outcome, verdict.evidence) == (Outcome.NO_ROUTE, "connecting to registry.test:443: no route")


@pytest.mark.parametrize(
    ("scheme", "hung"),
    [
        (Scheme.HTTP, "asking the proxy"),
        (Scheme.HTTPS, "TLS with the proxy"),
        (Scheme.SOCKS5, "asking the proxy"),
    ],
)
async def test_a_black_hole_is_a_timeout_that_says_where(laptop: Laptop, scheme: Scheme, hung: str) -> None:
    async with black_hole() as hole:
        proxy = ProxyUrl(scheme, hole.host, hole.port)
        verdict = await laptop.probes(via(proxy, ALICE), "https://registry.test", timeout_s=SOON_S)

    assert verdict.outcome is Outcome.TIMEOUT
    assert verdict.evidence.startswith(hung)
    assert verdict.evidence.endswith("timed out after 0.4 s")
    assert verdict.timings.proxy is not None


async def test_a_resolver_that_hangs_is_a_timeout_that_says_so(laptop: Laptop) -> None:
    verdict = await laptop.probes(DIRECT, "https://registry.test", timeout_s=SOON_S, resolve=a_hanging_resolver)

    assert (verdict.outcome, verdict.evidence) == (
        Outcome.TIMEOUT,
        "looking up registry.test: timed out after 0.4 s",
    )


async def test_a_registry_that_accepts_and_says_nothing(laptop: Laptop) -> None:
    async with Says(tls=server_tls("registry.test"), stays=True) as silent:
        verdict = await laptop.probes(DIRECT, https(silent), timeout_s=SOON_S)

    assert verdict.outcome is Outcome.TIMEOUT
    assert verdict.evidence.startswith("waiting for the answer of registry.test")


async def test_a_registry_that_is_not_well(laptop: Laptop) -> None:
    async with secure_registry(503) as registry:
        verdict = await laptop.probes(DIRECT, https(registry))

    assert (verdict.outcome, verdict.evidence) == (Outcome.REGISTRY, "503 Service Unavailable")


# Whom the certificate names.


@pytest.mark.parametrize("kind", ["direct", "http", "https", "socks5"])
async def test_an_interceptor_is_named(laptop: Laptop, kind: str) -> None:
    async with (
        Registry(server_tls("registry.test", ca=INTERCEPTOR)) as registry,
        HttpProxy({end(registry): registry}) as http_proxy,
        HttpProxy({end(registry): registry}, tls=server_tls("proxy.test")) as https_proxy,
        SocksProxy({end(registry): registry}) as socks_proxy,
    ):
        upstream = {
            "direct": DIRECT,
            "http": via(http_proxy.url()),
            "https": via(https_proxy.url(Scheme.HTTPS, "proxy.test")),
            "socks5": via(socks_proxy.url(Scheme.SOCKS5)),
        }[kind]
        verdict = await laptop.probes(upstream, https(registry))

    assert verdict.outcome is Outcome.TLS
    assert "unable to get local issuer certificate" in verdict.evidence
    assert "issued by O=Interception Inc, OU=Box 7" in verdict.evidence
    assert registry.heads == []  # who was not believed was told nothing


async def test_a_certificate_for_another_name(laptop: Laptop) -> None:
    async with Registry(server_tls("other.test")) as registry:
        verdict = await laptop.probes(DIRECT, https(registry))

    assert verdict.outcome is Outcome.TLS
    assert "not valid for 'registry.test'" in verdict.evidence
    assert "issued by O=Corp" in verdict.evidence


async def test_a_proxy_whose_certificate_is_rejected_is_told_no_password(laptop: Laptop) -> None:
    async with HttpProxy(login=ALICE, tls=server_tls("proxy.test", ca=INTERCEPTOR)) as proxy:
        verdict = await laptop.probes(via(proxy.url(Scheme.HTTPS, "proxy.test"), ALICE), "https://registry.test")

    assert verdict.outcome is Outcome.TLS
    assert verdict.evidence.startswith("TLS with the proxy proxy.test:")
    assert "issued by O=Interception Inc" in verdict.evidence
    assert (proxy.heads, proxy.refused_logins) == ([], 0)


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(lambda: Says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), id="speaks-plain-http"),
        pytest.param(lambda: Says(waits=True), id="closes-in-the-middle"),
        pytest.param(lambda: Says(waits=False), id="closes-at-once"),
    ],
)
async def test_a_handshake_that_breaks_off_is_an_error(laptop: Laptop, server: object) -> None:
    assert callable(server)
    async with server() as broken:
        verdict = await laptop.probes(DIRECT, https(broken))

    assert verdict.outcome is Outcome.ERROR
    assert verdict.evidence.startswith("TLS with registry.test: ")


# A portal.


@pytest.mark.parametrize(
    ("portal", "evidence"),
    [
        pytest.param(Portal, "200 OK on port 80; ", id="page"),
        pytest.param(
            lambda: Portal(to="http://login.cafe.test/?mac=1"),
            "302 to http://login.cafe.test/… on port 80; ",
            id="away",
        ),
    ],
)
@pytest.mark.parametrize("port_443", ["refused", "interceptor", "broken", "silent"])
async def test_a_portal_in_the_place_of_an_https_registry(
    laptop: Laptop, portal: object, evidence: str, port_443: str
) -> None:
    assert callable(portal)
    async with (
        portal() as cafe,
        Registry(server_tls("login.cafe.test", ca=INTERCEPTOR)) as interceptor,
        Says() as broken,
        black_hole() as hole,
    ):
        port = {
            "refused": closed_port(),
            "interceptor": interceptor.port,
            "broken": broken.port,
            "silent": hole.port,
        }[port_443]
        verdict = await laptop.probes(
            DIRECT,
            f"https://registry.test:{port}",
            portal_port=cafe.port,
            timeout_s=SOON_S * 2 if port_443 == "silent" else 8.0,
        )

    assert verdict.outcome is Outcome.PORTAL
    assert verdict.evidence.startswith(evidence)


async def test_a_registry_that_redirects_to_itself_is_no_portal(laptop: Laptop) -> None:
    async with Portal(to="https://registry.test/v2/") as port_80:
        verdict = await laptop.probes(DIRECT, f"https://registry.test:{closed_port()}", portal_port=port_80.port)

    assert verdict.outcome is Outcome.REFUSED
    assert len(port_80.heads) == 1


@pytest.mark.parametrize("says", [[b"SSH-2.0-x\r\n"], []])
async def test_what_is_no_http_on_port_80_is_no_portal(laptop: Laptop, says: list[bytes]) -> None:
    async with Says(*says) as port_80:
        verdict = await laptop.probes(DIRECT, f"https://registry.test:{closed_port()}", portal_port=port_80.port)

    assert verdict.outcome is Outcome.REFUSED


async def test_port_80_is_left_alone_when_the_registry_answers(laptop: Laptop) -> None:
    async with secure_registry(503) as registry, Portal() as port_80:
        verdict = await laptop.probes(DIRECT, https(registry), portal_port=port_80.port)

    assert verdict.outcome is Outcome.REGISTRY
    assert port_80.accepted == 0


async def test_behind_a_proxy_nobody_asks_port_80(laptop: Laptop) -> None:
    async with Portal() as port_80, Says() as proxy:
        verdict = await laptop.probes(via(proxy.url()), "https://registry.test", portal_port=port_80.port)

    assert verdict.outcome is Outcome.ERROR
    assert port_80.accepted == 0


@pytest.mark.parametrize(
    ("portal", "evidence"),
    [
        pytest.param(Portal, "200 OK, not from a registry", id="page"),
        pytest.param(lambda: Portal(to="http://login.cafe.test/x"), "302 to http://login.cafe.test/…", id="away"),
    ],
)
async def test_a_portal_in_the_place_of_a_plain_registry(laptop: Laptop, portal: object, evidence: str) -> None:
    assert callable(portal)
    async with portal() as cafe:
        verdict = await laptop.probes(DIRECT, http(cafe))

    assert (verdict.outcome, verdict.evidence) == (Outcome.PORTAL, evidence)


# Several registries.


async def test_one_of_the_default_registries_is_enough(laptop: Laptop) -> None:
    async with secure_registry() as registry, black_hole() as hole:
        verdict = await laptop.probes(DIRECT, f"https://hole.test:{hole.port}", https(registry))

    assert (verdict.outcome, verdict.evidence) == (Outcome.OK, f"registry.test:{registry.port}: 401 Unauthorized")


async def test_all_registries_of_the_policy_must_answer(laptop: Laptop) -> None:
    async with secure_registry() as registry, secure_registry(503) as ill:
        verdict = await laptop.probes(DIRECT, https(registry), https(ill), any_of=False)
        both = await laptop.probes(DIRECT, https(registry), https(registry), any_of=False)

    assert (verdict.outcome, verdict.evidence) == (
        Outcome.REGISTRY,
        f"registry.test:{ill.port}: 503 Service Unavailable",
    )
    assert both.outcome is Outcome.OK


# What must be reached besides.


async def test_the_layers_host_must_be_reached_by_tls_and_is_asked_nothing(laptop: Laptop) -> None:
    async with secure_registry() as registry, Registry(server_tls("blobs.test"), status=500) as blobs:
        layers = end(blobs, "blobs.test")
        async with HttpProxy({end(registry): registry, layers: blobs}, login=ALICE) as proxy:
            verdict = await laptop.probes(via(proxy.url(), ALICE), https(registry), reach=[layers])

    assert verdict.outcome is Outcome.OK
    assert sorted(proxy.asked) == sorted([end(registry), layers])
    assert proxy.refused_logins == 0


async def test_a_proxy_that_denies_the_layers_host_is_not_ok(laptop: Laptop) -> None:
    async with secure_registry() as registry, HttpProxy({end(registry): registry}) as proxy:
        verdict = await laptop.probes(via(proxy.url()), https(registry), reach=["blobs.test:8443"])

    assert verdict.outcome is Outcome.PROXY_DOWN
    assert verdict.evidence.startswith("blobs.test:8443: ")


async def test_somebody_elses_certificate_is_not_the_layers_host(laptop: Laptop) -> None:
    async with secure_registry() as registry, Registry(server_tls("blobs.test", ca=INTERCEPTOR)) as blobs:
        layers = end(blobs, "blobs.test")
        async with HttpProxy({end(registry): registry, layers: blobs}) as proxy:
            verdict = await laptop.probes(via(proxy.url()), https(registry), reach=[layers])

    assert verdict.outcome is Outcome.TLS
    assert verdict.evidence.startswith(f"{layers}: ")


async def test_a_layers_host_that_no_proxy_excludes_is_reached_directly(laptop: Laptop) -> None:
    async with (
        secure_registry() as registry,
        Registry(server_tls("blobs.test")) as blobs,
        HttpProxy({end(registry): registry}) as proxy,
    ):
        layers = [end(blobs, "blobs.test")]
        verdict = await laptop.probes(via(proxy.url()), https(registry), reach=layers, no_proxy=["blobs.test"])

    assert verdict.outcome is Outcome.OK


async def test_where_the_registry_does_not_answer_nobody_else_is_asked(laptop: Laptop) -> None:
    async with secure_registry(503) as registry, HttpProxy({end(registry): registry}) as proxy:
        verdict = await laptop.probes(via(proxy.url()), https(registry), reach=["blobs.test"])

    assert verdict.outcome is Outcome.REGISTRY
    assert proxy.asked == [end(registry)]


def asks_for_a_token(realm: str) -> Registry:
    challenge = {"Www-Authenticate": f'Bearer realm="{realm}",service="registry.test"'}
    return Registry(server_tls("registry.test"), headers=challenge)


async def test_where_the_registry_sends_for_tokens_is_reached_once_for_each_arrival(laptop: Laptop) -> None:
    realms = Realms()
    async with Registry(server_tls("auth.test")) as auth:
        place = end(auth, "auth.test")
        registry = asks_for_a_token(f"https://{place}/token")
        async with registry, HttpProxy({end(registry): registry, place: auth}) as proxy:
            for _ in range(3):
                verdict = await laptop.probes(via(proxy.url()), https(registry), realms=realms)
                assert verdict.outcome is Outcome.OK
            assert proxy.asked.count(place) == 1

            realms.forget()
            await laptop.probes(via(proxy.url()), https(registry), realms=realms)
            assert proxy.asked.count(place) == 2


async def test_a_proxy_that_denies_where_the_registry_sends_for_tokens_is_not_ok_until_it_does(laptop: Laptop) -> None:
    realms = Realms()
    async with asks_for_a_token("https://auth.test/token") as registry, HttpProxy({end(registry): registry}) as proxy:
        for _ in range(2):
            verdict = await laptop.probes(via(proxy.url()), https(registry), realms=realms)
            assert verdict.outcome is Outcome.PROXY_DOWN
            assert verdict.evidence.startswith("auth.test:443: ")


class SlowProxy(HttpProxy):
    """Takes more than half of the time that the test gives a probe, for each connection."""

    async def join(self, end: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        await asyncio.sleep(2.2)
        await super().join(end, reader, writer, first)


@pytest.mark.waits
async def test_behind_a_slow_registry_its_token_server_has_a_time_of_its_own(laptop: Laptop) -> None:
    async with Registry(server_tls("auth.test")) as auth:
        place = end(auth, "auth.test")
        registry = asks_for_a_token(f"https://{place}/token")
        async with registry, SlowProxy({end(registry): registry, place: auth}) as proxy:
            question = Question(
                (RegistryUrl.parse(https(registry)),),
                any_of=True,
                tls=laptop.tls,
                timeout_s=4.0,
                ground=Ground(the_tests_names),
            )
            for _ in range(3):  # the machine may be busy
                found = await beyond(via(proxy.url()), question, (), ())
                told = [(str(host), verdict.is_ok) for host, verdict in found.tokens]
                if told == [(f"https://{place}", True)]:
                    return

    pytest.fail(f"three times {told}")


async def test_how_each_is_reached_is_told_apart(laptop: Laptop) -> None:
    async with (
        asks_for_a_token("https://auth.test:8443/token") as registry,
        Registry(server_tls("blobs.test")) as blobs,
        HttpProxy({end(registry): registry, end(blobs, "blobs.test"): blobs}) as proxy,
    ):
        hosts = [ReachedHost.parse(end(blobs, "blobs.test")), ReachedHost.parse("gone.test")]
        asked, gone = (
            Question(
                (RegistryUrl.parse(url),), any_of=True, tls=laptop.tls, timeout_s=8.0, ground=Ground(the_tests_names)
            )
            for url in (https(registry), "https://gone.test")
        )
        found = await beyond(via(proxy.url()), asked, (), hosts)
        nothing = await beyond(via(proxy.url()), gone, (), hosts)

    assert [(str(host), verdict.is_ok) for host, verdict in found.tokens] == [("https://auth.test:8443", False)]
    assert [(str(host), verdict.is_ok) for host, verdict in found.hosts] == [
        (str(hosts[0]), True),
        ("https://gone.test", False),
    ]
    assert nothing == Beyond()


async def test_a_registry_that_gives_tokens_itself_is_its_token_server_and_asked_no_second_time(laptop: Laptop) -> None:
    async with (
        asks_for_a_token("https://registry.test/token") as registry,
        HttpProxy({end(registry): registry}) as proxy,
    ):
        asked = Question(
            (RegistryUrl.parse(https(registry)),),
            any_of=True,
            tls=laptop.tls,
            timeout_s=8.0,
            ground=Ground(the_tests_names),
        )
        found = await beyond(via(proxy.url()), asked, (), ())

    assert [(str(host), verdict.is_ok) for host, verdict in found.tokens] == [("https://registry.test", True)]
    assert proxy.asked == [end(registry)]


@pytest.mark.parametrize(
    "realm", ["http://auth.test/token", "https://registry.test/token", "", "https://a b/", "https://u:p@auth.test/"]
)
async def test_what_is_no_https_url_of_another_host_is_no_realm(laptop: Laptop, realm: str) -> None:
    async with asks_for_a_token(realm) as registry, HttpProxy({end(registry): registry}) as proxy:
        verdict = await laptop.probes(via(proxy.url()), https(registry), realms=Realms())

    assert verdict.outcome is Outcome.OK
    assert proxy.asked == [end(registry)]


@pytest.mark.parametrize("any_of", [True, False])
async def test_a_wrong_password_is_shown_to_the_proxy_once(laptop: Laptop, any_of: bool) -> None:
    async with HttpProxy(login=ALICE) as proxy:
        verdict = await laptop.probes(
            via(proxy.url(), ("alice", "wrong")),
            "https://registry.test",
            "https://mirror.test",
            "http://third.test",
            any_of=any_of,
        )

    assert verdict.outcome is Outcome.PROXY_AUTH
    assert proxy.refused_logins == 1


async def test_a_registry_beside_the_proxy_counts_though_the_proxy_refuses(laptop: Laptop) -> None:
    async with secure_registry() as mirror, HttpProxy(login=ALICE) as proxy:
        verdict = await laptop.probes(
            via(proxy.url(), ("alice", "wrong")),
            "https://hub.test",
            "https://other.test",
            https(mirror),
            no_proxy=["registry.test"],
        )

    assert verdict.outcome is Outcome.OK
    assert proxy.refused_logins <= 1


@pytest.mark.parametrize(
    ("registries", "outcome"),
    [
        pytest.param(["https://registry.test:{refused}", "https://unknown.example"], Outcome.DNS, id="soft-over-hard"),
        pytest.param(["https://unknown.example", "http://cafe.test:{portal}"], Outcome.PORTAL, id="portal-over-soft"),
    ],
)
async def test_which_failure_stands_for_all(laptop: Laptop, registries: list[str], outcome: Outcome) -> None:
    async with Portal() as portal:
        urls = [url.format(refused=closed_port(), portal=portal.port) for url in registries]
        verdict = await laptop.probes(DIRECT, *urls)

    assert verdict.outcome is outcome


async def test_a_probe_without_registries_is_a_mistake(laptop: Laptop) -> None:
    with pytest.raises(ValueError, match="needs a registry"):
        await laptop.probes(DIRECT)


# Broken off by the caller.


@pytest.mark.parametrize("scheme", [Scheme.HTTP, Scheme.HTTPS, Scheme.SOCKS5])
async def test_a_cancelled_probe_leaves_no_socket(laptop: Laptop, scheme: Scheme) -> None:
    async with Says(stays=True) as silent:
        probing = asyncio.create_task(laptop.probes(via(silent.url(scheme)), "https://registry.test"))
        await silent.until_asked()
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing


async def test_a_probe_cancelled_in_the_second_handshake_of_two_leaves_no_socket(laptop: Laptop) -> None:
    async with (
        Says(stays=True) as silent,
        HttpProxy({end(silent): silent}, tls=server_tls("proxy.test")) as proxy,
    ):
        upstream = via(proxy.url(Scheme.HTTPS, "proxy.test"))
        probing = asyncio.create_task(laptop.probes(upstream, https(silent)))
        await silent.until_asked()
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing


# A probe a minute, for as long as the machine runs.


async def test_however_often_it_probes_it_keeps_nothing(laptop: Laptop) -> None:
    async with secure_registry() as registry, HttpProxy({end(registry): registry}) as proxy:
        works, fails = via(proxy.url()), via(ProxyUrl(Scheme.HTTP, HOST, closed_port()))

        async def objects_after(times: int) -> Counter[str]:
            for _ in range(times):
                assert (await laptop.probes(works, https(registry))).is_ok
                assert not (await laptop.probes(fails, https(registry))).is_ok
            await registry.until_nobody_is_connected()
            await proxy.until_nobody_is_connected()
            gc.collect()
            return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())

        before = await objects_after(10)  # with what is made once
        kept = await objects_after(100) - before

    assert not {name: count for name, count in kept.items() if count >= 50}, "of 100 of each kind"
