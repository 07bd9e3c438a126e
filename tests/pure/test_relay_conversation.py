"""What a client sends, byte for byte, and what becomes of it."""

from __future__ import annotations

import time

import pytest

from agent.probe.exchange import MOST_LINES
from agent.relay.conversation import (
    HEAD_LIMIT,
    AnswerHead,
    Connect,
    Conversation,
    Event,
    Gone,
    Phase,
    Piece,
    Request,
    RequestEnd,
)
from agent.relay.refusals import Refusal, forbidden, malformed, no_way, not_ready, too_late, too_long, too_many


def heard(*segments: bytes) -> tuple[Conversation, list[Event]]:
    """What is understood of these bytes, until something has to be answered."""
    conversation = Conversation()
    found: list[Event] = []
    for segment in segments:
        conversation.receive(segment)
        while event := conversation.next_event():
            found.append(event)
    return conversation, found


def refused(*segments: bytes) -> tuple[int, str]:
    """The one event is a refusal, and nothing is understood after it."""
    conversation, [event] = heard(*segments)
    assert isinstance(event, Refusal)
    assert conversation.phase is Phase.OVER
    return event.status, event.reason


# Tunnels.


@pytest.mark.parametrize(
    ("line", "end"),
    [
        pytest.param(b"registry-1.docker.io:443 HTTP/1.1", Connect("registry-1.docker.io", 443), id="name"),
        pytest.param(b"Registry-1.Docker.IO:443 HTTP/1.1", Connect("registry-1.docker.io", 443), id="capitals"),
        pytest.param(b"my_service:8080 HTTP/1.1", Connect("my_service", 8080), id="as-Compose-names-it"),
        pytest.param(b"example.test.:443 HTTP/1.1", Connect("example.test.", 443), id="a-dot-at-the-end-has-a-meaning"),
        pytest.param(b"192.0.2.7:443 HTTP/1.1", Connect("192.0.2.7", 443), id="ipv4"),
        pytest.param(b"[2001:DB8::1]:443 HTTP/1.1", Connect("2001:db8::1", 443), id="ipv6"),
        pytest.param(b"[::ffff:127.0.0.1]:443 HTTP/1.1", Connect("127.0.0.1", 443), id="ipv4-in-ipv6"),
        pytest.param(b"a:65535 HTTP/1.0", Connect("a", 65535), id="http-1.0"),
    ],
)
def test_connect(line: bytes, end: Connect) -> None:
    conversation, events = heard(
        b"CONNECT " + line + b"\r\nHost: elsewhere\r\nProxy-Connection: keep-alive\r\n\r\nhello"
    )

    assert events == [end]
    assert conversation.phase is Phase.TUNNEL
    assert conversation.established() == b"HTTP/1.1 200 Connection established\r\n\r\n"
    assert conversation.rest == b"hello"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", id="a-body-of-nothing"),
        pytest.param(b"\r\n\r\nCONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", id="empty-lines-first"),
        pytest.param(b"CONNECT a:1 HTTP/1.0\r\n\r\n", id="1.0-without-Host"),
    ],
)
def test_what_clients_do_and_nobody_can_mistake(sent: bytes) -> None:
    assert heard(sent)[1] == [Connect("a", 1)]
    assert heard(*(sent[at : at + 1] for at in range(len(sent))))[1] == [Connect("a", 1)]


def test_what_comes_into_a_tunnel_before_it_is_open_is_kept() -> None:
    conversation, _ = heard(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET http://", b"\r\n\r\n")

    assert conversation.next_event() is None
    assert conversation.rest == b"GET http://\r\n\r\n"
    assert conversation.held == len(conversation.rest)


def test_a_refusal_is_said_in_the_status_line_and_in_the_body() -> None:
    conversation, _ = heard(b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n")

    said = conversation.refuse(forbidden("127.0.0.1 is this host itself"))

    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 127.0.0.1 is this host itself\r\n")
    assert b"\r\nConnection: close" in head
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head
    assert body.startswith(b"docker-proxy-agent: 127.0.0.1 is this host itself\n")
    assert conversation.phase is Phase.OVER


@pytest.mark.parametrize(
    ("refusal", "status", "remedy"),
    [
        (no_way("corp", "nothing listens there"), 502, "See: sudo docker-proxy-agent status\n"),
        (not_ready("no upstream is chosen here"), 503, "See: sudo docker-proxy-agent status\n"),
        (too_many("all 1024 connections are in use"), 503, "Try again in a while, or raise max_connections"),
        (too_late("corp", "timed out after 10 s"), 504, "See: sudo docker-proxy-agent status\n"),
        (forbidden("10.0.0.7 is this host"), 403, "see docs/relay.md"),
        (malformed("not HTTP"), 400, "use it as http_proxy"),
    ],
)
def test_a_refusal_says_what_to_do(refusal: Refusal, status: int, remedy: str) -> None:
    assert refusal.status == status
    assert remedy in refusal.body.decode()


def test_only_a_limit_says_so_to_who_knows_the_relay() -> None:
    of_limits = Conversation().refuse(too_many("all 1024 connections are in use"))

    assert b"\r\ndocker-proxy-relay: limits\r\n" in of_limits.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert b"docker-proxy-relay" not in Conversation().refuse(not_ready("the relay is being stopped"))


def test_nothing_in_a_reason_ends_the_status_line() -> None:
    said = Conversation().refuse(Refusal(502, "x\r\nSet-Cookie: a=b\r\n\r\nä" + "y" * 500))

    assert b"\r\nSet-Cookie" not in said
    assert len(said) < 1000
    assert len(said.partition(b"\r\n")[0]) == len("HTTP/1.1 502 ") + 200
    said.partition(b"\r\n\r\n")[0].decode("ascii")


# Requests for a whole URL.

HOST = b"Host: a.test\r\n"


@pytest.mark.parametrize(
    ("target", "path", "port"),
    [
        pytest.param(b"http://a.test/x?y=http://b/", b"/x?y=http://b/", 80, id="query"),
        pytest.param(b"HTTP://A.test", b"/", 80, id="no-path"),
        pytest.param(b"http://a.test?q", b"/?q", 80, id="query-without-path"),
        pytest.param(b"http://a.test:80/", b"/", 80, id="the-usual-port"),
    ],
)
def test_a_whole_url(target: bytes, path: bytes, port: int) -> None:
    conversation, events = heard(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"X-Y: z\r\n\r\n")

    asked = Request(b"GET", host="a.test", port=port, path=path, headers=((b"X-Y", b"z"),))
    assert events == [asked, RequestEnd()]
    assert conversation.phase is Phase.ANSWER


def test_options_of_the_whole_server() -> None:
    _, events = heard(b"OPTIONS http://a.test HTTP/1.1\r\n" + HOST + b"\r\n")

    assert events[0] == Request(b"OPTIONS", host="a.test", port=80, path=b"*", headers=())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param((b"Content-Length: 5\r\n\r\nhe", b"llo"), id="sized"),
        pytest.param((b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nl", b"lo\r\n0\r\n\r\n"), id="chunked"),
        pytest.param(
            (b"Transfer-Encoding: chunked\r\n\r\n2;a=" + b"b" * 200, b"\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            id="half-a-long-extension",
        ),
        pytest.param((b"Transfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n", b"\r\n"), id="trailers"),
    ],
)
def test_a_body_and_what_comes_after_it(body: tuple[bytes, bytes]) -> None:
    head = b"POST http://a.test/ HTTP/1.1\r\n" + HOST
    after = b"GET http://b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n"
    conversation, events = heard(head + body[0], body[1] + after)

    pieces = [event.data for event in events if isinstance(event, Piece)]
    assert b"".join(pieces) == b"hello"
    assert events[-1] == RequestEnd()
    assert conversation.held == len(after)


def test_a_blank_line_after_each_body_is_no_flood_of_them() -> None:
    conversation = Conversation()
    for _ in range(50):
        conversation.receive(b"POST http://a.test/ HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nhi\r\n")
        events = [conversation.next_event() for _ in range(3)]
        assert [type(event) for event in events] == [Request, Piece, RequestEnd]
        conversation.begin_answer(AnswerHead(204, b"", ()))
        conversation.end_answer()


# What is refused.

ODD_CONNECTS = [
    pytest.param(b"a", "no port in a", id="no-port"),
    pytest.param(b"a:", "no such port in a:", id="empty-port"),
    pytest.param(b"a:0", "no such port in a:0", id="port-0"),
    pytest.param(b"a:65536", "no such port in a:65536", id="port-too-high"),
    pytest.param(b"a:0443", "no such port in a:0443", id="a-leading-zero"),
    pytest.param(b"a:+443", "no such port in a:+443", id="a-sign"),
    pytest.param(b"a:443/", "no such port in a:443/", id="a-path"),
    pytest.param(b"a:443:443", "no such port in a:443:443", id="two-ports"),
    pytest.param(b":443", "no host in :443", id="no-host"),
    pytest.param(b"u:secret@a:443", "a user in the host in \u2022\u2022\u2022@a:443", id="userinfo"),
    pytest.param(b"2130706433:80", "a number that is not an IPv4 address in 2130706433:80", id="one-number"),
    pytest.param(b"0x7f.1:80", "a number that is not an IPv4 address in 0x7f.1:80", id="hexadecimal"),
    pytest.param(b"127.1:80", "a number that is not an IPv4 address in 127.1:80", id="two-numbers"),
    pytest.param(b"127.0.0.1.:80", "a number that is not an IPv4 address in 127.0.0.1.:80", id="with-a-dot"),
    pytest.param(b"0177.0.0.1:80", "a number that is not an IPv4 address in 0177.0.0.1:80", id="octal"),
    pytest.param(b"a.0x:80", "a number that is not an IPv4 address in a.0x:80", id="ends-in-a-number"),
    pytest.param(b"[::1%lo]:80", "an IPv6 address with a zone in [::1%lo]:80", id="zone"),
    pytest.param(b"[::1:80", "a broken IPv6 address in [::1:80", id="no-bracket"),
    pytest.param(b"[::1]80", "a broken IPv6 address in [::1]80", id="no-colon"),
    pytest.param(b"[a]:80", "a broken IPv6 address in [a]:80", id="no-ipv6"),
    pytest.param(b"::1:80", "no host in ::1:80", id="ipv6-without-brackets"),
    pytest.param(b"a%00b:80", "a host that is not a name in a%00b:80", id="percent"),
    pytest.param(b"a..b:80", "a host that is not a name in a..b:80", id="two-dots"),
    pytest.param(b"a" * 64 + b":80", "a host that is not a name", id="long-label"),
    pytest.param(b"a." * 128 + b":80", "a host that is not a name", id="long-name"),
]


@pytest.mark.parametrize(("target", "reason"), ODD_CONNECTS)
def test_odd_ends_of_a_tunnel(target: bytes, reason: str) -> None:
    status, said = refused(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    assert status == 400
    assert said.startswith(reason)


REFUSED = [
    pytest.param(b"\x16\x03\x01\x02\x00\x01", 400, "not HTTP", id="tls"),
    pytest.param(b"\x05\x01\x00", 400, "not HTTP", id="socks"),
    pytest.param(b" GET http://a/ HTTP/1.1\r\n\r\n", 400, "not HTTP", id="a-blank-first"),
    pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", 400, "broken HTTP", id="ssh"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "this is a proxy", id="not-to-a-proxy"),
    pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "this is a proxy", id="options-of-ourselves"),
    pytest.param(b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "this is a proxy", id="authority-for-GET"),
    pytest.param(
        b"connect a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "CONNECT in another spelling", id="methods-have-their-case"
    ),
    pytest.param(b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "https needs CONNECT", id="https"),
    pytest.param(b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "ftp needs CONNECT", id="ftp"),
    pytest.param(b"GET http://a/#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a URL with a fragment", id="fragment"),
    pytest.param(b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "no host", id="no-host"),
    pytest.param(b"GET http://a:99999/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "no such port", id="odd-port"),
    pytest.param(b"GET http://a\\@b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a user in the host", id="backslash"),
    pytest.param(b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400, "Host differs from the host", id="another-host"),
    pytest.param(b"GET http://a/ HTTP/1.1\r\nHost: a:81\r\n\r\n", 400, "Host differs from the host", id="another-port"),
    pytest.param(b"GET http://a/ HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "a user in the host", id="user-in-Host"),
    pytest.param(b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "broken HTTP", id="two-hosts"),
    pytest.param(b"GET http://a/ HTTP/1.1\r\n\r\n", 400, "broken HTTP", id="no-Host"),
    pytest.param(b"GET http://a/ HTTP/2.0\r\nHost: a\r\n\r\n", 505, "only HTTP/1.0", id="version-2"),
    pytest.param(b"GET http://a/ HTTP/0.9\r\nHost: a\r\n\r\n", 505, "only HTTP/1.0", id="version-0.9"),
    pytest.param(b"GET http://a/\r\n\r\n", 400, "broken HTTP", id="no-version"),
    pytest.param(b"TRACE http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 405, "TRACE is not forwarded", id="trace"),
    pytest.param(b"TRACK http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 405, "TRACK is not forwarded", id="trace-of-IIS"),
    pytest.param(
        b"tRaCe http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 405, "TRACE is not forwarded", id="trace-as-Squid-reads-it"
    ),
    pytest.param(b"head http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "HEAD in another spelling", id="head"),
    pytest.param(b"Connect http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "CONNECT in another spelling", id="connect"),
    pytest.param(
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400, "CONNECT with a body", id="body"
    ),
]


@pytest.mark.parametrize(("sent", "status", "reason"), REFUSED)
def test_what_is_no_request_to_a_proxy(sent: bytes, status: int, reason: str) -> None:
    said = refused(sent)

    assert said[0] == status
    assert said[1].startswith(reason)


POST = b"POST http://a.test/ HTTP/1.1\r\n" + HOST

SMUGGLED = [
    pytest.param(b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "more than one Content-Length", id="two-lengths"),
    pytest.param(b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "more than one Content-Length", id="twice"),
    pytest.param(b"Content-Length: 5, 5\r\n\r\n", "more than one Content-Length", id="a-list"),
    pytest.param(b"Content-Length: +5\r\n\r\n", "broken HTTP", id="a-sign"),
    pytest.param(b"Content-Length: 0x5\r\n\r\n", "broken HTTP", id="hexadecimal"),
    pytest.param(b"Content-Length: 5 5\r\n\r\n", "broken HTTP", id="a-blank-in-it"),
    pytest.param(b"Content-Length: \r\n\r\n", "broken HTTP", id="empty-length"),
    pytest.param(b"Content-Length : 5\r\n\r\n", "broken HTTP", id="a-blank-before-the-colon"),
    pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "both Content-Length", id="TE-and-CL"),
    pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "both Content-Length", id="CL-and-TE"),
    pytest.param(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "more than one Transfer", id="TE-twice"
    ),
    pytest.param(b"X: y\r\n z\r\n\r\n", "a folded header", id="fold"),
    pytest.param(b"Transfer-Encoding:\r\n chunked\r\n\r\n", "a folded header", id="folded-TE"),
    pytest.param(b"X: y\rTransfer-Encoding: chunked\r\n\r\n", "a carriage return without", id="bare-CR"),
    pytest.param(b"X: y\nTransfer-Encoding: chunked\r\n\r\n", "a line feed without", id="bare-LF"),
    pytest.param(b"X: y\r\n\n", "a line feed without", id="ends-with-a-bare-LF"),
    pytest.param(b"X: y\0\r\n\r\n", "a control character", id="NUL"),
    pytest.param(b"X: \x07y\r\n\r\n", "a control character", id="bell"),
    pytest.param(b"X: \x1by\r\n\r\n", "a control character", id="escape"),
    pytest.param(b"X: \x7fy\r\n\r\n", "a control character", id="delete"),
    pytest.param(b"X: \x0by\r\n\r\n", "a control character", id="vertical-tab"),
    pytest.param(b"\x0bX: y\r\n\r\n", "a control character", id="control-in-a-name"),
    pytest.param(b"X\xa0: y\r\n\r\n", "broken HTTP", id="no-break-space-in-a-name"),
    pytest.param(b": y\r\n\r\n", "broken HTTP", id="no-name"),
    pytest.param(b"Xy\r\n\r\n", "broken HTTP", id="no-colon"),
]


@pytest.mark.parametrize(("headers", "reason"), SMUGGLED)
def test_what_two_readers_understand_differently(headers: bytes, reason: str) -> None:
    status, said = refused(POST + headers)

    assert status == 400
    assert said.startswith(reason)


@pytest.mark.parametrize("value", [b"xchunked", b"identity", b"gzip, chunked", b"chunked, chunked", b'"chunked"'])
def test_other_codings_are_not_known(value: bytes) -> None:
    assert refused(POST + b"Transfer-Encoding: " + value + b"\r\n\r\n")[0] == 501


def test_a_coding_in_http_1_0_is_doubtful() -> None:
    sent = b"POST http://a.test/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"

    assert refused(sent) == (400, "Transfer-Encoding in HTTP/1.0")


def test_a_bare_line_feed_is_seen_at_once_and_not_after_the_limit_of_a_head() -> None:
    assert refused(b"GET http://a/ HTTP/1.1\n") == (
        400,
        "a line feed without a carriage return in the head of the request",
    )


@pytest.mark.parametrize("step", [1, 2, 3, 7])
@pytest.mark.parametrize(("headers", "reason"), SMUGGLED)
def test_doubt_does_not_depend_on_the_segments(headers: bytes, reason: str, step: int) -> None:
    sent = POST + headers

    assert refused(*(sent[at : at + step] for at in range(0, len(sent), step)))[1].startswith(reason)


def test_a_head_of_64_kb_and_no_more() -> None:
    start = b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nX: "
    room = HEAD_LIMIT - len(start) - 4

    assert heard(start + b"x" * room + b"\r\n\r\n")[1] == [Connect("a", 1)]
    assert refused(start + b"x" * (room + 1) + b"\r\n\r\n")[0] == 431
    assert refused(start + b"x" * HEAD_LIMIT)[0] == 431


def test_a_head_of_many_lines_is_not_read() -> None:
    head = b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n"

    assert heard(head + b"X: y\r\n" * (MOST_LINES - 3) + b"\r\n")[1] == [Connect("a", 1)]
    assert refused(head + b"X: y\r\n" * (MOST_LINES - 2) + b"\r\n")[0] == 431


# Closing.


@pytest.mark.parametrize(
    ("segments", "last"),
    [
        pytest.param((b"",), Gone(is_cut_off=False), id="nothing-came"),
        pytest.param((b"\r\n", b""), Gone(is_cut_off=False), id="an-empty-line"),
        pytest.param((b"CONNECT a:1 HTTP/1.1\r\nHo", b""), Gone(is_cut_off=True), id="in-a-head"),
        pytest.param((POST + b"Content-Length: 5\r\n\r\nhe", b""), Gone(is_cut_off=True), id="in-a-body"),
        pytest.param(
            (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b""), Gone(is_cut_off=True), id="in-chunks"
        ),
        pytest.param((POST + b"Content-Length: 2\r\n\r\nhe", b""), RequestEnd(), id="after-a-request-it-is-answered"),
    ],
)
def test_the_client_closes(segments: tuple[bytes, ...], last: Event) -> None:
    conversation, events = heard(*segments)

    assert events[-1] == last
    assert conversation.phase is (Phase.ANSWER if last == RequestEnd() else Phase.OVER)


def test_a_trailer_has_no_more_lines_than_a_head() -> None:
    """It is refused before it is read: thousands of lines would keep everybody waiting."""
    blank = b"\r\n"
    start = b"POST http://a.test/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n\n\n\r\n0\r\n"
    after = b"GET http://b.test/ HTTP/1.1\r\nHost: b.test\r\n" + b"X: y\r\n" * MOST_LINES

    for sent in ((start, b"a:" + blank), (start + b"a:" + blank, b"")):
        _, events = heard(sent[0], sent[1] + (b"a:" + blank) * (MOST_LINES - 2) + blank + after)
        assert events[1:] == [Piece(b"\n\n"), RequestEnd()]
        for end in (blank, b""):  # also before it has ended
            conversation, events = heard(sent[0], sent[1] + (b"a:" + blank) * 15_000 + end)
            assert isinstance(events[-1], Refusal)
            assert events[-1].status == 431
            assert conversation.phase is Phase.OVER


# What h11 would read for long.

BROKEN_HTTP = malformed("broken HTTP")
IN_CHUNKS = b"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        pytest.param(b"0\r\nX: " + b"a" * 16384, too_long("what follows the body"), id="long-line"),
        pytest.param(b"0\r\nX:" + b" " * 15000 + b"\x0b\r\n\r\n", BROKEN_HTTP, id="blanks-that-end-wrongly"),
        pytest.param(b"0\r\n" + b"a:\r\n" * 300, too_long("what follows the body"), id="many-lines"),
        pytest.param(b"0\r\na b\r\n\r\n", BROKEN_HTTP, id="no-header"),
        pytest.param(b"0\r\nX: y\n\r\n", BROKEN_HTTP, id="bare-LF"),
        pytest.param(b"1;" + b"x" * 4096, BROKEN_HTTP, id="long-extension"),
        pytest.param(b"1;" + b" " * 60000 + b"\n\r\nx", BROKEN_HTTP, id="extension-of-blanks"),
        pytest.param(b"1\r\nxy\r\n", BROKEN_HTTP, id="longer-than-its-size"),
        pytest.param(b"-1\r\nx\r\n", BROKEN_HTTP, id="sign"),
    ],
)
def test_what_is_around_chunks_is_bounded(body: bytes, refusal: Refusal) -> None:
    began = time.process_time()
    _, events = heard(IN_CHUNKS + body)
    _, in_pieces = heard(IN_CHUNKS, *(body[at : at + 997] for at in range(0, len(body), 997)))

    # Seconds of this process alone: h11's patterns need more, for 60,000 blanks 20.
    assert time.process_time() - began < 1
    assert events[-1] == in_pieces[-1] == refusal


def test_blank_lines_without_end_are_no_request() -> None:
    assert refused(*[b"\r\n"] * 17) == (400, "blank lines instead of a request")
