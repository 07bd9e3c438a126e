"""h11's connection, with a bound that it lacks: lines of the trailer behind the chunks of a body.

64 KB hold 16,000, which take 30 ms to read; a few hundred such bodies at once, and nobody else is served for seconds.
"""

from __future__ import annotations

from h11 import Connection, RemoteProtocolError
from h11._receivebuffer import ReceiveBuffer

from agent.relay.strict import MOST_LINES


class Bounded(Connection):
    """Raises RemoteProtocolError with 431 for a trailer, or head, of too many lines, without reading them."""

    def __init__(self, role: type, most: int) -> None:
        """`most`: bytes of what is not whole yet."""
        super().__init__(role, max_incomplete_event_size=most)
        self._receive_buffer = _Lines()


class _Lines(ReceiveBuffer):
    # h11 has nothing public that is between a trailer's bytes and its reading (0.14 to 0.16).
    # noticed by: tests/pure/test_relay_conversation.py, test_a_trailer_has_no_more_lines_than_a_head

    def maybe_extract_lines(self) -> list[bytearray] | None:
        held = bytes(self)
        if held.count(b"\n") > MOST_LINES:
            first = held.split(b"\n", MOST_LINES + 1)[:-1]
            if not any(line in (b"", b"\r") for line in first):
                raise RemoteProtocolError("too many lines", error_status_hint=431)
        return super().maybe_extract_lines()
