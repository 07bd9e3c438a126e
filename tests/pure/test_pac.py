"""What a PAC file says, and what its bytes are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.values.pac import LONGEST_ANSWER, MOST_SKIPPED, MOST_WAYS, PacAnswer, Way, decoded, is_html, read_answer
from agent.values.pacparser import how_to_install
from agent.values.settings import ProxyUrl, Scheme


def by(scheme: Scheme, host: str, port: int) -> Way:
    return Way(ProxyUrl(scheme, host, port))


A = by(Scheme.HTTP, "a", 8080)
B = by(Scheme.HTTPS, "b", 443)
C = by(Scheme.SOCKS5, "c", 1080)
DIRECT = Way()
NO_HOST = "not a valid host and port"


@pytest.mark.parametrize(("text", "ways", "skipped"), [
    pytest.param("PROXY a:8080; HTTPS b:443; SOCKS5 c:1080; DIRECT", [A, B, C, DIRECT], [], id="one-of-each"),
    pytest.param("DIRECT", [DIRECT], [], id="direct"),
    pytest.param("proxy A:8080;direct", [A, DIRECT], [], id="lower-case, no blank"),
    pytest.param(" \tPROXY\t a:8080 ;;\r\n; DIRECT ; ", [A, DIRECT], [], id="blanks and nothing between"),
    pytest.param("HTTP a:8080; SOCKS c:1080", [A, C], [], id="the other words for them"),
    pytest.param("PROXY a; HTTPS b; SOCKS c", [by(Scheme.HTTP, "a", 80), B, C], [], id="without a port"),
    pytest.param("PROXY a:8080; PROXY a:8080; DIRECT; PROXY A:8080", [A, DIRECT], [], id="each once"),
    pytest.param("PROXY a:8080; HTTPS a:8080", [A, by(Scheme.HTTPS, "a", 8080)], [], id="the same host by two schemes"),
    pytest.param("PROXY [2001:DB8::1]:8080", [by(Scheme.HTTP, "2001:db8::1", 8080)], [], id="IPv6"),
    pytest.param("PROXY 10.1.2.3:3128", [by(Scheme.HTTP, "10.1.2.3", 3128)], [], id="IPv4"),
    pytest.param("", [], ["an empty answer"], id="empty"),
    pytest.param(" ; ;", [], ["an empty answer"], id="nothing but separators"),
    pytest.param("null", [], ["null"], id="what JavaScript makes of nothing"),
    pytest.param(f"PROXY {'a' * 254}:1; DIRECT", [DIRECT], [f"PROXY {'a' * 73}…: {NO_HOST}"], id="a host that no name can be"),
    pytest.param("PROXY null:1; DIRECT", [DIRECT], [f"PROXY null:1: {NO_HOST}"], id="null:1"),
    pytest.param("PROXY undefined:8080", [], [f"PROXY undefined:8080: {NO_HOST}"], id="undefined"),
    pytest.param("PROXY 0.0.0.0:3421", [], [f"PROXY 0.0.0.0:3421: {NO_HOST}"], id="nowhere"),
    pytest.param("PROXY [::]:80", [], [f"PROXY [::]:80: {NO_HOST}"], id="nowhere, IPv6"),
    pytest.param("PROXY 127.0.0.1:3128", [by(Scheme.HTTP, "127.0.0.1", 3128)], [], id="loopback may be an app"),
    pytest.param("PROXY a:0; PROXY a:65536; PROXY :80; PROXY a:x", [],
                 [f"PROXY {bad}: {NO_HOST}" for bad in ("a:0", "a:65536", ":80", "a:x")], id="no ports, no host"),
    pytest.param("PROXY http://a:8080; PROXY a:8080/", [], [f"PROXY http://a:8080: {NO_HOST}", f"PROXY a:8080/: {NO_HOST}"], id="a URL"),
    pytest.param("SOCKS4 c:1080; SOCKS5 c:1080", [C], ["SOCKS4 c:1080: SOCKS 4 is not supported"], id="SOCKS4"),
    pytest.param("QUIC q:443; PROXY; PROXY a:8080 b; DIRECT now", [], ["QUIC q:443", "PROXY", "PROXY a:8080 b", "DIRECT now"], id="unknown words"),
    pytest.param("PROXY a\u00a0b:80", [], [f"PROXY a\\xa0b:80: {NO_HOST}"], id="what looks like a blank"),
    pytest.param("PR\x1b[2JOXY a:80; PROXY a\x00:80", [], ["PR\\x1b[2JOXY a:80", f"PROXY a\\x00:80: {NO_HOST}"], id="control characters"),
    pytest.param("x" * LONGEST_ANSWER + ";DIRECT", [], ["everything after the first 8 KB"], id="too long"),
    pytest.param("DIRECT;" + "x" * 2**20, [DIRECT], ["everything after the first 8 KB"], id="1 MiB, of which the first counts"),
])  # fmt: skip
def test_what_a_pac_answered_is_read_way_by_way(text: str, ways: list[Way], skipped: list[str]) -> None:
    assert read_answer(text) == PacAnswer(tuple(ways), tuple(skipped))


def test_no_more_ways_than_anybody_needs() -> None:
    found = read_answer("; ".join(f"PROXY p{number}:80" for number in range(99)) + "; PROXY p0:80")

    assert [str(way) for way in found.ways] == [f"p{number}:80" for number in range(MOST_WAYS)]
    assert found.skipped == (f"more than {MOST_WAYS} ways",)


def test_no_more_of_what_is_skipped_than_anybody_reads() -> None:
    found = read_answer("; ".join(f"NO{number}" for number in range(99)))

    assert found.skipped == (*(f"NO{number}" for number in range(MOST_SKIPPED - 1)), "and 92 more")


def test_a_password_in_an_answer_is_neither_taken_nor_shown() -> None:
    found = read_answer("PROXY alice:Zecret9@a:8080")

    assert not found.ways
    assert "Zecret9" not in str(found)


@given(st.text(st.characters(exclude_categories=()), max_size=400))
def test_any_answer_is_bounded_and_prints(text: str) -> None:
    for found in (read_answer(text), read_answer(f"PROXY {text}")):
        assert len(found.ways) <= MOST_WAYS
        assert len(found.skipped) <= MOST_SKIPPED
        assert all(part.isprintable() and len(part) < 150 for part in (*found.skipped, *map(str, found.ways)))
        assert found.ways or found.skipped


@pytest.mark.parametrize(("way", "said"), [
    (A, "a:8080"), (B, "https://b:443"), (C, "socks5://c:1080"), (DIRECT, "direct"),
    (by(Scheme.HTTP, "2001:db8::1", 8080), "[2001:db8::1]:8080"),
])  # fmt: skip
def test_how_a_way_is_said(way: Way, said: str) -> None:
    assert str(way) == said


SCRIPT = 'function FindProxyForURL(url, host) { return "DIRECT"; } // Büro'


@pytest.mark.parametrize(("data", "charset"), [
    pytest.param(SCRIPT.encode(), "", id="utf-8"),
    pytest.param(b"\xef\xbb\xbf" + SCRIPT.encode(), "iso-8859-1", id="utf-8 with its mark, whatever the server says"),
    pytest.param(SCRIPT.encode("latin-1"), "", id="latin-1 that nobody told"),
    pytest.param(SCRIPT.encode("latin-1"), "ISO-8859-1", id="latin-1"),
    pytest.param(SCRIPT.encode("latin-1"), "utf-8", id="latin-1 that is called utf-8"),
    pytest.param(SCRIPT.encode("utf-16-le"), "", id="utf-16-le without its mark"),
    pytest.param(SCRIPT.encode("utf-16-be"), "", id="utf-16-be without its mark"),
    pytest.param(b"\xff\xfe" + SCRIPT.encode("utf-16-le"), "", id="utf-16-le"),
    pytest.param(b"\xfe\xff" + SCRIPT.encode("utf-16-be"), "", id="utf-16-be"),
    pytest.param(SCRIPT.encode(), "zip", id="a codec that is none of text"),
])  # fmt: skip
def test_the_text_of_a_script(data: bytes, charset: str) -> None:
    assert decoded(data, charset) == SCRIPT


@given(st.binary(max_size=200), st.sampled_from(["", "utf-8", "utf-16", "iso-8859-15"]))
def test_any_bytes_have_a_text(data: bytes, charset: str) -> None:
    assert decoded(data, charset).isascii() or decoded(data, charset).encode()  # no half of a surrogate pair


@pytest.mark.parametrize(("text", "is_page"), [
    pytest.param(SCRIPT, False, id="a script"),
    pytest.param("<!DOCTYPE html><html>", True, id="a page"),
    pytest.param("\ufeff \r\n<html>FindProxyForURL", True, id="a page that knows what it is"),
    pytest.param("<!-- sign in --><html>", True, id="a page that begins with a comment"),
    pytest.param(f"<!-- hidden from old browsers\n{SCRIPT}\n-->", False, id="a script in a comment of HTML's"),
    pytest.param("", False, id="nothing"),
])  # fmt: skip
def test_a_page_is_no_script(text: str, is_page: bool) -> None:
    assert is_html(text) is is_page


@pytest.mark.parametrize(("prefix", "is_there", "command"), [
    pytest.param("/opt/docker-proxy-agent", False, "sudo /opt/docker-proxy-agent/bin/pip install 'pacparser>=1.5'", id="make-install"),
    pytest.param("/usr", False, "sudo apt install python3-pacparser", id="package"),
    pytest.param("/usr", True, "sudo python3 -m pip install --break-system-packages 'pacparser>=1.5'", id="debians-is-too-old"),
])  # fmt: skip
def test_how_the_evaluator_is_brought(prefix: str, is_there: bool, command: str) -> None:
    assert how_to_install(prefix, "/usr", is_there=is_there) == command
