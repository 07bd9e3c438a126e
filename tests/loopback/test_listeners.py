"""Who listens on this host, asked of the real kernel; and that nobody can stand in for somebody else."""

from __future__ import annotations

import os
import pwd
import socket

import pytest

from agent.see import netlink
from tests.loopback.listeners import ME, SOMEBODY, listening, needs_root

MINE = os.geteuid()


@pytest.mark.parametrize(
    ("address", "options", "seen"),
    [
        pytest.param("127.0.0.1", "", ("127.0.0.1", False), id="one-address"),
        pytest.param("0.0.0.0", "", ("0.0.0.0", False), id="all-of-ipv4"),
        pytest.param("::", "both", ("::", False), id="all-of-both"),
        pytest.param("::", "only", ("::", True), id="all-of-ipv6-alone"),
        pytest.param("::ffff:127.0.0.1", "both", ("127.0.0.1", False), id="ipv4-by-a-socket-of-ipv6"),
    ],
)
def test_who_listens_where(address: str, options: str, seen: tuple[str, bool]) -> None:
    with listening(ME, address, options=options) as one:
        found = netlink.listeners(one.port, ["::1" if address == "::" and options == "only" else "127.0.0.1"])

    assert [(each.address, each.is_ipv6_only, each.uid, each.port) for each in found] == [(*seen, MINE, one.port)]


def test_two_sockets_of_one_port_are_told_apart_and_who_has_gone_is_gone() -> None:
    asked = ["127.0.0.1", "127.0.0.2"]
    with listening(ME, "127.0.0.1") as one, listening(ME, "127.0.0.2", one.port):
        both = netlink.listeners(one.port, asked)
        assert [each.address for each in both] == asked
        assert len({each.cookie for each in both}) == 2
        assert netlink.listeners(one.port, asked) == both

    assert netlink.listeners(one.port, asked) == []


@needs_root
def test_whose_a_listener_is() -> None:
    with listening(SOMEBODY, "127.0.0.1") as one:
        assert [each.uid for each in netlink.listeners(one.port, ["127.0.0.1"])] == [pwd.getpwnam(SOMEBODY).pw_uid]


@needs_root
def test_it_cannot_be_given_away() -> None:
    with listening(SOMEBODY, "127.0.0.1", options="give") as one:
        assert one.said == "EPERM"


def test_a_proxy_written_in_go_listens_by_mptcp() -> None:
    try:
        several = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)  # IPPROTO_MPTCP: Go's own choice since 1.24
    except OSError as failure:
        pytest.skip(f"this kernel has no MPTCP: {failure}")
    with several:
        several.bind(("127.0.0.1", 0))
        several.listen()
        found = netlink.listeners(several.getsockname()[1], ["127.0.0.1"])

    assert [each.uid for each in found] == [MINE]


@needs_root
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        pytest.param(("0.0.0.0", "reuse"), ("127.0.0.1", "reuse"), id="one-address-of-all"),
        pytest.param(("0.0.0.0", "share"), ("127.0.0.1", "share"), id="though-both-share"),
        pytest.param(("127.0.0.1", "share"), ("127.0.0.1", "share"), id="the-same-though-both-share"),
        pytest.param(("::", "reuse both"), ("127.0.0.1", "reuse"), id="one-address-of-both-families"),
        pytest.param(("127.0.0.1", "reuse"), ("0.0.0.0", "reuse"), id="all-where-one-is-taken"),
        pytest.param(("127.0.0.1", "reuse"), ("::", "reuse both"), id="both-families-where-one-is-taken"),
    ],
)
def test_while_somebody_listens_nobody_else_can_take_it_from_them(
    mine: tuple[str, str], theirs: tuple[str, str]
) -> None:
    with listening(ME, mine[0], options=mine[1]) as one, listening(SOMEBODY, theirs[0], one.port, theirs[1]) as other:
        assert other.said == "EADDRINUSE"


@needs_root
def test_not_by_an_interface_either() -> None:
    with listening(ME, "0.0.0.0") as one, listening(SOMEBODY, "127.0.0.1", one.port, device="lo") as other:
        assert other.said == "EADDRINUSE"
    with (
        listening(SOMEBODY, "127.0.0.1", device="lo") as other,
        listening(ME, "0.0.0.0", other.port) as one,
    ):
        assert one.said == "EADDRINUSE"


def test_a_socket_bound_to_an_interface_says_so() -> None:
    with listening(ME, "127.0.0.1", device="lo") as one:
        assert [each.interface for each in netlink.listeners(one.port, ["127.0.0.1"])] == [1]


@needs_root
def test_an_address_that_is_free_is_anybodys() -> None:
    with listening(ME, "127.0.0.1") as one, listening(SOMEBODY, "127.0.0.2", one.port) as other:
        found = netlink.listeners(other.port, ["127.0.0.1", "127.0.0.2"])
        assert {each.uid for each in found} == {MINE, pwd.getpwnam(SOMEBODY).pw_uid}


@pytest.mark.parametrize(
    ("bound", "asked", "is_told"),
    [
        ("127.0.0.1", ["127.0.0.1"], True),
        ("127.0.0.1", ["172.17.0.1", "127.0.0.1"], True),
        ("0.0.0.0", ["127.0.0.1"], True),
        ("::", ["127.0.0.1"], True),
        ("::ffff:127.0.0.1", ["127.0.0.1"], True),
        ("::1", ["127.0.0.1", "::1"], True),
        ("127.0.0.2", ["127.0.0.1", "172.17.0.1"], False),
        ("::1", ["127.0.0.1"], False),
        ("127.0.0.1", ["::1"], False),
    ],
)
def test_only_who_may_take_what_goes_to_an_address_is_told(bound: str, asked: list[str], is_told: bool) -> None:
    """Anybody may listen at the port on all of 127/8; the kernel sorts them out."""
    is_ipv6 = ":" in bound
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    with socket.create_server((bound, 0), family=family, dualstack_ipv6=is_ipv6) as one:
        port = one.getsockname()[1]
        assert bool(netlink.listeners(port, asked)) is is_told


@needs_root
@pytest.mark.parametrize(
    ("theirs", "options"),
    [
        pytest.param("127.0.0.2", "reuse share", id="on-another-address"),
        pytest.param("::", "share only", id="for-ipv6-alone"),
    ],
)
def test_a_thousand_of_somebody_elses_beside_it_change_nothing(theirs: str, options: str) -> None:
    """Whoever could make the answer too long to be told could have a proxy given up."""
    asked = ["127.0.0.1", "172.17.0.1"]
    with (
        listening(ME, "127.0.0.1") as one,
        listening(SOMEBODY, theirs, one.port, options, times=1000) as other,
    ):
        assert other.port == one.port
        assert [(each.address, each.uid) for each in netlink.listeners(one.port, asked)] == [("127.0.0.1", MINE)]


def test_a_thousand_that_share_its_address_are_one() -> None:
    """They are one user's."""
    with listening(ME, "127.0.0.1", options="share", times=1000) as one:
        found = netlink.listeners(one.port, ["127.0.0.1"])
        assert [each.uid for each in found] == [MINE]
        assert netlink.listeners(one.port, ["127.0.0.1"]) == found


def test_what_is_bound_to_other_interfaces_is_told_where_nothing_else_listens() -> None:
    """Anybody may stand beside it so."""
    with listening(ME, "0.0.0.0", device="lo") as one:
        assert [each.interface for each in netlink.listeners(one.port, ["172.17.0.1"])] == [1]
