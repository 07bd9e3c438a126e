"""When the other end counts as silent, by what the kernel says of a connection (struct tcp_info)."""

from __future__ import annotations

import struct

import pytest

from agent.relay.draining import SILENT_MS, silent_ms


def info(*, unacked: int = 0, not_sent: int = 0, probes: int = 0, last_ack_ms: int = 0) -> bytes:
    made = bytearray(148)
    made[2] = probes
    struct.pack_into("=I", made, 24, unacked)
    struct.pack_into("=I", made, 56, last_ack_ms)
    struct.pack_into("=I", made, 144, not_sent)
    return bytes(made)


LONG = SILENT_MS + 1000


@pytest.mark.parametrize(
    ("told", "ms"),
    [
        pytest.param(info(last_ack_ms=LONG), 0, id="idle"),
        pytest.param(info(unacked=3, last_ack_ms=LONG), LONG, id="nothing-is-confirmed"),
        pytest.param(info(unacked=3, last_ack_ms=20), 20, id="confirmed-a-moment-ago"),
        pytest.param(info(not_sent=9000, last_ack_ms=LONG), 0, id="does-not-read-and-answers-when-asked"),
        pytest.param(info(not_sent=9000, probes=1, last_ack_ms=LONG), 0, id="does-not-read-and-has-just-been-asked"),
        pytest.param(info(not_sent=9000, probes=2, last_ack_ms=LONG), LONG, id="does-not-even-answer"),
        pytest.param(b"", 0, id="a-kernel-that-says-less"),
    ],
)
def test_silence(told: bytes, ms: int) -> None:
    assert silent_ms(told) == ms
