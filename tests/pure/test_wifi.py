"""nl80211's bytes, made by hand.

No kernel told these: where they were made there was no Wi-Fi. The layout is that of linux/genetlink.h and nl80211.h;
tests/loopback/test_watch_wifi.py asks a real kernel.
"""

from __future__ import annotations

import contextlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.see import netlink_messages as wire
from agent.see.netlink_messages import Garbled, KernelAnswer, Message, Radio

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="made for a little-endian machine")

NL80211 = 0x1C
FAMILY = bytes.fromhex(
    """
    30000000 1000 0000 07000000 00000000  01 02 0000
    0c00 0200 6e6c383032313100
    0600 0100 1c00 0000
    0800 0300 01000000
    """
)
RADIO = bytes.fromhex(
    """
    3c000000 1c00 0200 07000000 00000000  07 01 0000
    0800 0300 03000000
    0a00 0400 776c616e3000 0000
    0800 0500 02000000
    0b00 3400 436f72704e6574 00
    """
)
DONE = bytes.fromhex("14000000 0300 0200 07000000 00000000 00000000")


def attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return length.to_bytes(2, "little") + kind.to_bytes(2, "little") + value + bytes(-length % 4)


def radio(*attributes: bytes, command: int = 7) -> Radio | None:
    return wire.radio(Message(NL80211, 2, 7, bytes([command, 1, 0, 0]) + b"".join(attributes)), NL80211)


NAME = attribute(4, b"wlan0\0")
SSID = attribute(52, b"CorpNet")


def test_the_number_of_the_family() -> None:
    told = KernelAnswer(wire.family_request("nl80211"), 7)

    told.take(FAMILY)

    assert told.is_complete
    assert [wire.family(message) for message in told.messages] == [NL80211]


def test_the_look_up_on_the_wire() -> None:
    assert wire.family_request("nl80211").encode(7) == bytes.fromhex(
        "20000000 1000 0100 07000000 00000000  03 01 0000  0c00 0200 6e6c383032313100"
    )


def test_the_question_on_the_wire() -> None:
    assert wire.radios_request(NL80211).encode(7) == bytes.fromhex("14000000 1c00 0103 07000000 00000000  05 00 0000")


def test_a_radio_in_a_network() -> None:
    told = KernelAnswer(wire.radios_request(NL80211), 7)

    told.take(RADIO + DONE)

    assert told.is_complete
    assert [wire.radio(message, NL80211) for message in told.messages] == [Radio("wlan0", "CorpNet")]


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param((NAME,), id="in-no-network"),
        pytest.param((NAME, attribute(52, b"")), id="empty"),
        pytest.param((NAME, attribute(52, bytes(8))), id="hidden"),
        pytest.param((SSID,), id="nameless-as-a-p2p-device"),
        pytest.param((NAME, SSID, attribute(5, b"\3\0\0\0")), id="access-point"),
        pytest.param((NAME, SSID, attribute(5, b"\x09\0\0\0")), id="p2p-group-owner"),
    ],
)
def test_no_ssid_that_says_where_the_host_is(attributes: tuple[bytes, ...]) -> None:
    assert radio(*attributes) is None


def test_what_is_about_something_else_is_passed_over() -> None:
    assert radio(NAME, SSID, command=34) is None
    assert wire.radio(Message(wire.RTM_NEWLINK, 0, 7, bytes(16)), NL80211) is None
    assert wire.family(Message(NL80211, 0, 7, bytes(4))) is None


@pytest.mark.parametrize("number", [b"", attribute(1, b"\x1c"), attribute(1, b"\x1c\0\0\0")])
def test_a_family_without_its_number_is_garbled(number: bytes) -> None:
    with pytest.raises(Garbled):
        wire.family(Message(wire.GENL_ID_CTRL, 0, 7, b"\1\2\0\0" + number))


@pytest.mark.parametrize(
    ("ssid", "text"),
    [
        pytest.param(b"CorpNet", "CorpNet", id="ascii"),
        pytest.param("Café 5 GHz".encode(), "Café 5 GHz", id="utf-8"),
        pytest.param("Café".encode("latin-1"), "Caf\\xe9", id="latin-1"),
        pytest.param(b"\xff\x00", "\\xff\\x00", id="bytes"),
        pytest.param(b"a\x1b[31m\n", "a\\x1b[31m\\n", id="what-would-write-on-a-terminal"),
    ],
)
def test_an_ssid_as_text(ssid: bytes, text: str) -> None:
    assert wire.ssid_text(ssid) == text


@given(st.binary(max_size=32))
def test_any_ssid_is_text_that_prints(ssid: bytes) -> None:
    text = wire.ssid_text(ssid)

    assert text.isprintable()
    text.encode()
    if ssid.strip(b"\0"):
        assert radio(NAME, attribute(52, ssid)) == Radio("wlan0", text)


@given(st.integers(0, len(RADIO + FAMILY) - 1), st.integers(0, 255))
def test_broken_bytes_are_garbled_or_read(at: int, byte: int) -> None:
    body = bytearray(RADIO + FAMILY)
    body[at] = byte

    with contextlib.suppress(Garbled):
        for message in wire.messages(bytes(body)):
            wire.radio(message, NL80211)
            wire.family(message)
