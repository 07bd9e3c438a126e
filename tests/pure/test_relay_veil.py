"""What a proxy shows of our request has no password any more, however it writes it and in whichever pieces it comes."""

from __future__ import annotations

import time
import urllib.parse
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.relay.veil import MOST_HELD, TooMuchShown, Veil, veiled

PASSWORD: Final = b"Y29ycDpz+M2NyM3Q/tcHc="
HEAD: Final = b"GET / HTTP/1.1\nProxy-Authorization: Basic " + PASSWORD + b"\r\nUser-Agent: x\r\n"
# As Squid 5.7 writes it, but for what Debian's patch leaves out.
SQUIDS: Final = (
    b'<a href="mailto:webmaster?subject=CacheErrorInfo%20-%20ERR_DNS_FAIL&amp;body=HTTP%20Request%3A%0D%0A'
    + urllib.parse.quote(HEAD, safe="").encode()
    + b'">webmaster</a>'
)


@pytest.mark.parametrize(
    ("shown", "left"),
    [
        pytest.param(HEAD, HEAD.replace(PASSWORD, b"*" * len(PASSWORD)), id="as-it-was-sent"),
        pytest.param(HEAD.upper(), HEAD.upper().replace(PASSWORD.upper(), b"*" * len(PASSWORD)), id="in-capitals"),
        pytest.param(
            SQUIDS, SQUIDS.replace(b"Y29ycDpz%2BM2NyM3Q%2FtcHc%3D", b"*" * 28), id="as-squid-puts-it-into-a-link"
        ),
        pytest.param(b'{"Proxy-Authorization": "Basic a\\/b\\u003d"}', b'{"Proxy-Authorization": "Basic **********"}', id="json"),
        pytest.param(b"HTTP_PROXY_AUTHORIZATION=Basic YTpi", b"HTTP_PROXY_AUTHORIZATION=Basic ****", id="cgi"),
        pytest.param(
            b"<td>Proxy-Authorization</td><td>Basic&nbsp;YTpi&#43;&#x3D;</td>",
            b"<td>Proxy-Authorization</td><td>Basic&nbsp;***************</td>",
            id="html",
        ),
        pytest.param(b"proxy-authorization=Basic+YTpi&x=1", b"proxy-authorization=Basic+****&x=1", id="form"),
        pytest.param(b"Authorization: Basic YTpi\r\n", b"Authorization: Basic YTpi\r\n", id="a-servers-own"),
        pytest.param(b"Proxy-Authorization: Digest x\r\n", b"Proxy-Authorization: Digest x\r\n", id="not-ours"),
    ],
)  # fmt: skip
def test_it_is_overwritten_to_the_same_length(shown: bytes, left: bytes) -> None:
    assert veiled(shown) == left


@given(st.lists(st.integers(1, 500)), st.integers(0, 2 * MOST_HELD), st.binary(max_size=100))
def test_in_whichever_pieces_it_comes(cuts: list[int], before: int, after: bytes) -> None:
    page = b"x" * before + SQUIDS + after
    veil, said, at = Veil(), b"", 0
    for cut in cuts:
        said += veil.some(page[at : at + cut])
        at += cut
    said += veil.some(page[at:])

    assert said + veil.rest() == veiled(page)
    assert PASSWORD[:8] not in veiled(page)


@pytest.mark.parametrize(
    "decoy",
    [
        pytest.param(b"X: proxy-authorization basic\r\n", id="another-before-it"),
        pytest.param(b"X: proxy-authorization\r\n", id="its-name-before-it"),
        pytest.param(b"X: proxy-authorization basic " + b"a" * 1020 + b"/", id="a-long-one-without-an-end"),
        pytest.param(b"X: proxy-authorization=basic+" * 60, id="many"),
        pytest.param(b"X: proxy-authorization basic " + b"a" * 3 * MOST_HELD + b"\r\n", id="a-longer-one-than-is-seen"),
    ],
)
@pytest.mark.parametrize("piece", [1, 1000, 100_000])
def test_who_writes_something_like_it_before_it_does_not_hide_it(decoy: bytes, piece: int) -> None:
    """A client's own headers are shown as well."""
    page, veil = decoy + HEAD + b"z" * 10, Veil()

    said = b"".join(veil.some(page[at : at + piece]) for at in range(0, len(page), piece)) + veil.rest()

    assert len(said) == len(page)
    assert PASSWORD[:8] not in said


def test_a_page_of_such_headers_alone_is_given_up_before_it_takes_long() -> None:
    for page in (HEAD * 1000, b"proxy-authorization" * 3000, b"proxy-authorization=basic+" * 3000):
        began = time.process_time()
        with pytest.raises(TooMuchShown):
            veiled(page)
        assert time.process_time() - began < 0.1


def test_of_a_large_page_only_the_last_waits() -> None:
    assert len(Veil().some(b"x" * 3 * MOST_HELD)) == 2 * MOST_HELD
