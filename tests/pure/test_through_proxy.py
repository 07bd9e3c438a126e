"""A proxy's bytes in, a verdict's outcome out; and what we say, byte for byte."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probe.exchange import HEAD_LIMIT, DialogueFailed, HttpAnswer
from agent.probe.through_proxy import REPLIES, Handshake, auth_wanted, connect, handshake, schemes, socks5
from agent.values.secret import Secret
from agent.values.settings import Credentials, Masked, ProxyUrl, Scheme
from agent.values.verdict import Outcome

ALICE = Credentials("alice", Secret("open sesame"))
PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F))

Ending = bytes | tuple[Outcome, str]


def spoken(dialogue: Handshake, segments: Iterable[bytes]) -> tuple[bytes, Ending]:
    """What was sent, and how it ended, when these bytes come and then no more."""
    sent = next(dialogue)
    incoming = iter(segments)
    while True:
        try:
            sent += dialogue.send(next(incoming, b""))
        except StopIteration as end:
            result: bytes = end.value
            return sent, result
        except DialogueFailed as failure:
            return sent, (failure.outcome, failure.evidence)


# CONNECT.

CONNECT_ANSWERS = [
    pytest.param(b"HTTP/1.1 200 Connection established\r\n\r\n", b"", id="yes"),
    pytest.param(b"HTTP/1.0 200\r\nVia: x\r\n\r\n", b"", id="yes-of-1.0-without-words"),
    pytest.param(b"HTTP/1.1 200 OK\n\n", b"", id="yes-with-bare-newlines"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", id="what-follows-is-the-tunnel's"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", b"", id="provisional-first"),
    pytest.param(
        b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="a, b"\r\nProxy-Authenticate: NTLM\r\n\r\n',
        (Outcome.PROXY_AUTH, "407, asks for Basic, NTLM"),
        id="407",
    ),
    pytest.param(b"HTTP/1.1 407 No\r\n\r\n", (Outcome.PROXY_AUTH, "407, does not say what it asks for"), id="407-bare"),
    pytest.param(b"HTTP/1.1 403 x\r\n\r\n", (Outcome.PROXY_DENIED, "403 Forbidden to CONNECT"), id="403"),
    pytest.param(b"HTTP/1.1 405 x\r\n\r\n", (Outcome.PROXY_DENIED, "405 Method Not Allowed to CONNECT"), id="405"),
    pytest.param(b"HTTP/1.1 503 x\r\n\r\n", (Outcome.PROXY_DOWN, "503 Service Unavailable to CONNECT"), id="503"),
    pytest.param(
        b"HTTP/1.1 503 x\r\nDocker-Proxy-Relay: limits\r\n\r\n",
        (Outcome.PROXY_DOWN, "503 Service Unavailable to CONNECT, by the relay's own limits"),
        id="503-of-the-relay",
    ),
    pytest.param(b"HTTP/1.1 599 x\r\n\r\n", (Outcome.PROXY_DOWN, "599 to CONNECT"), id="599"),
    pytest.param(b"HTTP/1.1 302 x\r\nLocation: /\r\n\r\n", (Outcome.PORTAL, "302 to another page"), id="302"),
    pytest.param(
        b"HTTP/1.1 307 x\r\nLocation: http://portal.test/login\r\n\r\n",
        (Outcome.PORTAL, "307 to http://portal.test/…"),
        id="307-to-a-portal",
    ),
    pytest.param(
        b"HTTP/1.1 511 x\r\n\r\n", (Outcome.PORTAL, "511 Network Authentication Required to CONNECT"), id="511"
    ),
    pytest.param(b"HTTP/1.1 204 x\r\n\r\n", (Outcome.ERROR, "204 No Content to CONNECT, not 200"), id="204-is-no-yes"),
    pytest.param(b"", (Outcome.ERROR, "closed without an answer"), id="closed-at-once"),
    pytest.param(b"HTTP/1.1 200 OK\r\nVia", (Outcome.ERROR, "closed in the middle of its answer"), id="cut-off"),
    pytest.param(b"HT", (Outcome.ERROR, "closed in the middle of its answer"), id="cut-off-in-the-first-word"),
    pytest.param(b"SSH-2.0-OpenSSH_9\r\n", (Outcome.ERROR, 'not HTTP: "SSH-2.0-OpenSSH_9\\x0d\\x0a"'), id="ssh"),
    pytest.param(b"\x15\x03\x01\x00\x02\x02F", (Outcome.ERROR, "not HTTP: "), id="tls"),
    pytest.param(b"HTTP/1.1 two hundred\r\n\r\n", (Outcome.ERROR, "answered with broken HTTP"), id="no-status"),
    pytest.param(b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", (Outcome.ERROR, "answered with broken HTTP"), id="no-header"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_LIMIT,
        (Outcome.ERROR, "answered with a head of more than 64 KB"),
        id="endless-head",
    ),
]
FINAL = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(("answer", "ending"), CONNECT_ANSWERS)
def test_what_a_proxy_answers_to_connect(answer: bytes, ending: Ending) -> None:
    _, ended = spoken(connect("registry.test", 443), [answer] if answer else [])

    if isinstance(ending, bytes):
        assert ended == ending
    else:
        assert (ended[0], str(ended[1])[: len(ending[1])]) == ending


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        pytest.param(b"HTTP/1.1 100 C\r\n\r\n" * 16 + FINAL, b"", id="as-many-provisional-ones-as-may-be"),
        pytest.param(
            b"HTTP/1.1 100 C\r\n\r\n" * 17 + FINAL,
            (Outcome.ERROR, "answered with more than 16 provisional answers"),
            id="one-more",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 254 + b"\r\n", b"", id="as-many-lines-as-may-be"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 255 + b"\r\n",
            (Outcome.ERROR, "answered with a head of more than 256 lines"),
            id="one-line-more",
        ),
    ],
)
def test_a_proxys_answer_is_not_read_for_long(answer: bytes, ending: Ending) -> None:
    assert spoken(connect("registry.test", 443), [answer])[1] == ending


def test_a_401_is_tinyproxys_answer_to_a_wrong_password() -> None:
    answer = (
        b'HTTP/1.0 401 Unauthorized\r\nServer: tinyproxy/1.11.1\r\nWWW-Authenticate: Basic realm="Tinyproxy"\r\n\r\n'
    )

    with_one = connect("registry.test", 443, Credentials("alice", Secret("wrong")))
    assert spoken(with_one, [answer])[1] == (
        Outcome.PROXY_AUTH,
        "401 Unauthorized to CONNECT: refuses the user and password",
    )
    assert spoken(connect("registry.test", 443), [answer])[1] == (
        Outcome.PROXY_DENIED,
        "401 Unauthorized to CONNECT",
    )


SHORT_ANSWERS = [case.values[0] for case in CONNECT_ANSWERS[:-1]]


@given(data=st.data())
def test_an_answer_may_come_in_any_pieces(data: st.DataObject) -> None:
    answer = data.draw(st.sampled_from(SHORT_ANSWERS))
    assert isinstance(answer, bytes)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(answer) - 1)))))
    pieces = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]

    whole = spoken(connect("registry.test", 443), [answer] if answer else [])[1]
    ended = spoken(connect("registry.test", 443), [piece for piece in pieces if piece])[1]

    if isinstance(whole, bytes):
        assert isinstance(ended, bytes)
        assert whole.startswith(ended)  # the rest is still to be read
    else:
        assert ended[0] is whole[0]


def test_blanks_that_end_wrongly_do_not_hold_the_agent() -> None:
    began = time.process_time()
    _, ended = spoken(connect("registry.test", 443), [b"HTTP/1.1 200 OK\r\nX:" + b" " * 60000 + b"\x0b\r\n\r\n"])

    assert ended == (Outcome.ERROR, "answered with broken HTTP")
    assert time.process_time() - began < 5  # seconds of this process alone; h11's patterns would need more than 20


@given(st.binary(max_size=200))
def test_no_bytes_make_connect_fail_otherwise_than_by_a_verdict(answer: bytes) -> None:
    _, ended = spoken(connect("registry.test", 443), [answer] if answer else [])

    assert isinstance(ended, bytes) or isinstance(ended[0], Outcome)


def test_connect_names_the_registry_and_the_agent() -> None:
    sent, _ = spoken(connect("registry.test", 443), [])

    assert sent == (
        b"CONNECT registry.test:443 HTTP/1.1\r\nHost: registry.test:443\r\nUser-Agent: docker-proxy-agent\r\n\r\n"
    )


def test_connect_brackets_an_ipv6_address() -> None:
    assert spoken(connect("2001:db8::1", 443), [])[0].startswith(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n")


@pytest.mark.parametrize("password", [PRINTABLE, "pässwörd", "密码🔑", "", ":", "a:b"])
def test_basic_carries_every_password(password: str) -> None:
    sent, _ = spoken(connect("registry.test", 443, Credentials("älice", Secret(password))), [])

    basic = sent.partition(b"Proxy-Authorization: Basic ")[2].partition(b"\r\n")[0]
    assert base64.b64decode(basic).decode() == f"älice:{password}"


def test_a_user_without_a_password_is_sent_as_go_sends_it() -> None:
    sent, _ = spoken(connect("registry.test", 443, Credentials("token")), [])

    assert base64.b64encode(b"token:") in sent


@pytest.mark.parametrize(
    "echo",
    [
        pytest.param(lambda sent: sent, id="as-it-is"),
        pytest.param(lambda sent: b"HTTP/1.1 403 " + sent.replace(b"\r\n", b" ") + b"\r\n\r\n", id="as-the-reason"),
        pytest.param(lambda sent: b"HTTP/1.1 200 OK\r\n" + sent, id="as-broken-headers"),
        pytest.param(
            lambda sent: (
                b"HTTP/1.1 407 No\r\nProxy-Authenticate: " + sent.split(b"Authorization: ")[1][:-4] + b"\r\n\r\n"
            ),
            id="as-a-challenge",
        ),
    ],
)
def test_a_proxy_that_echoes_does_not_make_us_show_the_password(echo: object) -> None:
    assert callable(echo)
    sent, _ = spoken(connect("r.test", 443, ALICE), [])
    _, ended = spoken(connect("r.test", 443, ALICE), [echo(sent)])

    basic = base64.b64encode(b"alice:open sesame").decode()
    assert isinstance(ended, tuple)
    assert basic not in ended[1]
    assert "sesame" not in ended[1]


@pytest.mark.parametrize(
    ("challenges", "named"),
    [
        pytest.param(['Basic realm="x"'], ("Basic",), id="one"),
        pytest.param(["Negotiate", "NTLM", 'Basic realm="x"'], ("Negotiate", "NTLM", "Basic"), id="a-header-each"),
        pytest.param(['Digest realm="a, b", nonce="n", Basic realm="Old, Wise"'], ("Digest", "Basic"), id="a-list"),
        pytest.param(["NTLM TlRMTVNTUAACAAAA=="], ("NTLM",), id="token68"),
        pytest.param(['Digest nonce = "x"'], ("Digest",), id="spaces-round-the-equals-sign"),
        pytest.param(["Basic", "basic", "Basic"], ("Basic", "basic"), id="once-each"),
        pytest.param(['Basic realm="never closed, NTLM'], ("Basic",), id="open-quote"),
        pytest.param(["", " ", ",,"], (), id="nothing"),
        pytest.param(["X" * 5000], (), id="no-scheme-has-such-a-name"),
        pytest.param(["\x1b[31mBasic"], (), id="control-characters"),
        pytest.param(["YWxpY2U6UzNjcmV0, Basic, x"], ("an unknown scheme", "Basic"), id="our-password-as-a-scheme"),
        pytest.param(["x" * 4096, "Basic"], (), id="only-the-first-4-KB"),
        pytest.param([", " * 2045 + "Basic, NTLM"], ("Basic",), id="nor-more-of-one-header"),
    ],
)
def test_the_schemes_that_a_proxy_offers(challenges: list[str], named: tuple[str, ...]) -> None:
    assert schemes(challenges) == named


# SOCKS5.

BOUND = b"\x01\x7f\x00\x00\x01\x04\x38"


def replied(reply: int) -> bytes:
    return bytes([5, reply, 0]) + BOUND


@pytest.mark.parametrize(
    ("segments", "ending"),
    [
        pytest.param([b"\x05\x00", replied(0)], b"", id="yes"),
        pytest.param([b"\x05\x00", replied(0) + b"hello"], b"hello", id="what-follows-is-the-tunnel's"),
        pytest.param([b"\x05\x00", b"\x05\x00\x00\x04" + bytes(18)], b"", id="bound-to-ipv6"),
        pytest.param([b"\x05\x00", b"\x05\x00\x00\x03\x04name\x00\x50"], b"", id="bound-to-a-name"),
        pytest.param(
            [b"\x05\xff"], (Outcome.PROXY_AUTH, "SOCKS: asks for a login other than none"), id="wants-a-login"
        ),
        pytest.param([b"\x05\x02"], (Outcome.ERROR, "SOCKS: chose method 2, which was not offered"), id="not-offered"),
        pytest.param([], (Outcome.ERROR, "SOCKS: closed without an answer"), id="closed-at-once"),
        pytest.param([b"\x05"], (Outcome.ERROR, "SOCKS: closed in the middle of its answer"), id="cut-off"),
        pytest.param([b"\x05\x00"], (Outcome.ERROR, "SOCKS: closed without an answer"), id="closed-when-asked"),
        pytest.param([b"\x05\x00", b"\x05\x00\x00\x01\x7f"], (Outcome.ERROR, "SOCKS: closed in the middle"), id="half"),
        pytest.param([b"HTTP/1.1 400 Bad"], (Outcome.ERROR, 'not SOCKS5: "HTTP/1.1 400 Bad"'), id="http"),
        pytest.param([b"\x00\x5b"], (Outcome.ERROR, "not SOCKS5: "), id="socks4"),
        pytest.param([b"\x05\x00\x05\x00"], (Outcome.ERROR, "SOCKS: answers before it is asked"), id="too-early"),
        pytest.param([b"\x05\x00", replied(9)], (Outcome.ERROR, "SOCKS: invalid answer (9)"), id="unknown-reply"),
        *[
            pytest.param([b"\x05\x00", replied(reply)], (outcome, f"SOCKS: {words}"), id=words.replace(" ", "-"))
            for reply, (outcome, words) in REPLIES.items()
        ],
    ],
)
def test_what_a_socks_proxy_answers(segments: list[bytes], ending: Ending) -> None:
    _, ended = spoken(socks5("registry.test", 443), segments)

    if isinstance(ending, bytes):
        assert ended == ending
    else:
        assert (ended[0], str(ended[1])[: len(ending[1])]) == ending


def test_every_reply_of_the_rfc_has_its_verdict() -> None:
    assert set(REPLIES) == set(range(1, 9))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        pytest.param("registry.test", b"\x03\x0dregistry.test", id="name-goes-to-the-proxy"),
        pytest.param("10.1.2.3", b"\x01\x0a\x01\x02\x03", id="ipv4"),
        pytest.param("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01", id="ipv6"),
    ],
)
def test_where_a_socks_proxy_is_asked_to_go(host: str, address: bytes) -> None:
    sent, ended = spoken(socks5(host, 5000), [b"\x05\x00", replied(0)])

    assert (sent, ended) == (b"\x05\x01\x00" + b"\x05\x01\x00" + address + b"\x13\x88", b"")


@pytest.mark.parametrize("password", [PRINTABLE, "pässwörd", "密码🔑", "", "x" * 255])
def test_socks_carries_every_password(password: str) -> None:
    login = Credentials("älice", Secret(password))

    sent, ended = spoken(socks5("r.test", 443, login), [b"\x05\x02", b"\x01\x00", replied(0)])

    assert ended == b""
    user, secret = "älice".encode(), password.encode()
    expected = b"\x01" + bytes([len(user)]) + user + bytes([len(secret)]) + secret
    assert sent == b"\x05\x02\x00\x02" + expected + b"\x05\x01\x00\x03\x06r.test\x01\xbb"


def test_a_refused_password_is_told_and_not_shown() -> None:
    _, ended = spoken(socks5("r.test", 443, ALICE), [b"\x05\x02", b"\x01\x01"])

    assert ended == (Outcome.PROXY_AUTH, "SOCKS: refuses the user and password")


def test_a_proxy_that_wants_no_password_is_not_told_it() -> None:
    sent, ended = spoken(socks5("r.test", 443, ALICE), [b"\x05\x00", replied(0)])

    assert ended == b""
    assert b"sesame" not in sent


@pytest.mark.parametrize("login", [Credentials("a", Secret("x" * 256)), Credentials("ä" * 128, Secret("x"))])
def test_what_does_not_fit_into_socks_is_not_sent(login: Credentials) -> None:
    with pytest.raises(DialogueFailed) as caught:
        next(socks5("r.test", 443, login))

    assert caught.value.outcome is Outcome.PROXY_AUTH


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=6))
def test_no_bytes_make_socks_fail_otherwise_than_by_a_verdict(segments: list[bytes]) -> None:
    _, ended = spoken(socks5("registry.test", 443, ALICE), segments)

    assert isinstance(ended, bytes) or isinstance(ended[0], Outcome)


@given(st.lists(st.booleans(), min_size=20, max_size=20))
def test_socks_may_come_in_any_pieces(cut_after: list[bool]) -> None:
    segments: list[bytes] = []
    for message in (b"\x05\x02", b"\x01\x00", replied(0)):
        piece = b""
        for position, byte in enumerate(message):
            piece += bytes([byte])
            if cut_after[position]:
                segments.append(piece)
                piece = b""
        segments += [piece] if piece else []

    assert spoken(socks5("registry.test", 443, ALICE), segments)[1] == b""


# Which is spoken.


@pytest.mark.parametrize(
    ("scheme", "first"),
    [
        (Scheme.HTTP, b"CONNECT r.test:443"),
        (Scheme.HTTPS, b"CONNECT r.test:443"),
        (Scheme.SOCKS5, b"\x05\x01\x00"),
        (Scheme.SOCKS5H, b"\x05\x01\x00"),
    ],
)
def test_a_proxy_is_spoken_to_by_its_scheme(scheme: Scheme, first: bytes) -> None:
    sent, _ = spoken(handshake(ProxyUrl(scheme, "proxy.test", 1), "r.test", 443), [])

    assert sent.startswith(first)


def test_dockerds_masked_credentials_are_never_sent() -> None:
    with pytest.raises(TypeError):
        handshake(ProxyUrl(Scheme.HTTP, "proxy.test", 1, Masked.MASKED), "r.test", 443)


HINT = ", which Docker does not support: run px, cntlm or alpaca on 127.0.0.1, and name that as the upstream"


@pytest.mark.parametrize(
    ("challenges", "said"),
    [
        pytest.param(["NTLM"], f"407, asks for NTLM{HINT}", id="ntlm"),
        pytest.param(["Negotiate", "NTLM"], f"407, asks for Negotiate, NTLM{HINT}", id="both"),
        pytest.param(
            ['negotiate, Digest realm="x"'], f"407, asks for negotiate, Digest{HINT}", id="digest-helps-nobody"
        ),
        pytest.param(["Negotiate", 'Basic realm="x"'], "407, asks for Negotiate, Basic", id="basic-too"),
        pytest.param(['BASIC realm="x"', "NTLM"], "407, asks for BASIC, NTLM", id="whatever-its-case"),
        pytest.param(['Digest realm="x"'], "407, asks for Digest", id="of-no-domain"),
    ],
)
def test_a_proxy_that_asks_for_a_login_of_the_domain_alone_needs_another_one_before_it(
    challenges: list[str], said: str
) -> None:
    headers = tuple((b"proxy-authenticate", challenge.encode()) for challenge in challenges)

    assert auth_wanted(HttpAnswer(407, headers)) == said
