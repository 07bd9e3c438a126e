"""What a socket raises, and what it is called."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest

from agent.probe.exchange import DialogueFailed
from agent.probe.stopwatch import Step, Stopwatch
from agent.probe.stream import StreamFailed, failures_of
from agent.values.verdict import Outcome


def of_errno(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def of_garbage() -> ssl.SSLError:
    """What OpenSSL makes of a server that speaks plain HTTP."""
    incoming = ssl.MemoryBIO()
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="x")
    with pytest.raises(ssl.SSLError) as caught:
        client.do_handshake()
    return caught.value


@pytest.mark.parametrize(
    ("raised", "outcome", "says"),
    [
        pytest.param(of_errno(errno.ECONNREFUSED), Outcome.REFUSED, "nothing listens there", id="refused"),
        pytest.param(of_errno(errno.ENETUNREACH), Outcome.NO_ROUTE, "no route", id="network-unreachable"),
        pytest.param(of_errno(errno.EHOSTUNREACH), Outcome.NO_ROUTE, "no route", id="host-unreachable"),
        pytest.param(of_errno(errno.ENETDOWN), Outcome.NO_ROUTE, "no route", id="network-down"),
        pytest.param(of_errno(errno.EADDRNOTAVAIL), Outcome.NO_ROUTE, "no route", id="no-source-address"),
        pytest.param(of_errno(errno.ETIMEDOUT), Outcome.TIMEOUT, "no answer from that address", id="timed-out"),
        pytest.param(of_errno(errno.ECONNRESET), Outcome.ERROR, "connection lost", id="reset"),
        pytest.param(of_errno(errno.EPIPE), Outcome.ERROR, "connection lost", id="pipe"),
        pytest.param(of_errno(errno.EPERM), Outcome.ERROR, "Operation not permitted", id="a-firewall"),
        pytest.param(
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            Outcome.DNS,
            "Temporary failure in name resolution",
            id="dns",
        ),
        pytest.param(UnicodeError("label empty or too long"), Outcome.DNS, "no name that DNS could have", id="no-name"),
        pytest.param(of_garbage(), Outcome.ERROR, "failed (WRONG_VERSION_NUMBER)", id="tls"),
        pytest.param(DialogueFailed(Outcome.PROXY_DOWN, "503"), Outcome.PROXY_DOWN, "503", id="a-dialogue"),
    ],
)
def test_what_went_wrong(raised: Exception, outcome: Outcome, says: str) -> None:
    watch = Stopwatch()
    watch.enter(Step.CONNECT, "connecting")

    with pytest.raises(StreamFailed) as caught, failures_of(watch):
        raise raised

    failure = caught.value
    assert (failure.outcome, failure.evidence, failure.step) == (outcome, f"connecting: {says}", Step.CONNECT)
    assert failure.__cause__ is raised


def test_a_mistake_of_ours_is_no_verdict() -> None:
    with pytest.raises(KeyError), failures_of(Stopwatch()):
        raise KeyError
