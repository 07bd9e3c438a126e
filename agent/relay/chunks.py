"""A body in chunks, before h11 reads it: one chunk at a time, and nothing that takes long.

h11 accepts 64 KB for a trailer, which may be 16,000 lines, and for the line of a size. If blanks there do not end as
they should, its patterns need quadratic time: half a minute. Trailers end here and are not passed on.
"""

from __future__ import annotations

import re
from typing import Final

import h11

from agent.probe.exchange import MOST_LINES
from agent.relay.strict import doubtful

_LINE_END: Final = b"\r\n"
_LONGEST_SIZE: Final = 4 * 1024  # bytes of its line, with extensions: a signature per chunk takes 100
_LONGEST_TRAILER: Final = 16 * 1024  # bytes: 64 KB take 2 ms, and a container may have 256 at the same moment
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,20})(?:[ \t]*|;[\t\x20-\x7e\x80-\xff]*)\r\n")
_TRAILER: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n]*\r\n)*\r\n")


class Chunks:
    """Of one body."""

    def __init__(self, http: h11.Connection) -> None:
        self._http = http
        self._come = bytearray()  # and not handed to h11
        self._searched = 0  # of the line or trailer that is next
        self._left = 0  # of the chunk
        self._has_footer = False  # to come: the line end after a chunk
        self._is_trailer = False
        self._is_over = False
        self._has_ended = False

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """What has come; b"" at the end."""
        self._come += data
        self._has_ended = self._has_ended or not data

    def next_event(self) -> object:
        """As h11's. A trailer that is too long raises its error with 431."""
        event = self._http.next_event()
        while event is h11.NEED_DATA and (portion := self._portion()):
            self._http.receive_data(portion)
            event = self._http.next_event()
        if event is h11.NEED_DATA and self._has_ended:
            self._http.receive_data(b"")
            event = self._http.next_event()
        return event

    @property
    def rest(self) -> bytes:
        """What came after the body."""
        return bytes(self._come)

    def _portion(self) -> bytes:
        """Of one chunk, or the end; b"" if more has to come."""
        if self._is_over:
            return b""
        if self._left:
            return self._data()
        if self._is_trailer:
            return self._end()
        footer = b""
        if self._has_footer:
            if not _LINE_END.startswith(self._come[:2]):
                raise _broken()
            if len(self._come) < len(_LINE_END):
                return b""
            footer, self._has_footer = self._take(2), False
        return footer + self._size()

    def _size(self) -> bytes:
        end = self._come.find(_LINE_END, max(0, self._searched - 1))
        length = end + 2 if end >= 0 else len(self._come)
        if length > _LONGEST_SIZE:
            raise _broken()
        if end < 0:
            self._searched = length
            return b""
        line = self._take(length)
        size = _SIZE.fullmatch(line)
        if size is None:
            raise _broken()
        self._left = int(size[1], 16)
        self._is_trailer = not self._left
        return line + self._data()

    def _data(self) -> bytes:
        data = self._take(min(self._left, len(self._come)))
        if data:
            self._left -= len(data)
            self._has_footer = not self._left
        return data

    def _end(self) -> bytes:
        if self._come.startswith(_LINE_END):
            end = 2
        else:
            found = self._come.find(b"\r\n\r\n", max(0, self._searched - 3))
            end = found + 4 if found >= 0 else 0
        length = end or len(self._come)
        if self._come.count(b"\n", 0, length) > MOST_LINES or length > _LONGEST_TRAILER:
            raise h11.RemoteProtocolError("a long trailer", error_status_hint=431)
        if doubtful(self._come[:length], self._searched):
            raise _broken()
        if not end:
            self._searched = length
            return b""
        if not _TRAILER.fullmatch(self._take(end)):
            raise _broken()
        self._is_over = True
        return _LINE_END

    def _take(self, count: int) -> bytes:
        taken = bytes(self._come[:count])
        del self._come[:count]
        self._searched = 0
        return taken


def _broken() -> h11.RemoteProtocolError:
    return h11.RemoteProtocolError("not chunks, or more around them than there should be")
