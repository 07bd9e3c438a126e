"""One client's connection: its bytes become events, and what it is answered becomes bytes.

    conversation.receive(data)
    while event := conversation.next_event(): ...

`Connect` becomes a tunnel: send `established()`, then `rest` and all that follows goes to the end. A `Request` is
followed by `Piece`s and `RequestEnd`; it is answered by `begin_answer`, `answer_piece` and `end_answer`, and only then
comes the next. `Refusal` can only be sent; `Gone` is the end.

Not known here: sockets, time, who may ask, where to, and the other side (`outward.py`).
"""

from __future__ import annotations

import enum
import re
from typing import Final, TypeVar

import h11
import msgspec

from agent.probe.exchange import MOST_LINES
from agent.relay import refusals
from agent.relay.chunks import Chunks
from agent.relay.headers import Headers, end_to_end, expectations, is_chunked, upgrade, without
from agent.relay.refusals import Refusal
from agent.relay.strict import HTTP_PORT, Doubtful, begins_a_request, doubtful, end_of, framing, in_ascii
from agent.values.relay import SAYS
from agent.values.secret import escaped

HEAD_LIMIT: Final = 64 * 1024
_MOST_BLANK: Final = 16  # lines before a request
_HEAD_END: Final = b"\r\n\r\n"
_VERSIONS: Final = (b"1.0", b"1.1")
_ABSOLUTE: Final = re.compile(rb"(?i:http)://([^/?#]*)([^#]*)")
_TRACES: Final = (b"TRACE", b"TRACK")  # IIS has the second
_SCHEME: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://")


class Connect(msgspec.Struct, frozen=True):
    """The client wants a tunnel."""

    host: str  # a name, or an address in its one spelling, without brackets
    port: int


class Request(msgspec.Struct, frozen=True):
    """The head of a request for a whole http URL."""

    method: bytes
    host: str
    port: int
    path: bytes  # with the query; b"*" for OPTIONS of the whole server
    headers: Headers  # those that go on; without Host, which `host` and `port` are
    is_chunked: bool = False  # the body's length is not known beforehand
    upgrade: bytes = b""  # the protocol that is offered instead of HTTP

    @property
    def has_body(self) -> bool:
        return self.is_chunked or any(name.lower() == b"content-length" for name, _ in self.headers)


class Piece(msgspec.Struct, frozen=True):
    """Of the body."""

    data: bytes


class RequestEnd(msgspec.Struct, frozen=True):
    """The request is whole."""


class Gone(msgspec.Struct, frozen=True):
    """The client has closed, and wants nothing more."""

    is_cut_off: bool  # in the middle of a request


class AnswerHead(msgspec.Struct, frozen=True):
    """What is answered to a request, but for its body."""

    status: int
    words: bytes
    headers: Headers


Event = Connect | Request | Piece | RequestEnd | Refusal | Gone


class Phase(enum.Enum):
    """What the client's side waits for."""

    IDLE = "nothing of a request has come"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWER = "our answer to a whole request"
    TUNNEL = "nothing: all bytes go through"
    OVER = "nothing: the connection is to be closed"


class Conversation:
    """Of one connection."""

    def __init__(self) -> None:
        self.phase = Phase.IDLE
        self._unread = bytearray()  # before and in a head, and after a request
        self._searched = 0  # of the unread head
        self._blank = 0  # lines before that
        self._has_ended = False  # the client sends no more
        self._http = _exchange()
        self._chunks: Chunks | None = None  # if the body comes in such
        self._method = b""
        self._has_answered = False  # or begun to

    @property
    def held(self) -> int:
        """How many bytes wait for their turn. Beyond 64 KB, read no more before the answer is out."""
        return len(self._unread)

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """What has come; b"" when the client sends no more."""
        if not data:
            self._has_ended = True
        if self.phase is not Phase.BODY:
            self._unread += data
        elif self._chunks is not None:
            self._chunks.receive(data)
        else:
            self._http.receive_data(data)  # type: ignore[arg-type]  # it is added to a bytearray

    def next_event(self) -> Event | None:
        """None: nothing before more bytes come, or before the answer is out."""
        if self.phase in (Phase.IDLE, Phase.HEAD):
            return self._head()
        if self.phase is Phase.BODY:
            return self._body()
        return None

    # A tunnel.

    def established(self) -> bytes:
        """To be sent when the way to the end is open."""
        assert self.phase is Phase.TUNNEL  # noqa: S101 - the caller's mistake
        self._has_answered = True
        return b"HTTP/1.1 200 Connection established\r\n\r\n"

    @property
    def rest(self) -> bytes:
        """What the client has already sent into its tunnel."""
        return bytes(self._unread)

    # The answer to a request, as `outward.py` has it: without what is hop by hop.

    def provisional(self, head: AnswerHead) -> bytes:
        """1xx but 101, which may come before the answer. b"" for a client that does not know them."""
        if self._http.their_http_version == b"1.0":
            return b""
        return self._http.send(_h11(h11.InformationalResponse, head))

    def begin_answer(self, head: AnswerHead) -> bytes:
        """Without a Content-Length its end is told by chunks, or to HTTP/1.0 by closing."""
        self._has_answered = True
        return self._http.send(_h11(h11.Response, head))

    def answer_piece(self, data: bytes) -> bytes:
        return self._http.send(h11.Data(data=data))

    def pour(self, count: int) -> None:
        """So many bytes of a body with a length go to the client, and not by us."""
        self._http.send_with_data_passthrough(h11.Data(data=_Poured(count)))  # type: ignore[arg-type]  # as h11 says

    def end_answer(self) -> bytes:
        """Then the next request follows, or the connection is to be closed: `phase`."""
        last = self._http.send(h11.EndOfMessage())
        is_kept = self.phase is Phase.ANSWER and self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
        self.phase = Phase.IDLE if is_kept else Phase.OVER
        self._has_answered = False
        return last

    def switch(self, head: AnswerHead) -> bytes:
        """101: what follows is no HTTP any more, but a tunnel."""
        said = self._http.send(_h11(h11.InformationalResponse, head))
        self.phase, self._has_answered = Phase.TUNNEL, True
        return said

    # What anything can end with.

    def refuse(self, refusal: Refusal) -> bytes:
        """To be sent, and the connection is to be closed then.

        b"" if an answer has already begun. Then it is to be reset: a client that reads up to the end would take half of
        it for all.
        """
        has_answered, self.phase = self._has_answered, Phase.OVER
        if has_answered:
            return b""
        body = refusal.body
        says = b"%s: %s\r\n" % (SAYS, refusal.says) if refusal.says else b""
        head = (
            b"HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
            b"Cache-Control: no-store\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n"
        ) % (refusal.status, refusal.line, len(body), says)
        return head if self._method == b"HEAD" else head + body

    # Heads and bodies.

    def _head(self) -> Event | None:
        if self.phase is Phase.IDLE:
            if not self._skip_blank_lines():
                return self._refusal(refusals.malformed("blank lines instead of a request"))
            if self._unread and self._unread != b"\r":
                self.phase = Phase.HEAD
                if not begins_a_request(self._unread[0]):
                    return self._refusal(refusals.malformed("not HTTP"))
        if self.phase is Phase.HEAD:
            end = self._unread.find(_HEAD_END, max(0, self._searched - 3))
            wrong = doubtful(self._unread if end < 0 else self._unread[: end + 4], self._searched)
            if wrong:
                return self._refusal(wrong)
            if end >= 0 and end + 4 <= HEAD_LIMIT:
                head = bytes(self._unread[: end + 4])
                del self._unread[: end + 4]
                return self._asked(head)
            if len(self._unread) > HEAD_LIMIT:
                return self._refusal(refusals.too_long())
            self._searched = len(self._unread)
        if self._has_ended:
            was_head = self.phase is Phase.HEAD
            self.phase = Phase.OVER
            return Gone(is_cut_off=was_head)
        return None

    def _skip_blank_lines(self) -> bool:
        """After a body, some send one more (RFC 9112, 2.2). Without a limit, endless ones would be read forever."""
        while self._blank <= _MOST_BLANK and self._unread.startswith(b"\r\n"):
            del self._unread[:2]
            self._blank += 1
        return self._blank <= _MOST_BLANK

    def _asked(self, head: bytes) -> Event:
        self._searched = self._blank = 0
        if head.count(b"\n") > MOST_LINES:
            return self._refusal(refusals.too_long())
        wrong = framing(head)
        if wrong:
            return self._refusal(wrong)
        self._http = _exchange()  # one for each request: what comes after it stays with us
        self._http.receive_data(in_ascii(head))
        try:
            request = self._http.next_event()
        except h11.RemoteProtocolError as error:
            return self._refusal(_broken(error))
        assert isinstance(request, h11.Request)  # noqa: S101 - a whole head is nothing else
        self._method = request.method
        if request.http_version not in _VERSIONS:
            return self._refusal(Refusal(505, "only HTTP/1.0 and HTTP/1.1 are supported"))
        try:
            if request.method == b"CONNECT":
                return self._connect(request)
            asked = _whole_url(request)
        except Doubtful as doubt:
            return self._refusal(refusals.malformed(f"{doubt} in {escaped(request.target.decode('latin-1'), 80)}"))
        if isinstance(asked, Request):
            self.phase = Phase.BODY
            self._chunks = Chunks(self._http) if asked.is_chunked else None
            come, self._unread = bytes(self._unread), bytearray()
            if come:
                self.receive(come)
            if self._has_ended:
                self.receive(b"")
            return asked
        return self._refusal(asked)

    def _connect(self, request: h11.Request) -> Event:
        # Host is not looked at: some clients name the proxy there (ffmpeg), and it goes nowhere.
        host, port = end_of(request.target)
        if any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in request.headers
        ):
            return self._refusal(refusals.malformed("CONNECT with a body"))
        self.phase = Phase.TUNNEL
        return Connect(host, port)

    def _body(self) -> Event | None:
        try:
            event = (self._chunks or self._http).next_event()
        except h11.RemoteProtocolError as error:
            if self._has_ended:
                self.phase = Phase.OVER
                return Gone(is_cut_off=True)
            is_trailer = error.error_status_hint == 431
            return self._refusal(refusals.too_long("what follows the body") if is_trailer else _broken(error))
        if isinstance(event, h11.Data):
            return Piece(bytes(event.data))
        if isinstance(event, h11.EndOfMessage):
            self.phase = Phase.ANSWER
            self._unread += self._http.trailing_data[0] if self._chunks is None else self._chunks.rest
            return RequestEnd()
        return None

    def _refusal(self, refusal: Refusal) -> Refusal:
        self.phase = Phase.OVER
        return refusal


def _exchange() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)


class _Poured:
    """In the place of bytes of which only the number counts."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count


_AnyResponse = TypeVar("_AnyResponse", h11.Response, h11.InformationalResponse)


def _h11(kind: type[_AnyResponse], head: AnswerHead) -> _AnyResponse:
    return kind(status_code=head.status, headers=list(head.headers), reason=head.words)


def _broken(error: h11.RemoteProtocolError) -> Refusal:
    """The error may quote the request, which may hold a password: its words stay here."""
    if error.error_status_hint == 431:
        return refusals.too_long()
    if error.error_status_hint == 501:
        return Refusal(501, "a Transfer-Encoding other than chunked")
    return refusals.malformed("broken HTTP")


def _whole_url(request: h11.Request) -> Request | Refusal:
    """What is asked of us as a proxy. Raises Doubtful."""
    target = request.target
    # Squid takes a method in any case for the same one.
    method = request.method.upper()
    if method in _TRACES:  # shows a client what is added on the way, such as our password for the upstream
        return Refusal(405, f"{method.decode('ascii')} is not forwarded")
    if method in (b"CONNECT", b"HEAD") and method != request.method:  # there is more to these than the word
        return refusals.malformed(f"{method.decode('ascii')} in another spelling")
    whole = _ABSOLUTE.fullmatch(target)
    if whole is None:
        return _no_http_url(target)
    host, port = end_of(whole[1], HTTP_PORT)
    named = [value for name, value in request.headers if name == b"host"]  # at most one: h11
    if named and end_of(named[0], HTTP_PORT) != (host, port):
        return refusals.malformed("Host differs from the host in the URL")
    path = whole[2]
    if not path.startswith(b"/"):
        path = b"*" if request.method == b"OPTIONS" and not path else b"/" + path
    came = request.headers.raw_items()
    is_new = request.http_version != b"1.0"  # which knows neither Expect nor Upgrade
    if is_new and any(expected != b"100-continue" for expected in expectations(came)):
        return Refusal(417, "Expect with anything but 100-continue")
    return Request(
        request.method,
        host=host,
        port=port,
        path=path,
        headers=without(end_to_end(came), b"host", *(() if is_new else (b"expect",))),
        is_chunked=is_chunked(came),
        upgrade=upgrade(came) if is_new else b"",
    )


def _no_http_url(target: bytes) -> Refusal:
    scheme = _SCHEME.match(target)
    if scheme is None:
        return refusals.malformed("this is a proxy: the request needs a whole URL")
    if scheme[1].lower() == b"http":
        return refusals.malformed("a URL with a fragment")
    return refusals.malformed(f"{scheme[1][:20].decode('ascii').lower()} needs CONNECT, not a whole URL")
