"""Netlink's bytes, as a kernel 6.18 on x86-64 told them.

A laptop with wlan0 (10.10.0.7/16, 2001:db8:1:2::7/64), eth0 (no carrier) and tun0 (no process behind it); default
routes by wlan0, by wlan0 and eth0 side by side, by eth0 through an IPv6 router (table 7), by tun0 (table 51820), and
into a blackhole.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import sys
import zlib
from collections.abc import Callable
from typing import Final, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.see import netlink_messages as wire
from agent.see.netlink_messages import Garbled, Hop, KernelAnswer, KernelRequest, Link, Neighbour, Route

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="recorded on a little-endian machine")

SEQUENCE: Final = 7

T = TypeVar("T")


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


LINKS: Final = _unpacked(
    """
    eNrtl89PE0EUx78zu1u2BKSaJkRJ+BE1YiSxQUMIKj8Eo0YuGA8eSJDENpg0bYktJpz2yIGLN735R/gHePPiwbPxDyAcOHHg5PJm5kF2p79SKIkl
    fUn3Ozs78+b1zZtPdpddIAWJHgA/fbrAdQRdX0JdQf0O8kXARz/2HMCj0co8XGVd1CN9kCNq+ZjU/T4esA6xDrM+YR3heeMIQ6V3ef4M6xzrPOsj
    HIU9pI95/FP2M6r9eBhjfze5/z5rRmsCS6zPOO47Wnv5f5q2PG3/wiAui73Xu3ux1od7lFPJ7QQKxc1KtpLFD3EDu9S/E8kz9I7Gf4iobaLBs1qW
    oq1VtVrLT0b0Uk1ob0GaIla19PxAIL9q5hzyf5jnGXacIdm3ATNWtYOZJIIVAbXcWwk+HfE57/brx6p82HELK2Y0yE9wMNXwuTb3ZC2znj0uXaM+
    PGgY4BauNM23i9nAxUJQqmKJ0NlcTAk+Xw4+5dcLGcR5krB4AubJXw+aJ0vME3Pu6/NEtokn0uKJZJ4I5olowpPXbzQ4NU/C0OxwlCfSyt/3DuWJ
    vMD4ozxJ4RqSlNetbHnD7NFt3iszot28adVa5c0r4k3pazVvVL034o12ck7eiBpxXybeqLw4nJQk3VHJZGDxRv6nvAHzRljvL81482fF+7J9vT5v
    uu8v7eON0zm8wQlvXhBvfm91eXNe3pSrePMvVEt/jvCmXCmc8uZQtJc3rX4vGa3/vXQW3nS5cnauTBNX1NmkGsEE9SmamL1wOccea4L7TXwDdF/K
    fcgV13LrH8voCOYsE3MeZltnTvebKs6ctHqfiTEHOAYKivvS
    """
)
ROUTES: Final = _unpacked(
    """
    eNq1VLtSwzAQXEmJZTww8TAeJmUKypSUFBR8AB9CSZ98Sko+gZIOhm/CEneSNTgnM3bAqPDqtbsnnc73ANbQsIRvJagHWAO1ICyxCvNXuEQFt0e/
    KV5fwFB3O6DxaVpVdxqPH3Eva94M7HWG1eJeF3CJqoJiDq8/TOIUeCe8xhnYV/d0apox3fj1WantsF4h9Q4r4FbuJXGnW+Gt2IfQMtoUd8ZdR24t
    uBRT4BLadKcZdwN47XTy9d++dtQ3cFuTc70f5ZbDvjvE8xKGPKkTYo6cKdw85p2PMf/GN97vlHtuTZ1zveQ+CW51x/k9fpcNDTfq4oVAp9Lht5Xq
    R4c3e46xtiQlnOApqnVezx/qjwu8IZb8U8ziuee84CinTQxBeBXdeePb+A9PkU/b9/zzOUO90bLw9Jgvn/w1PU9uXw+/cHs=
    """
)
NEIGHBOURS: Final = _unpacked(
    """
    eNqVj70NwkAMRp8JKKero9CwRRZgACqUghaJbVgkY9BRI7ENRfiMA0kQDT598v+TbwdsWFDKXxOKPrKEkTOWle1bFQ0SSz2oKDjJv6UW2x+sInov
    1qUzm+7f1/P9w9d+Hm4Rd1VpovdktNrvahqP4i4G7kPcMyH+41oPZXA9mnNv4h4JRc3/N3Ldnhj8FYA=
    """
)
# 127.0.0.1 of lo; of wlan0 10.10.0.7/16, and 10.11.0.7/24 with a label.
ADDRESSES: Final = bytes.fromhex(
    """
    4c0000001400020007000000286f0000020880fe01000000080001007f000001080002007f000001070003006c6f00000800080080000000
    14000600fffffffffffffffffc184500fc184500500000001400020007000000286f00000210800003000000080001000a0a000708000200
    0a0a00070a000300776c616e30000000080008008000000014000600fffffffffffffffffc184500fc184500500000001400020007000000
    286f00000218800003000000080001000a0b0007080002000a0b00070c000300776c616e303a310008000800800000001400
    0600fffffffffffffffffc184500fc184500
    """
)
WAY: Final = bytes.fromhex(
    """
    700000001800000007000000c708000002200000fe0000010002000008000f00fe00000008000100c6290004080004000200000008000700
    0a0a0007080005000a0a0001080019000000000024000c000200000000000000000000000000000000000000000000000000000000000000
    """
)
WAY_IPV6: Final = bytes.fromhex(
    """
    b00000001800000007000000c70800000a808000fe0300010000000008000f00fe0000001400010020010503ba3e00000000000000020030
    14000200000000000000000000000000000000001400070020010db8000100020000000000000007080006000004000014000500fe800000
    000000000000000000000001080004000200000024000c000200000000000000000000000000000000000000000000000000000000000000
    0500140000000000
    """
)
WAY_BY_RULE: Final = bytes.fromhex(
    """
    680000001800000007000000c708000002200000fc0000010002000008000f006cca000008000100c6290004080004000400000008000700
    0a0a0007080019000000000024000c000200000000000000000000000000000000000000000000000000000000000000
    """
)
WAY_VIA_INET6: Final = bytes.fromhex(
    """
    800000001800000007000000c708000002200000070000010002000008000f000700000008000100c6290004080004000300000008000700
    c0a80107160012000a00fe8000000000000000000000000000010000080019000000000024000c0002000000000000000000000000000000
    00000000000000000000000000000000
    """
)
# What the kernel says to a look-up that ends in a blackhole, nowhere, and for IPv6 in an `unreachable` route. It ends
# with the question that it answers.
BLACKHOLE: Final = bytes.fromhex(
    "38000000020000000700000070020000eaffffff240000001a000100070000000000000002200000000000000010000008000100c6290004"
)
NOWHERE: Final = bytes.fromhex(
    "380000000200000007000000700200009bffffff240000001a000100070000000000000002200000000000000010000008000100c6290004"
)
UNREACHABLE: Final = bytes.fromhex(
    "440000000200000007000000700200008fffffff300000001a00010007000000000000000a80000000000000001000001400010020010503"
    "ba3e00000000000000020030"
)
DONE: Final = bytes.fromhex("1400000003000200070000007002000000000000")

DUMP: Final = wire.links_request()
LOOK_UP: Final = wire.way_request("198.41.0.4")


def answer(*datagrams: bytes, to: KernelRequest = DUMP, sequence: int = SEQUENCE) -> KernelAnswer:
    taken = KernelAnswer(to, sequence)
    for datagram in datagrams:
        taken.take(datagram)
    return taken


def decoded(decode: Callable[[wire.Message], T | None], datagram: bytes) -> list[T]:
    return [value for message in answer(datagram).messages if (value := decode(message))]


def torn(datagram: bytes) -> bytes:
    """With NLM_F_DUMP_INTR in its first message."""
    return datagram[:6] + (wire.NLM_F_DUMP_INTR | datagram[6]).to_bytes(1, "little") + datagram[7:]


def test_links() -> None:
    assert decoded(wire.link, LINKS) == [
        Link(1, "lo", has_carrier=True, has_neighbours=False, is_ethernet=False),
        Link(2, "wlan0", has_carrier=True, has_neighbours=True, kind="veth", ends_elsewhere=True),
        Link(3, "eth0", has_carrier=False, has_neighbours=True, kind="veth", ends_elsewhere=True),
        Link(4, "tun0", has_carrier=False, has_neighbours=False, is_ethernet=False, kind="tun"),
    ]


def test_labels() -> None:
    assert decoded(wire.label, ADDRESSES) == ["lo", "wlan0", "wlan0:1"]


def test_addresses_behind_their_labels() -> None:
    """That of a tunnel is its own, and not that of the other end."""
    tunnel = ADDRESSES.replace(bytes.fromhex("080001000a0a0007"), bytes.fromhex("080001000a0a0001"))

    for told in (ADDRESSES, tunnel):
        assert decoded(wire.ipv4, told) == [("lo", "127.0.0.1"), ("wlan0", "10.10.0.7"), ("wlan0:1", "10.11.0.7")]


def test_default_routes_of_all_tables() -> None:
    assert decoded(wire.default_route, ROUTES) == [
        Route((Hop(3, "fe80::1"),), table=7),
        Route((Hop(4),), table=51820),
        Route((Hop(2, "10.10.0.1"),), table=254),
        Route((Hop(2, "10.10.0.1"), Hop(3, "192.168.1.1")), table=254),
        Route((Hop(2, "fe80::1"),), table=254),
    ]


def test_neighbours_that_are_resolved() -> None:
    assert Neighbour(2, "10.10.0.1", "52:54:00:00:00:01") in decoded(wire.neighbour, NEIGHBOURS)
    assert "192.168.1.1" not in [neighbour.address for neighbour in decoded(wire.neighbour, NEIGHBOURS)]


@pytest.mark.parametrize(
    ("datagram", "route"),
    [
        pytest.param(WAY, Route((Hop(2, "10.10.0.1"),), 254, "10.10.0.7"), id="main"),
        pytest.param(WAY_IPV6, Route((Hop(2, "fe80::1"),), 254, "2001:db8:1:2::7"), id="ipv6"),
        pytest.param(WAY_BY_RULE, Route((Hop(4),), 51820, "10.10.0.7"), id="a-table-with-a-number-beyond-a-byte"),
        pytest.param(WAY_VIA_INET6, Route((Hop(3, "fe80::1"),), 7, "192.168.1.7"), id="ipv4-by-an-ipv6-router"),
    ],
)
def test_the_way_that_the_kernel_takes(datagram: bytes, route: Route) -> None:
    taken = answer(datagram, to=LOOK_UP)

    assert taken.is_complete
    assert [wire.way(message) for message in taken.messages] == [route]


def test_a_way_that_does_not_leave_is_none() -> None:
    kind = 16 + 7  # of rtm_type
    blackhole = WAY[:kind] + b"\x06" + WAY[kind + 1 :]

    assert [wire.way(message) for message in answer(blackhole, to=LOOK_UP).messages] == [None]


@pytest.mark.parametrize(
    ("kind", "leads_here"),
    [(1, False), (2, True), (3, True), (4, True), (5, False), (6, False)],  # rtm_type: RTN_LOCAL, BROADCAST, ANYCAST
)
def test_what_is_for_this_host_itself(kind: int, leads_here: bool) -> None:
    at = 16 + 7
    changed = WAY[:at] + bytes([kind]) + WAY[at + 1 :]

    assert [wire.leads_here(message) for message in answer(changed, to=LOOK_UP).messages] == [leads_here]


@pytest.mark.parametrize(
    ("datagram", "number"),
    [
        pytest.param(BLACKHOLE, errno.EINVAL, id="blackhole"),
        pytest.param(NOWHERE, errno.ENETUNREACH, id="nowhere"),
        pytest.param(UNREACHABLE, errno.EHOSTUNREACH, id="unreachable"),
    ],
)
def test_a_refusal_has_its_errno(datagram: bytes, number: int) -> None:
    taken = answer(datagram, to=LOOK_UP)

    assert (taken.is_complete, taken.errno, taken.messages) == (True, number, [])


@pytest.mark.parametrize(
    ("address", "refusal"),
    [pytest.param("198.41.0.4", BLACKHOLE, id="ipv4"), pytest.param("2001:503:ba3e::2:30", UNREACHABLE, id="ipv6")],
)
def test_a_refusal_ends_with_the_question_that_was_sent(address: str, refusal: bytes) -> None:
    assert refusal.endswith(wire.way_request(address).encode(SEQUENCE))


NO_OPERATION: Final = bytes.fromhex("10000000010000000700000000000000")
OVERRUN: Final = bytes.fromhex("10000000040000000700000000000000")


@pytest.mark.parametrize(
    ("datagrams", "is_complete", "is_torn", "count"),
    [
        pytest.param([LINKS], True, False, 4, id="whole"),
        pytest.param([LINKS[: -len(DONE)]], False, False, 4, id="the-end-is-still-to-come"),
        pytest.param([LINKS[: -len(DONE)], DONE], True, False, 4, id="in-two-datagrams"),
        pytest.param([torn(LINKS)], True, True, 4, id="torn"),
        pytest.param([LINKS[: -len(DONE)], torn(DONE)], True, True, 4, id="torn-at-the-end"),
        pytest.param([LINKS, LINKS], True, False, 4, id="nothing-after-the-end"),
        pytest.param([DONE], True, False, 0, id="empty"),
        pytest.param([OVERRUN], True, True, 0, id="overrun"),
        pytest.param([NO_OPERATION, LINKS], True, False, 4, id="no-operation"),
    ],
)
def test_an_answer_is_complete_only_with_its_end(
    datagrams: list[bytes], is_complete: bool, is_torn: bool, count: int
) -> None:
    taken = answer(*datagrams)

    assert (taken.is_complete, taken.is_torn, len(taken.messages), taken.errno) == (is_complete, is_torn, count, 0)


def test_the_answer_to_another_question_is_passed_over() -> None:
    taken = answer(LINKS, sequence=SEQUENCE + 1)

    assert (taken.is_complete, taken.messages) == (False, [])


def test_each_decoder_passes_over_the_messages_of_others() -> None:
    assert decoded(wire.link, ROUTES) == []
    assert decoded(wire.label, LINKS) == []
    assert decoded(wire.ipv4, LINKS) == []
    assert decoded(wire.default_route, NEIGHBOURS) == []
    assert decoded(wire.way, LINKS) == []
    assert decoded(wire.neighbour, LINKS) == []


# Whatever comes, only Garbled is raised.

RECORDED: Final = (LINKS, ADDRESSES, ROUTES, NEIGHBOURS, WAY, WAY_IPV6, WAY_VIA_INET6, NOWHERE, DONE)


def read(datagram: bytes) -> None:
    """All that is ever done with a datagram."""
    taken = KernelAnswer(DUMP, SEQUENCE)
    with contextlib.suppress(Garbled):
        taken.take(datagram)
    decoders: tuple[Callable[[wire.Message], object], ...] = (
        wire.link,
        wire.label,
        wire.ipv4,
        wire.default_route,
        wire.way,
        wire.neighbour,
    )
    for message in taken.messages:
        for decode in decoders:
            with contextlib.suppress(Garbled):
                decode(message)


@given(st.binary(max_size=200))
@example(b"\0" * 16)
def test_any_bytes_are_read_or_garbled(datagram: bytes) -> None:
    read(datagram)


@given(st.sampled_from([16, 20, 24, 28]), st.binary(max_size=120))
def test_any_body_of_a_known_kind_is_read_or_garbled(kind: int, body: bytes) -> None:
    head = (16 + len(body)).to_bytes(4, "little") + kind.to_bytes(2, "little") + b"\0\0\x07\0\0\0\0\0\0\0"

    read(head + body)


@given(st.sampled_from(RECORDED), st.data())
def test_a_recording_with_any_byte_changed_is_read_or_garbled(datagram: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(datagram) - 1))
    value = data.draw(st.integers(0, 255))

    read(datagram[:at] + bytes([value]) + datagram[at + 1 :])


@given(st.sampled_from(RECORDED), st.data())
def test_a_recording_that_is_cut_off_is_read_or_garbled(datagram: bytes, data: st.DataObject) -> None:
    read(datagram[: data.draw(st.integers(0, len(datagram)))])


@pytest.mark.parametrize("length", [0, 4, 15])
def test_a_message_shorter_than_its_head_is_garbled(length: int) -> None:
    with pytest.raises(Garbled, match="claims"):
        list(wire.messages(length.to_bytes(4, "little") + bytes(12)))
