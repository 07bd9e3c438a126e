"""A registry's answer in, an outcome with its evidence out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probe.exchange import HttpAnswer
from agent.probe.registry_answer import Answerer, judged, on_port_80
from agent.values.verdict import Outcome

REGISTRY = (b"docker-distribution-api-version", b"registry/2.0")


def answer(status: int, *headers: tuple[bytes, bytes], location: str | None = None) -> HttpAnswer:
    to = () if location is None else ((b"location", location.encode()),)
    return HttpAnswer(status, (*headers, *to))


@pytest.mark.parametrize(
    ("status", "verified", "plain_registry", "plain", "by_proxy"),
    [
        (200, Outcome.OK, Outcome.OK, Outcome.PORTAL, Outcome.PORTAL),
        (401, Outcome.OK, Outcome.OK, Outcome.PORTAL, Outcome.PROXY_DENIED),
        (429, Outcome.OK, Outcome.OK, Outcome.PORTAL, Outcome.PROXY_DENIED),
        (302, Outcome.PORTAL, Outcome.PORTAL, Outcome.PORTAL, Outcome.PORTAL),
        (511, Outcome.PORTAL, Outcome.PORTAL, Outcome.PORTAL, Outcome.PORTAL),
        (403, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.PORTAL, Outcome.PROXY_DENIED),
        (404, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.PORTAL, Outcome.PROXY_DENIED),
        (407, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.PORTAL, Outcome.PROXY_AUTH),
        (500, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.PROXY_DOWN),
        (502, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.PROXY_DOWN),
        (503, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.PROXY_DOWN),
        (504, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.REGISTRY, Outcome.PROXY_DOWN),
    ],
)
def test_what_an_answer_means(
    status: int, verified: Outcome, plain_registry: Outcome, plain: Outcome, by_proxy: Outcome
) -> None:
    assert judged(answer(status), Answerer.REGISTRY)[0] is verified
    assert judged(answer(status, REGISTRY), Answerer.ANYBODY)[0] is plain_registry
    assert judged(answer(status, REGISTRY), Answerer.PROXY)[0] is plain_registry
    assert judged(answer(status), Answerer.ANYBODY)[0] is plain
    assert judged(answer(status), Answerer.PROXY)[0] is by_proxy


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        pytest.param("http://portal.test/login?mac=02:00", "302 to http://portal.test/…", id="path-and-query"),
        pytest.param("http://portal.test:8080/", "302 to http://portal.test:8080", id="host-alone"),
        pytest.param("HTTPS://Portal.test?token=x", "302 to HTTPS://Portal.test/…", id="query-alone"),
        pytest.param("http://alice:sesame@portal.test/", "302 to http://•••@portal.test", id="credentials"),
        pytest.param("http://[2001:db8::1]/x", "302 to http://[2001:db8::1]/…", id="ipv6"),
        pytest.param("/login", "302 to another page of the same host", id="relative"),
        pytest.param("http://\x1b[31mportal.test/", "302 to ‹unparsable›", id="control-characters"),
        pytest.param("", "302 to nowhere", id="empty"),
        pytest.param(None, "302 to nowhere", id="absent"),
    ],
)
def test_where_a_redirect_leads(location: str | None, shown: str) -> None:
    assert judged(answer(302, location=location), Answerer.ANYBODY) == (Outcome.PORTAL, shown)


@given(st.binary(max_size=300))
def test_no_location_is_an_error_or_more_than_a_line(location: bytes) -> None:
    _, evidence = judged(HttpAnswer(302, ((b"location", location),)), Answerer.ANYBODY)

    assert evidence.isprintable()
    assert len(evidence) <= 220


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        pytest.param(answer(301, location="https://registry.test/v2/"), None, id="registry-to-https"),
        pytest.param(answer(308, location="HTTPS://Registry.TEST:443/"), None, id="spelled-otherwise"),
        pytest.param(answer(302, location="http://portal.test/"), "302 to http://portal.test on port 80", id="away"),
        pytest.param(
            answer(302, location="http://registry.test.evil.test/"),
            "302 to http://registry.test.evil.test on port 80",
            id="a-longer-name",
        ),
        pytest.param(answer(302, location="/login"), "302 to another page of the same host on port 80", id="relative"),
        pytest.param(answer(302), "302 to nowhere on port 80", id="nowhere"),
        pytest.param(answer(200), "200 OK on port 80", id="page"),
        pytest.param(answer(511), "511 Network Authentication Required on port 80", id="511"),
        pytest.param(answer(404), "404 Not Found on port 80", id="any-answer"),
    ],
)
def test_what_port_80_says_of_a_portal(found: HttpAnswer, shown: str | None) -> None:
    assert on_port_80(found, "registry.test") == shown
