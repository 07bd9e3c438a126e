"""Addresses that nobody of another user can take while nobody listens there."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator

import pytest

from agent.one_pass.held_addresses import HeldAddresses

from .listeners import SOMEBODY, listening, needs_root

OPTIONS = ("", "reuse", "share", "reuse share")
FREEBIND = 15  # linux/in.h


def as_systemd(address: str, port: int = 0, *, shares: bool = True) -> socket.socket:
    """What it listens with for a unit that has `ReusePort=yes`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, reuse_port=shares)  # SO_REUSEADDR, too


def takes(address: str, port: int) -> set[str]:
    """What becomes of somebody's tries to listen there."""
    said = set()
    for options in OPTIONS:
        with listening(SOMEBODY, address, port, options) as stranger:
            said.add(stranger.said)
    return said


@pytest.fixture(params=["127.0.0.1", "::1"])
def opened(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with as_systemd(request.param) as one:
        yield one


def end_of(one: socket.socket) -> str:
    host, port = one.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@needs_root
@pytest.mark.parametrize("is_open", [True, False], ids=["a-tunnel-is-open", "nothing-is-open"])
def test_between_two_sockets_of_systemd_nobody_else_gets_in(opened: socket.socket, *, is_open: bool) -> None:
    address, port = opened.getsockname()[:2]
    client = socket.create_connection((address, port)) if is_open else socket.socket()
    if is_open:  # accepted by the relay's user, whose it is from then on
        os.seteuid(pwd.getpwnam(SOMEBODY).pw_uid)
        served, _ = opened.accept()
        os.seteuid(0)
    else:
        served = socket.socket()

    with client, served, HeldAddresses() as held:
        assert held.hold([end_of(opened)]) == []
        opened.close()

        assert takes(address, port) == {"EADDRINUSE"}
        with pytest.raises(ConnectionRefusedError):  # it does not wait for nothing
            socket.create_connection((address, port)).close()
        with as_systemd(address, port) as again:
            held.let_go()
            with socket.create_connection((address, port)) as guest:
                accepted, peer = again.accept()
                accepted.close()
                assert peer == guest.getsockname()
            assert takes(address, port) == {"EADDRINUSE"}


@needs_root
def test_what_was_let_go_is_anybodys(opened: socket.socket) -> None:
    address, port = opened.getsockname()[:2]
    with HeldAddresses() as held:
        held.hold([end_of(opened)])
        opened.close()

    assert takes(address, port) == {str(port)}


def test_an_address_that_is_not_there_yet_is_held_as_well() -> None:
    """That of a bridge that is still to come."""
    with HeldAddresses() as held, socket.socket() as late:
        late.setsockopt(socket.IPPROTO_IP, FREEBIND, 1)
        assert held.hold(["198.51.100.7:43130"]) == []
        with pytest.raises(OSError, match="Address already in use"):
            late.bind(("198.51.100.7", 43130))


@needs_root
def test_what_somebody_has_is_told_though_he_does_not_listen_yet() -> None:
    with HeldAddresses() as held, socket.socket() as his:
        os.seteuid(pwd.getpwnam(SOMEBODY).pw_uid)
        try:
            his.bind(("127.0.0.1", 0))
        finally:
            os.seteuid(0)
        assert held.hold([end_of(his)]) == [end_of(his)]
        assert not held.let_go()


@needs_root
def test_what_may_not_be_bound_to_is_passed_over() -> None:
    """Nobody without rights can take a port below 1024."""
    with HeldAddresses() as held:
        os.seteuid(pwd.getpwnam(SOMEBODY).pw_uid)
        try:
            assert held.hold(["127.0.0.1:999"]) == []
        finally:
            os.seteuid(0)
        assert not held.let_go()
