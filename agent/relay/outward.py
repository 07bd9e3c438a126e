"""The other side of a request: what an upstream or a server is sent, and what its bytes mean.

One for each request, also where several follow each other on one connection: `is_reusable` says whether the next may.
Not known here: sockets, time, and what the client is told of a failure.
"""

from __future__ import annotations

from typing import Final

import h11
import msgspec

from agent.probe.exchange import HEAD_LIMIT, Heads, HttpAnswer, RefusedHead, authority
from agent.probe.through_proxy import auth_wanted
from agent.relay.chunks import Chunks
from agent.relay.conversation import AnswerHead, Piece, Request
from agent.relay.headers import Headers, end_to_end, passed_on_by, without
from agent.relay.strict import HTTP_PORT
from agent.relay.veil import TooMuchShown, Veil, veiled

_PREFIX: Final = b"HTTP/"


class Form(msgspec.Struct, frozen=True):
    """How the request is put."""

    name: bytes  # ours, in Via
    is_to_proxy: bool = False  # for a whole URL
    authorization: Headers = ()  # what the proxy is shown


class Provisional(msgspec.Struct, frozen=True):
    """1xx, and the answer is yet to come."""

    head: AnswerHead


class Switched(msgspec.Struct, frozen=True):
    """101: no HTTP any more from here on."""

    head: AnswerHead
    rest: bytes  # what came after it


class AnswerEnd(msgspec.Struct, frozen=True):
    """The answer is whole."""


class Failed(msgspec.Struct, frozen=True):
    """There is no answer, or no end of it."""

    what: str
    is_before_any_byte: bool = False  # on a connection that was used before, it may just have been closed
    wants_password: bool = False  # 407, and how it is to be sent


OutwardEvent = AnswerHead | Provisional | Switched | Piece | AnswerEnd | Failed


class Outward:
    """Of one request."""

    def __init__(self, request: Request, form: Form) -> None:
        self._request = request
        self._form = form
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        self._chunks: Chunks | None = None  # if the body of the answer comes in such
        self._start = b""
        self._heads = Heads()  # until that of the final answer has come
        self._has_head = False  # of the final answer
        self._has_ended = False
        self._is_over = False
        self._is_doubtful = False  # where the answer ended
        self._left = 0  # of a body with a length
        self._is_poured = False  # what was left of it went by us
        self._has_all = False  # of the answer, and only the end is to be told
        self._veil: Veil | None = None  # over a page that may be the proxy's own, if it has a password of ours

    # What is sent.

    def head(self) -> bytes:
        asked = self._request
        host = authority(asked.host, asked.port) if asked.port != HTTP_PORT else _bare(asked.host)
        path = asked.path
        if self._form.is_to_proxy:
            path = f"http://{host}".encode("ascii") + (b"" if path == b"*" else path)
        headers = [
            (b"Host", host.encode("ascii")),
            *passed_on_by(asked.headers, self._form.name),
            *self._form.authorization,
        ]
        if asked.is_chunked:
            headers.append((b"Transfer-Encoding", b"chunked"))
        if self._form.is_to_proxy:
            # No Upgrade: it would be the proxy that switches, or that only seems to. And a proxy that does not read the
            # body of a GET, say, would take it for the next request: so there is none.
            headers += [(b"Connection", b"close")] if asked.has_body else []
        elif asked.upgrade:
            headers += [(b"Connection", b"Upgrade"), (b"Upgrade", asked.upgrade)]
        return self._http.send(h11.Request(method=asked.method, target=path, headers=headers))

    def piece(self, data: bytes) -> bytes:
        return self._http.send(h11.Data(data=data))

    def end(self) -> bytes:
        """Of the request's body, if it has one."""
        return self._http.send(h11.EndOfMessage())

    # What comes back.

    def receive(self, data: bytes) -> None:
        """What has come; b"" at the end."""
        if not data:
            self._has_ended = True
        if len(self._start) < len(_PREFIX):
            self._start += data[: len(_PREFIX)]
        if not self._has_head:
            self._heads.held += data
        elif self._chunks is not None:
            self._chunks.receive(data)
        else:
            self._http.receive_data(data)

    @property
    def held(self) -> int:
        """How many bytes of a head have come that is not read yet."""
        return len(self._heads.held)

    def next_event(self) -> OutwardEvent | None:
        """None: nothing before more bytes come."""
        if self._is_over:
            return None
        if self._is_poured or self._has_all:
            self._is_over = True
            return AnswerEnd()
        # h11 would wait for the end of a head even if this is not HTTP (FACTS 36).
        if not _PREFIX.startswith(self._start[: len(_PREFIX)]):
            return self._failed("does not answer with HTTP")
        if not self._has_head and (wrong := self._hand_over_head()):
            return self._failed(wrong)
        try:
            return self._meant((self._chunks or self._http).next_event())
        except h11.RemoteProtocolError as error:
            return self._failed(self._broken(error))
        except TooMuchShown:
            return self._failed("answers with too much of what the proxy was asked")

    @property
    def left(self) -> int:
        """How many bytes of the body are yet to come, if that is known. All that have come have been events."""
        return max(self._left, 0)

    def pour(self) -> None:
        """They have been passed on, and were not received here. The end is the next event."""
        self._is_poured = True

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow on the same connection."""
        states = self._http.states
        is_whole = self._is_poured or states[h11.SERVER] is h11.DONE
        is_done = states[h11.CLIENT] is h11.DONE and is_whole
        is_all = self._http.trailing_data == (b"", False) and not (self._chunks is not None and self._chunks.rest)
        return is_done and not self._is_doubtful and is_all

    def _hand_over_head(self) -> str:
        """A whole head goes to h11; or why it may not."""
        try:
            head = self._heads.next()
        except RefusedHead as refused:
            return f"answers with {refused.what}"
        if head or self._has_ended:
            self._hand_over(head or self._heads.rest())
        return ""

    def _hand_over(self, come: bytes) -> None:
        if come:
            self._http.receive_data(come)
        if self._has_ended and not self._heads.held:
            self._http.receive_data(b"")

    def _meant(self, event: object) -> OutwardEvent | None:
        """Of h11's. Raises TooMuchShown."""
        if isinstance(event, h11.InformationalResponse | h11.Response):
            return self._answered(event)
        if isinstance(event, h11.Data):
            self._left -= len(event.data)
            return Piece(bytes(event.data) if self._veil is None else self._veil.some(event.data))
        if isinstance(event, h11.EndOfMessage):
            return self._ended()
        if isinstance(event, h11.ConnectionClosed):
            return self._failed("closed without an answer")
        return None

    def _ended(self) -> OutwardEvent:
        veil, self._veil = self._veil, None
        if veil is not None and (rest := veil.rest()):
            self._has_all = True
            return Piece(rest)
        self._is_over = True
        return AnswerEnd()

    def _answered(self, event: h11.InformationalResponse | h11.Response) -> OutwardEvent:
        came = event.headers.raw_items()
        headers = passed_on_by(end_to_end(came), self._form.name, event.http_version)
        names = {name for name, _ in event.headers}
        if b"transfer-encoding" in names:  # then a length says nothing, and may be wrong
            self._is_doubtful = b"content-length" in names
            headers = without(headers, b"content-length")
        if event.status_code == 101:
            self._is_over = True
            upgraded = [(name, value) for name, value in came if name.lower() == b"upgrade"]
            switched = ((b"Connection", b"Upgrade"), *upgraded, *headers)
            return Switched(AnswerHead(101, bytes(event.reason), switched), self._heads.rest())
        if event.status_code == 407:  # ours to answer, or to explain; a client would ask its user for a password
            failed = self._failed(auth_wanted(HttpAnswer(407, tuple(event.headers))))
            # Without that it is no proxy's (RFC 9110, 15.5.8): they take it out of what a server says.
            return msgspec.structs.replace(failed, wants_password=b"proxy-authenticate" in names)
        reason = bytes(event.reason)
        if self._form.authorization:
            reason, headers = veiled(reason), tuple((name, veiled(value)) for name, value in headers)
        head = AnswerHead(event.status_code, reason, headers)
        if not isinstance(event, h11.Response):
            return Provisional(head)
        self._has_head = True
        if b"transfer-encoding" in names and self._has_body(event):
            self._chunks = Chunks(self._http)
            if come := self._heads.rest():
                self._chunks.receive(come)
            if self._has_ended:
                self._chunks.receive(b"")
        else:
            self._hand_over(self._heads.rest())
        self._left = self._length(event, names)
        if self._form.authorization and (not 200 <= event.status_code < 300 or b"x-squid-error" in names):
            self._veil, self._left = Veil(), 0
        return head

    def _length(self, event: h11.Response, names: set[bytes]) -> int:
        if not self._has_body(event) or b"transfer-encoding" in names:
            return 0
        return next((int(value) for name, value in event.headers if name == b"content-length"), 0)

    def _has_body(self, event: h11.Response) -> bool:
        return self._request.method != b"HEAD" and event.status_code not in (204, 304)

    def _broken(self, error: h11.RemoteProtocolError) -> str:
        """The error may quote the answer, which may quote our request."""
        if error.error_status_hint == 431:  # a head has been looked at before
            return "answers with too long a trailer"
        if self._has_ended:
            return "closed in the middle of its answer" if self._start else "closed without an answer"
        return "answers with broken HTTP"

    def lost(self) -> Failed:
        """The connection was reset."""
        return self._failed("connection lost")

    def _failed(self, what: str) -> Failed:
        self._is_over = True
        return Failed(what, is_before_any_byte=not self._start)


def _bare(host: str) -> str:
    return f"[{host}]" if ":" in host else host
