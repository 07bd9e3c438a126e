"""A request goes on and its answer comes back, byte for byte: what is passed on, and what is not."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probe.exchange import MOST_LINES
from agent.relay.conversation import AnswerHead, Connect, Conversation, Phase, Piece, Request, RequestEnd
from agent.relay.headers import were_passed_on_by
from agent.relay.outward import AnswerEnd, Failed, Form, Outward, OutwardEvent, Provisional, Switched
from agent.relay.refusals import Refusal

NAME = b"relay-1"
DIRECT = Form(NAME)
OFFICE = Form(NAME, is_to_proxy=True, authorization=((b"Proxy-Authorization", b"Basic b3BlbjpzZXNhbWU="),))
VIA = b"Via: 1.1 relay-1\r\n"


class Exchange:
    """One request through both sides, without a socket between them."""

    def __init__(self, asked: bytes, form: Form = DIRECT) -> None:
        self.client = Conversation()
        self.client.receive(asked)
        request = self.client.next_event()
        assert isinstance(request, Request)
        self.outward = Outward(request, form)
        self.sent = self.outward.head()
        self.said = b""
        self.seen: list[OutwardEvent] = []
        self.is_reset = False
        self.pass_on()

    def pass_on(self) -> None:
        while event := self.client.next_event():
            if isinstance(event, Piece):
                self.sent += self.outward.piece(event.data)
            else:
                assert event == RequestEnd()
                self.sent += self.outward.end()

    def answer(self, *segments: bytes) -> Exchange:
        for segment in segments:
            self.outward.receive(segment)
            while event := self.outward.next_event():
                self.seen.append(event)
                self.said += self._said(event)
        return self

    def _said(self, event: OutwardEvent) -> bytes:
        match event:
            case AnswerHead():
                return self.client.begin_answer(event)
            case Provisional():
                return self.client.provisional(event.head)
            case Switched():
                return self.client.switch(event.head) + event.rest
            case Piece():
                return self.client.answer_piece(event.data)
            case AnswerEnd():
                return self.client.end_answer()
            case Failed():
                refusal = self.client.refuse(Refusal(502, event.what))
                self.is_reset = not refusal
                return refusal


GET = b"GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n"
GET_1_0 = b"GET http://a.test/x HTTP/1.0\r\n\r\n"
HEAD = b"HEAD http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


# How a request goes on.


def test_directly_the_server_is_asked_for_the_path() -> None:
    assert Exchange(GET).sent == b"GET /x HTTP/1.1\r\nHost: a.test\r\n" + VIA + b"\r\n"


def test_a_proxy_is_asked_for_the_whole_url_with_its_own_password() -> None:
    expected = (
        b"GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n"
        + VIA
        + b"Proxy-Authorization: Basic b3BlbjpzZXNhbWU=\r\n\r\n"
    )

    assert Exchange(GET, OFFICE).sent == expected


@pytest.mark.parametrize(
    ("url", "host", "direct", "to_proxy"),
    [
        pytest.param(b"http://a:81/x", b"a:81", b"/x", b"http://a:81/x", id="port"),
        pytest.param(b"http://a:80/x", b"a", b"/x", b"http://a/x", id="the-usual-port"),
        pytest.param(b"http://[2001:DB8::1]", b"[2001:db8::1]", b"/", b"http://[2001:db8::1]/", id="ipv6"),
        pytest.param(b"http://[::1]:8080", b"[::1]:8080", b"/", b"http://[::1]:8080/", id="ipv6-and-port"),
    ],
)
def test_how_the_end_is_spelled(url: bytes, host: bytes, direct: bytes, to_proxy: bytes) -> None:
    asked = b"GET " + url + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"

    assert Exchange(asked).sent.startswith(b"GET " + direct + b" HTTP/1.1\r\nHost: " + host + b"\r\n")
    assert Exchange(asked, OFFICE).sent.startswith(b"GET " + to_proxy + b" HTTP/1.1\r\nHost: " + host + b"\r\n")


@pytest.mark.parametrize("form", [DIRECT, OFFICE])
def test_a_url_that_is_not_ascii_goes_on_as_browsers_send_it(form: Form) -> None:
    """To a proxy, curl sends what it was given."""
    sent = Exchange("GET http://a.test/ä?q=é HTTP/1.1\r\nHost: a.test\r\nX: ü\r\n\r\n".encode(), form).sent

    assert sent.partition(b"\r\n")[0].endswith(b"/%C3%A4?q=%C3%A9 HTTP/1.1")
    assert "\r\nX: ü\r\n".encode() in sent


def test_options_of_the_whole_server() -> None:
    asked = b"OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n"

    assert Exchange(asked).sent.startswith(b"OPTIONS * HTTP/1.1\r\n")
    assert Exchange(asked, OFFICE).sent.startswith(b"OPTIONS http://a.test HTTP/1.1\r\n")


SHOWN = b"GET /x HTTP/1.1\r\nProxy-Authorization: Basic b3BlbjpzZXNhbWU=\r\n"
VEILED = SHOWN.replace(b"b3BlbjpzZXNhbWU=", b"*" * 16)


@pytest.mark.parametrize(
    ("head", "has_it"),
    [
        pytest.param(b"503 x\r\nContent-Length: %d\r\n", False, id="a-page-of-the-proxys"),
        pytest.param(b"302 x\r\nContent-Length: %d\r\n", False, id="a-redirect"),
        pytest.param(b"200 x\r\nX-Squid-Error: ERR_X 0\r\nContent-Length: %d\r\n", False, id="with-another-status"),
        pytest.param(b"404 x\r\nTransfer-Encoding: chunked\r\n", False, id="in-chunks"),
        pytest.param(b"200 x\r\nContent-Length: %d\r\n", True, id="a-servers"),
    ],
)
def test_a_page_in_which_a_proxy_shows_what_it_was_asked_has_no_password_of_ours(head: bytes, *, has_it: bool) -> None:
    """Squid before 7.2 does with each error, and any container may ask for what is an error."""
    is_chunked = b"chunked" in head
    head = b"HTTP/1.1 " + (head if is_chunked else head % len(SHOWN)) + b"\r\n"
    body = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (60, SHOWN[:60], len(SHOWN) - 60, SHOWN[60:]) if is_chunked else SHOWN
    exchange = Exchange(GET, OFFICE).answer(head, body)

    pieces = b"".join(event.data for event in exchange.seen if isinstance(event, Piece))
    assert pieces == (SHOWN if has_it else VEILED)
    assert exchange.seen[-1] == AnswerEnd()
    assert (exchange.outward.is_reusable, exchange.client.phase) == (True, Phase.IDLE)
    assert Exchange(GET).answer(head, body).said.count(b"b3BlbjpzZXNhbWU=") == 1  # no proxy, and none of ours


def test_of_such_a_page_nothing_goes_by_without_a_look() -> None:
    head = b"HTTP/1.1 %d x\r\nContent-Length: 1000000\r\n\r\n"

    assert Exchange(GET, OFFICE).answer(head % 503).outward.left == 0
    assert (
        Exchange(GET, OFFICE).answer(head % 200).outward.left == Exchange(GET).answer(head % 503).outward.left == 10**6
    )


def test_nor_has_a_header_or_a_reason_the_password() -> None:
    line = SHOWN.replace(b"\r\n", b" ")
    answer = b"HTTP/1.1 200 " + line + b"\r\nX-Asked: " + line + b"\r\nContent-Length: 0\r\n\r\n"

    said = Exchange(GET, OFFICE).answer(answer).said

    assert (said.count(b"b3BlbjpzZXNhbWU="), said.count(b"Basic ****************")) == (0, 2)


def test_a_page_of_nothing_but_passwords_is_not_passed_on() -> None:
    exchange = Exchange(GET, OFFICE).answer(b"HTTP/1.1 503 x\r\nContent-Length: 100000\r\n\r\n", SHOWN * 1000)

    assert exchange.seen[-1] == Failed("answers with too much of what the proxy was asked")
    assert exchange.is_reset


@pytest.mark.parametrize(
    "lost",
    [
        b"Proxy-Authorization: Basic c2VjcmV0OnNlY3JldA==",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Whatever: x",
        b"Keep-Alive: timeout=5",
        b"TE: trailers",
        b"Trailer: X",
        b"Connection: close",
        b"Connection: X-Own\r\nX-Own: 1",
        b"X-Own: 1\r\nConnection: keep-alive, x-own",
        b"Upgrade: websocket",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    ],
)
def test_what_was_for_this_hop_ends_here(lost: bytes) -> None:
    asked = GET[:-2] + lost + b"\r\nX-Kept: a\r\n\r\n"

    assert Exchange(asked).sent == b"GET /x HTTP/1.1\r\nHost: a.test\r\nX-Kept: a\r\n" + VIA + b"\r\n"


def test_no_header_that_says_what_the_request_is_can_be_lost_on_the_way() -> None:
    kept = b"Authorization: Bearer x\r\nCookie: a=b\r\nContent-Length: 2\r\n"
    asked = (
        GET.replace(b"GET", b"POST")[:-2] + kept + b"Connection: host, content-length, authorization, cookie\r\n\r\nhi"
    )

    assert Exchange(asked).sent == b"POST /x HTTP/1.1\r\nHost: a.test\r\n" + kept + VIA + b"\r\nhi"


def test_a_body_in_chunks_goes_on_in_chunks() -> None:
    asked = (
        GET.replace(b"GET", b"PUT")[:-2]
        + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: u\r\n\r\n"
    )

    sent = Exchange(asked).sent

    assert sent.endswith(b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")


def test_the_client_waits_for_100() -> None:
    asked = GET.replace(b"GET", b"PUT")[:-2] + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    exchange = Exchange(asked)
    assert b"Expect: 100-continue\r\n" in exchange.sent

    exchange.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert exchange.said == b"HTTP/1.1 100 Continue\r\n" + VIA + b"\r\n"

    exchange.client.receive(b"hello")
    exchange.pass_on()
    assert exchange.sent.endswith(b"\r\n\r\nhello")
    assert exchange.answer(OK).client.phase is Phase.IDLE


def test_the_answer_may_come_instead_of_100() -> None:
    asked = GET.replace(b"GET", b"PUT")[:-2] + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"

    exchange = Exchange(asked).answer(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")

    assert exchange.said.startswith(b"HTTP/1.1 413 Too large\r\n")
    assert exchange.client.phase is Phase.OVER  # or the body would be taken for a request
    assert not exchange.outward.is_reusable


def test_a_client_of_1_0_is_told_nothing_of_100() -> None:
    asked = b"PUT http://a.test/x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
    exchange = Exchange(asked)

    assert b"Expect" not in exchange.sent
    assert exchange.answer(b"HTTP/1.1 100 Continue\r\n\r\n").said == b""
    assert exchange.answer(OK).said.endswith(b"hello")


def test_other_expectations_are_refused() -> None:
    client = Conversation()
    client.receive(GET[:-2] + b"Expect: the-unexpected\r\n\r\n")

    refusal = client.next_event()
    assert isinstance(refusal, Refusal)
    assert refusal.status == 417


@pytest.mark.parametrize(
    ("via", "is_ours"),
    [(b"1.1 relay-1", True), (b"1.0 a, 1.1 RELAY-1 (b)", True), (b"1.1 relay-12", False), (b"1.1 a", False)],
)
def test_a_request_that_was_here_before(via: bytes, is_ours: bool) -> None:
    assert were_passed_on_by(((b"Via", via),), NAME) is is_ours


# How an answer comes back.


def test_an_answer_with_a_length() -> None:
    exchange = Exchange(GET).answer(OK)

    assert exchange.said == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + VIA + b"\r\nhello"
    assert exchange.client.phase is Phase.IDLE
    assert exchange.outward.is_reusable


def test_the_rest_of_a_body_may_go_by_us() -> None:
    exchange = Exchange(GET).answer(OK.removesuffix(b"llo"))
    assert exchange.outward.left == 3

    exchange.outward.pour()
    exchange.client.pour(3)
    exchange.answer(b"")

    assert exchange.seen[-1] == AnswerEnd()
    assert exchange.said.endswith(b"\r\n\r\nhe")
    assert exchange.client.phase is Phase.IDLE


@pytest.mark.parametrize(
    ("answer", "is_reusable"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True, id="stays"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: X, Close\r\nContent-Length: 5\r\n\r\n", False, id="closes"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", False, id="1.0"),
    ],
)
def test_whether_another_request_may_follow_a_body_that_went_by_us(answer: bytes, is_reusable: bool) -> None:
    exchange = Exchange(GET).answer(answer)
    exchange.outward.pour()
    exchange.outward.next_event()

    assert exchange.outward.is_reusable is is_reusable


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        pytest.param(HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", id="HEAD"),
        pytest.param(GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", id="304"),
        pytest.param(GET, b"HTTP/1.1 200 OK\r\n\r\n", id="to-the-end"),
        pytest.param(GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunks"),
        pytest.param(GET, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n", id="both"),
        pytest.param(GET, OK, id="all-has-come"),
    ],
)
def test_only_a_body_with_a_length_can_go_by_us(asked: bytes, answer: bytes) -> None:
    assert Exchange(asked).answer(answer).outward.left == 0


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
TO_THE_END = (b"HTTP/1.0 200 OK\r\n\r\nhello", b"")


@pytest.mark.parametrize(
    ("answer", "is_reusable"),
    [
        pytest.param((CHUNKS,), True, id="chunks"),
        pytest.param((CHUNKS.replace(b"1.1", b"1.0", 1),), False, id="chunks-in-1.0"),
        pytest.param((CHUNKS.replace(b"Tr", b"Connection: close\r\nTr", 1),), False, id="chunks-and-closes"),
        pytest.param(TO_THE_END, False, id="end"),
    ],
)
def test_an_answer_without_a_length(answer: tuple[bytes, ...], is_reusable: bool) -> None:
    new, old = Exchange(GET).answer(*answer), Exchange(GET_1_0).answer(*answer)

    assert new.said.endswith(b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert new.client.phase is Phase.IDLE
    assert new.outward.is_reusable is is_reusable
    assert old.said.endswith(b"Connection: close\r\n\r\nhello")
    assert b"Transfer-Encoding" not in old.said
    assert old.client.phase is Phase.OVER


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", id="304"),
    ],
)
def test_an_answer_that_has_no_body(answer: bytes) -> None:
    exchange = Exchange(GET).answer(answer)

    assert exchange.seen[-1] == AnswerEnd()
    assert b"Transfer-Encoding" not in exchange.said
    assert exchange.client.phase is Phase.IDLE
    assert exchange.outward.is_reusable


@pytest.mark.parametrize("answer", [OK.removesuffix(b"hello"), CHUNKS.partition(b"5\r\n")[0]])
def test_an_answer_to_head_has_no_body(answer: bytes) -> None:
    exchange = Exchange(HEAD).answer(answer)

    assert exchange.seen[-1] == AnswerEnd()
    assert exchange.said.endswith(b"\r\n\r\n")
    assert exchange.client.phase is Phase.IDLE


def test_what_was_for_the_upstreams_hop_ends_here() -> None:
    lost = (
        b"Connection: keep-alive, X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n"
        b"Proxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\nTrailer: X\r\nUpgrade: h2c\r\n"
        b"Docker-Proxy-Relay: limits\r\n"
    )
    answer = b"HTTP/1.1 401 Who?\r\nWWW-Authenticate: Basic\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n"

    said = Exchange(GET).answer(answer + lost + b"\r\n").said

    assert said == answer + VIA + b"\r\n"


def test_the_client_that_wants_to_close_is_told_so() -> None:
    exchange = Exchange(GET[:-2] + b"Connection: close\r\n\r\n").answer(OK)

    assert b"\r\nConnection: close\r\n" in exchange.said
    assert exchange.client.phase is Phase.OVER
    assert exchange.outward.is_reusable  # which the client does not decide


def test_a_server_that_closes_does_not_close_the_clients_connection() -> None:
    exchange = Exchange(GET).answer(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    assert b"close" not in exchange.said
    assert exchange.client.phase is Phase.IDLE
    assert not exchange.outward.is_reusable


def test_requests_in_a_row_get_their_answers_in_a_row() -> None:
    client = Conversation()
    client.receive(GET + GET.replace(b"/x", b"/y") + b"CONNECT b:1 HTTP/1.1\r\nHost: b\r\n\r\nhello")
    said = []
    for path in (b"/x", b"/y"):
        request = client.next_event()
        assert isinstance(request, Request)
        assert request.path == path
        assert client.next_event() == RequestEnd()
        assert client.next_event() is None  # before it has been answered
        said.append(client.begin_answer(AnswerHead(200, b"OK", ((b"Content-Length", b"0"),))) + client.end_answer())

    assert said == [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] * 2
    assert client.next_event() == Connect("b", 1)
    assert client.rest == b"hello"


# What comes back instead.

BROKEN = [
    pytest.param((b"",), "closed without an answer", id="nothing"),
    pytest.param((b"HTTP/1.1 200 OK\r\n", b""), "closed in the middle of its answer", id="half-a-head"),
    pytest.param((b"HTTP/1.1 100 Continue\r\n\r\n", b""), "closed in the middle of its answer", id="only-100"),
    pytest.param((b"SSH-2.0-OpenSSH_9\r\n",), "does not answer with HTTP", id="ssh"),
    pytest.param((b"HTTP/1.1 two hundred\r\n\r\n",), "answers with broken HTTP", id="no-status"),
    pytest.param((b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",), "answers with broken HTTP", id="NUL"),
    pytest.param(
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",),
        "answers with broken HTTP",
        id="lengths",
    ),
    pytest.param((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",), "answers with broken HTTP", id="coding"),
    pytest.param((b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",), "answers with broken HTTP", id="101-unasked"),
    pytest.param((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000,), "answers with a head of more than 64 KB", id="long"),
    pytest.param(
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MOST_LINES,),
        "answers with a head of more than 256 lines",
        id="many-lines",
    ),
    pytest.param(
        (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",),
        "407, asks for Basic",
        id="407",
    ),
    pytest.param(
        (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n",), "407, does not say what it asks for", id="407-of-a-server"
    ),
]


@pytest.mark.parametrize("answer", [OK, CHUNKS])
def test_an_answer_that_comes_byte_by_byte_is_one(answer: bytes) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    whole, pieces = (early + answer,), [bytes([byte]) for byte in early + answer]

    for segments in (whole, pieces):
        exchange = Exchange(GET).answer(*segments)
        assert isinstance(exchange.seen[0], Provisional)
        assert b"".join(event.data for event in exchange.seen if isinstance(event, Piece)) == b"hello"
        assert exchange.seen[-1] == AnswerEnd()


def test_an_answer_of_which_the_end_has_come_with_all_that_was_before_it_is_whole() -> None:
    exchange = Exchange(GET)
    exchange.outward.receive(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello")

    exchange.answer(b"")

    assert exchange.said.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert exchange.seen[-1] == AnswerEnd()


def test_an_answers_trailer_has_no_more_lines_than_a_head() -> None:
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\n\n\r\n0\r\n"

    whole = Exchange(GET).answer(start + b"a:\r\n" * (MOST_LINES - 1) + b"\r\n")
    assert isinstance(whole.seen[-1], AnswerEnd)
    for end in (b"\r\n", b""):
        refused = Exchange(GET).answer(start + b"a:\r\n" * 15_000 + end)
        assert refused.seen[-1] == Failed("answers with too long a trailer", is_before_any_byte=False)


@pytest.mark.parametrize(("answer", "what"), BROKEN)
def test_an_answer_that_is_none_becomes_502(answer: tuple[bytes, ...], what: str) -> None:
    exchange = Exchange(GET, OFFICE).answer(*answer)

    wants_password = what.startswith("407, asks")
    assert exchange.seen[-1] == Failed(what, is_before_any_byte=answer == (b"",), wants_password=wants_password)
    assert b"HTTP/1.1 502 " + what.encode() in exchange.said
    assert exchange.client.phase is Phase.OVER
    assert not exchange.outward.is_reusable


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", b""), id="length"),
        pytest.param((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b""), id="chunks"),
        pytest.param((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",), id="no-chunk"),
    ],
)
@pytest.mark.parametrize("asked", [GET, GET_1_0])
def test_half_an_answer_does_not_look_like_a_whole_one(asked: bytes, answer: tuple[bytes, ...]) -> None:
    exchange = Exchange(asked).answer(*answer)

    assert isinstance(exchange.seen[-1], Failed)
    assert not exchange.said.endswith(b"0\r\n\r\n")
    assert exchange.client.refuse(Refusal(502, "x")) == b""  # so it is to be reset
    assert exchange.client.phase is Phase.OVER


def test_a_length_beside_chunks_is_not_passed_on() -> None:
    exchange = Exchange(GET).answer(CHUNKS.replace(b"\r\n\r\n5", b"\r\nContent-Length: 3\r\n\r\n5"))

    assert exchange.said.endswith(b"5\r\nhello\r\n0\r\n\r\n")
    assert b"Content-Length" not in exchange.said
    assert not exchange.outward.is_reusable


def test_what_nobody_asked_for_is_no_answer_to_the_next_request() -> None:
    exchange = Exchange(GET).answer(OK + b"HTTP/1.1 200 OK\r\n\r\n")

    assert exchange.said.endswith(b"hello")
    assert not exchange.outward.is_reusable


# Upgrades.

UPGRADE = GET[:-2] + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n"
)


def test_a_websocket_becomes_a_tunnel() -> None:
    exchange = Exchange(UPGRADE + b"early")
    assert exchange.sent.endswith(VIA + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")

    exchange.answer(SWITCHED + b"frame")

    head, _, rest = exchange.said.partition(b"\r\n\r\n")
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y" in head
    assert rest == b"frame"
    assert exchange.client.phase is Phase.TUNNEL
    assert exchange.client.rest == b"early"


def test_an_upgrade_that_is_declined_is_a_request_like_others() -> None:
    exchange = Exchange(UPGRADE).answer(OK)

    assert exchange.said.endswith(b"hello")
    assert exchange.client.phase is Phase.IDLE
    exchange.client.receive(GET)
    assert isinstance(exchange.client.next_event(), Request)


def test_a_proxy_that_stays_one_is_offered_no_switch_and_believed_none() -> None:
    """What a client says after it would be the next request to that proxy, and nobody would have checked it."""
    exchange = Exchange(UPGRADE, OFFICE)
    assert b"pgrade" not in exchange.sent

    exchange.answer(SWITCHED)

    assert isinstance(exchange.seen[-1], Failed)
    assert exchange.client.phase is not Phase.TUNNEL


BODIES = (
    b"Content-Length: 33\r\n\r\nGET http://127.0.0.1/ HTTP/1.1\r\n\r",
    b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
)


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"POST"])
@pytest.mark.parametrize("body", BODIES, ids=["length", "chunks"])
def test_after_a_body_a_proxy_gets_no_other_request(method: bytes, body: bytes) -> None:
    """Not every proxy reads the body of each method: it would take it for the next request."""
    asked = GET.replace(b"GET", method)[:-2] + body
    to_proxy, direct = (Exchange(asked, form).answer(OK) for form in (OFFICE, DIRECT))

    assert b"\r\nConnection: close\r\n" in to_proxy.sent.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert (to_proxy.outward.is_reusable, direct.outward.is_reusable) == (False, True)
    assert to_proxy.said == direct.said  # the client's own connection stays


def test_a_client_of_1_0_upgrades_nothing() -> None:
    asked = UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0")

    assert b"pgrade" not in Exchange(asked).sent


# Whatever the segments.


def segmented(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(body=st.binary(max_size=300), asked=CUTS, answered=CUTS, chunk=st.integers(1, 50))
def test_bytes_come_through_whatever_the_segments(
    body: bytes, asked: Sequence[int], answered: Sequence[int], chunk: int
) -> None:
    pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    request = GET.replace(b"GET", b"PUT")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks

    client = Conversation()
    outward, sent = None, b""
    for segment in segmented(request, asked):
        client.receive(segment)
        while event := client.next_event():
            match event:
                case Request():
                    outward = Outward(event, DIRECT)
                    outward.head()
                case Piece():
                    sent += event.data
                case _:
                    assert event == RequestEnd()
    assert sent == body
    assert outward is not None
    outward.end()

    said, got = b"", b""
    for segment in segmented(answer, answered):
        outward.receive(segment)
        while back := outward.next_event():
            if isinstance(back, AnswerHead):
                said += client.begin_answer(back)
            elif isinstance(back, Piece):
                got += back.data
                said += client.answer_piece(back.data)
            else:
                assert back == AnswerEnd()
                said += client.end_answer()
    assert got == body
    assert said.endswith(b"0\r\n\r\n")
    assert client.phase is Phase.IDLE
    assert outward.is_reusable


@given(early=st.binary(max_size=300), cuts=CUTS)
def test_a_tunnel_begins_with_the_first_byte_after_the_head(early: bytes, cuts: Sequence[int]) -> None:
    client = Conversation()
    events = []
    for segment in segmented(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n" + early, cuts):
        client.receive(segment)
        if event := client.next_event():
            events.append(event)

    assert events == [Connect("a", 1)]
    assert client.rest == early


GOOD_HEADS = (
    GET,
    UPGRADE,
    GET_1_0,
    b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"POST http://a.test:81/x?y HTTP/1.1\r\nHost: a.test:81\r\nContent-Length: 5\r\nConnection: X\r\nX: y\r\n\r\nhello",
    b"PUT http://[::1]/ HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
)
FRAGMENTS = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"@", b"/", b"#", b"[", b"%00", b"\x80", b"\x0b", b",", b";",
    b"chunked", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"0\r\n\r\n", b"HTTP/1.1",
    b"http://b/", b"GET http://c/ HTTP/1.1\r\nHost: c\r\n\r\n",
)  # fmt: skip
CHANGES = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 3), st.sampled_from(FRAGMENTS) | st.binary(max_size=3)), max_size=4
)


@given(head=st.sampled_from(GOOD_HEADS), changes=CHANGES, cuts=CUTS)
def test_whatever_comes_is_understood_or_refused_and_goes_on_beyond_doubt(
    head: bytes, changes: Sequence[tuple[int, int, bytes]], cuts: Sequence[int]
) -> None:
    """What one relay lets pass, a second one behind it understands as the same, whatever the segments."""
    for at, removed, put in changes:
        start = at % (len(head) + 1)
        head = head[:start] + put + head[start + removed :]

    whole = understood(head)

    assert understood(*segmented(head, cuts)) == whole
    for asked in whole:
        if isinstance(asked, Request):
            outward = Outward(asked, OFFICE)
            again = understood(outward.head())
            assert again[:1] == [expected_behind(asked)]


GOOD_ANSWERS = (
    OK,
    CHUNKS,
    SWITCHED + b"frame",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK,
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\nConnection: X\r\nX: y\r\n\r\n",
)


@given(
    asked=st.sampled_from((GET, GET_1_0, HEAD, UPGRADE)),
    whole=st.sampled_from(GOOD_ANSWERS),
    changes=CHANGES,
    cuts=CUTS,
)
def test_whatever_is_answered_is_passed_on_as_one_answer_or_as_none(
    asked: bytes, whole: bytes, changes: Sequence[tuple[int, int, bytes]], cuts: Sequence[int]
) -> None:
    for at, removed, put in changes:
        start = at % (len(whole) + 1)
        whole = whole[:start] + put + whole[start + removed :]

    at_once = Exchange(asked).answer(whole, b"")
    in_pieces = Exchange(asked).answer(*segmented(whole, cuts), b"")

    assert in_pieces.client.phase is at_once.client.phase
    assert received_behind(in_pieces, asked) == received_behind(at_once, asked)


def received_behind(exchange: Exchange, asked: bytes) -> list[tuple[int, bytes]]:
    """What a client makes of it: each status, and the body of the last; nobody is told of anything after it."""
    client = h11.Connection(h11.CLIENT)
    method, target, _ = asked.split(b" ", 2)
    upgrade = [("Connection", "upgrade"), ("Upgrade", "websocket")] if asked == UPGRADE else []
    client.send(h11.Request(method=method, target=target, headers=[("Host", "a.test"), *upgrade]))
    client.send(h11.EndOfMessage())
    client.receive_data(exchange.said)
    if exchange.client.phase is Phase.OVER and not exchange.is_reset:
        client.receive_data(b"")
    found: list[tuple[int, bytes]] = []
    while (event := client.next_event()) not in (h11.NEED_DATA, h11.PAUSED) and not isinstance(
        event, h11.ConnectionClosed
    ):
        if isinstance(event, h11.InformationalResponse | h11.Response):
            found.append((event.status_code, b""))
        elif isinstance(event, h11.Data):
            found[-1] = (found[-1][0], found[-1][1] + event.data)
    return found


def understood(*segments: bytes) -> list[object]:
    """Events up to the first answer that would be due; pieces of a body are put together."""
    client, events, body = Conversation(), list[object](), b""
    for segment in segments:
        client.receive(segment)
        while event := client.next_event():
            if isinstance(event, Piece):
                body += event.data
            else:
                events.append(event)
    return [*events, body, client.rest if client.phase is Phase.TUNNEL else b"", client.phase]


def expected_behind(asked: Request) -> Request:
    """The second relay takes our password for itself, sees that we have passed it on, and is offered no switch."""
    return Request(
        asked.method,
        host=asked.host,
        port=asked.port,
        path=asked.path,
        headers=tuple((bytes(name), bytes(value)) for name, value in (*asked.headers, (b"Via", b"1.1 relay-1"))),
        is_chunked=asked.is_chunked,
    )


IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX:" + b" " * 60000 + b"\x0b\r\n\r\n", id="head"),
        pytest.param(IN_CHUNKS + b"1;" + b" " * 60000 + b"\n\r\n", id="extension"),
        pytest.param(IN_CHUNKS + b"0\r\nX:" + b" " * 15000 + b"\x0b\r\n\r\n", id="trailer"),
    ],
)
def test_blanks_that_end_wrongly_keep_nobody_waiting(answer: bytes) -> None:
    began = time.process_time()
    last = Exchange(GET).answer(answer).seen[-1]

    # Seconds of this process alone: h11's patterns need more, for 60,000 blanks 20.
    assert time.process_time() - began < 1
    assert last == Failed("answers with broken HTTP")


def test_trailers_of_an_answer_end_here_and_its_connection_is_good_for_the_next() -> None:
    trailer = b"a:\r\n" * (MOST_LINES - 1) + b"\r\n"

    exchange = Exchange(GET).answer(IN_CHUNKS + b"0\r\n" + trailer)

    assert exchange.said.endswith(b"1\r\nx\r\n0\r\n\r\n")
    assert exchange.outward.is_reusable
    assert not Exchange(GET).answer(IN_CHUNKS + b"0\r\n\r\nHTTP").outward.is_reusable
