"""One HTTP request and the head of its answer, as bytes in and bytes out.

A dialogue is a generator: it yields what is to be sent (b"" for nothing), is sent what was received (b"" when the
other end has closed), and returns its result. Sockets, time and what an answer means are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import Final, TypeVar

import h11
import msgspec

from agent.values.relay import LIMITS, SAYS
from agent.values.secret import escaped
from agent.values.verdict import Outcome

HEAD_LIMIT: Final = 64 * 1024
USER_AGENT: Final = b"docker-proxy-agent"
MOST_LINES: Final = 256  # of a head; 16,000 fit into 64 KB, and would take as long to read as hundreds of other heads
_MOST_PROVISIONAL: Final = 16  # answers before the final one
_HEAD_END: Final = re.compile(rb"\n\r?\n")  # as h11 takes it
# h11 takes none of these in a head, and after thousands of blanks its pattern takes half a minute to find that out.
_NEVER_IN_HEAD: Final = re.compile(rb"[\x00\x0b\x0c]|\r(?!\n)")
_PREFIX: Final = b"HTTP/"
_SHOWN: Final = 20  # bytes of an answer that is not HTTP: in an echo of our request, credentials come later

T = TypeVar("T")

Dialogue = Generator[bytes, bytes, T]
Headers = Sequence[tuple[bytes, bytes]]


class DialogueFailed(Exception):
    """The other end did not follow the dialogue."""

    def __init__(self, outcome: Outcome, evidence: str) -> None:
        super().__init__(outcome, evidence)
        self.outcome = outcome
        self.evidence = evidence


class HttpAnswer(msgspec.Struct, frozen=True):
    """The head of an answer, and what was received after it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()  # names in lower case
    rest: bytes = b""

    def values(self, name: bytes) -> tuple[str, ...]:
        return tuple(value.decode("latin-1") for header, value in self.headers if header == name)

    @property
    def is_by_limits(self) -> bool:
        """Whether a relay of ours has turned us away for its limits."""
        return LIMITS in [value for header, value in self.headers if header == SAYS]

    @property
    def words(self) -> str:
        """The status with its standard name: the other end's own words may be anything, even our request."""
        import http  # noqa: PLC0415 - 0.1 MB, only needed for a failure

        try:
            return f"{self.status} {http.HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)


def authority(host: str, port: int) -> str:
    """host:port, as in CONNECT."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def ask(method: bytes, target: str, host: str, headers: Headers = ()) -> Dialogue[HttpAnswer]:
    """Send a request without a body, and return the head of the final answer."""
    http1 = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
    request = h11.Request(
        method=method,
        target=target.encode("ascii"),
        headers=[(b"Host", host.encode("ascii")), (b"User-Agent", USER_AGENT), *headers],
    )
    received = yield http1.send(request) + http1.send(h11.EndOfMessage())
    start = b""
    heads, provisional = Heads(), 0
    while True:
        if not received:
            raise DialogueFailed(
                Outcome.ERROR, "closed in the middle of its answer" if start else "closed without an answer"
            )
        if len(start) < _SHOWN:
            start += received[:_SHOWN]
        # h11 would wait for the end of a head even if this is not HTTP (FACTS 36).
        if not _PREFIX.startswith(start[: len(_PREFIX)]):
            raise DialogueFailed(Outcome.ERROR, f"not HTTP: {as_text(start)}")
        heads.held += received
        while head := _next_of(heads):
            response = _response(http1, head)
            if response is not None:
                return HttpAnswer(response.status_code, tuple(response.headers), bytes(heads.held))
            provisional += 1
            if provisional > _MOST_PROVISIONAL:
                raise DialogueFailed(Outcome.ERROR, f"answered with more than {_MOST_PROVISIONAL} provisional answers")
        received = yield b""


class RefusedHead(Exception):
    """What is wrong with the head of an answer."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Heads:
    """Of answers, as they come; each is looked at before h11 reads it, for that may take long."""

    def __init__(self) -> None:
        self.held = bytearray()  # what came is added by whoever has received it
        self._searched = 0

    def next(self) -> bytes:
        """A whole one; b"" if more has to come. Raises RefusedHead."""
        end = _HEAD_END.search(self.held, max(0, self._searched - 2))
        length = end.end() if end else len(self.held)
        if self.held.count(b"\n", 0, length) > MOST_LINES:
            raise RefusedHead(f"a head of more than {MOST_LINES} lines")
        if end is None and length > HEAD_LIMIT:
            raise RefusedHead(f"a head of more than {HEAD_LIMIT // 1024} KB")
        self._searched = 0 if end else length
        if end is None:
            return b""
        if _NEVER_IN_HEAD.search(self.held, 0, length):
            raise RefusedHead("broken HTTP")
        head = bytes(self.held[:length])
        del self.held[:length]
        return head

    def rest(self) -> bytes:
        """All that is held, which is no head."""
        rest = bytes(self.held)
        self.held.clear()
        return rest


def _next_of(heads: Heads) -> bytes:
    try:
        return heads.next()
    except RefusedHead as refused:
        raise DialogueFailed(Outcome.ERROR, f"answered with {refused.what}") from None


def _response(http1: h11.Connection, head: bytes) -> h11.Response | None:
    """None for 1xx."""
    http1.receive_data(head)
    try:
        event = http1.next_event()
    except h11.RemoteProtocolError:
        raise DialogueFailed(
            Outcome.ERROR, "answered with broken HTTP"
        ) from None  # the error may quote the answer, which may quote our request
    return event if isinstance(event, h11.Response) else None


def as_text(received: bytes) -> str:
    """The first bytes of an unexpected answer, for a person."""
    return f'"{escaped(received[:_SHOWN].decode("latin-1"))}"'
