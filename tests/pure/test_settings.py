"""When two settings are the same, and what never shows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.values.secret import Secret
from agent.values.settings import (
    DIRECT,
    Credentials,
    Masked,
    ProxyUrl,
    Scheme,
    Settings,
    Texts,
    Unparsable,
    agrees,
    no_proxy,
    proxy,
    settings,
)

# Lists of spellings: all of one list mean the same, no two lists do.
SAME_PROXY = [
    ["http://proxy.corp.example:3128", "HTTP://Proxy.Corp.Example:3128/", "proxy.corp.example:3128"],
    ["http://proxy.corp.example", "http://proxy.corp.example:80", "proxy.corp.example", "http://proxy.corp.example:/"],
    ["https://proxy.corp.example", "https://proxy.corp.example:443"],
    ["socks5://proxy.corp.example", "socks5://proxy.corp.example:1080"],
    ["socks5h://proxy.corp.example"],
    ["http://[2001:db8::1]:3128", "http://[2001:DB8:0:0::1]:3128"],
    ["http://alice@proxy.corp.example:3128", "http://%61lice@proxy.corp.example:3128"],
    ["http://alice:@proxy.corp.example:3128"],
    ["http://alice:p%40ss@proxy.corp.example:3128", "http://alice:p@ss@proxy.corp.example:3128"],
]
NO_PROXY_URL = [
    "socks4://proxy:1080",
    "ftp://proxy",
    "http://",
    "http://proxy:99999",
    "http://proxy:0",
    "http://pro xy:3128",
    " http://proxy:3128",
    "http://alice:p#ss@proxy:3128",
    "http://alice:p%zz@proxy:3128",
    "http://alice:%ff@proxy:3128",
    "http://a@[::1",
    "http://proxy:3128?x",
    "HTTP_PROXY=http://proxy:3128",
]
SAME_NO_PROXY = [
    ["a.example,b.example", "b.example, A.example.", "a.example,,b.example,a.example", " b.example ,a.example"],
    [".a.example,b.example"],
    ["10.0.0.0/8", "10.1.2.3/8", "10.0.0.0/8,"],
    ["::1", "0:0:0:0:0:0:0:1"],
    ["2001:db8::/32", "2001:DB8:1::/32"],
    ["", " ", ",,"],
]


@pytest.mark.parametrize(("read", "classes"), [(proxy, SAME_PROXY), (no_proxy, SAME_NO_PROXY)])
def test_spellings_of_one_class_are_equal_and_of_two_are_not(read: object, classes: list[list[str]]) -> None:
    assert callable(read)
    for spellings in classes:
        assert len({read(spelling) for spelling in spellings}) == 1, spellings
    for one, other in itertools.combinations(classes, 2):
        assert read(one[0]) != read(other[0])


@pytest.mark.parametrize("text", NO_PROXY_URL)
def test_what_go_cannot_use_is_no_proxy(text: str) -> None:
    assert proxy(text) == Unparsable(Secret(text))


def test_a_masked_user_is_not_a_user_named_xxxxx() -> None:
    read = proxy("http://xxxxx:xxxxx@proxy:3128")

    assert isinstance(read, ProxyUrl)
    assert read.credentials is Masked.MASKED


@pytest.mark.parametrize(
    "spelled",
    [
        settings(),
        settings(no_proxy="localhost"),
        settings(http="", https=""),
        settings(http="http://proxy:3128", https="http://proxy:3128", no_proxy="localhost, *"),
        Texts(no_proxy="*", http="socks4://nonsense").meaning(),
    ],
)
def test_everything_that_means_direct_is_direct(spelled: Settings) -> None:
    assert spelled == DIRECT
    assert spelled.is_direct


def test_one_half_through_a_proxy_is_not_direct() -> None:
    assert not settings(https="http://proxy:3128").is_direct
    assert settings(https="http://proxy:3128") != settings(http="http://proxy:3128")


WANTED = settings("http://alice:p%40ss@proxy:3128", "http://alice:p%40ss@proxy:3128", "localhost,.corp.example")


@pytest.mark.parametrize(
    ("http", "https", "exclusions", "agree"),
    [
        pytest.param("http://alice:p%40ss@proxy:3128", None, None, True, id="the-same"),
        pytest.param("http://xxxxx:xxxxx@proxy:3128", None, None, True, id="masked"),
        pytest.param("http://xxxxx:xxxxx@proxy:3129", None, None, False, id="masked-another-port"),
        pytest.param("http://proxy:3128", None, None, False, id="without-password"),
        pytest.param("http://alice:other@proxy:3128", None, None, False, id="another-password"),
        pytest.param("http://xxxxx:xxxxx@proxy:3128", "", None, False, id="https-is-direct"),
        pytest.param("http://xxxxx:xxxxx@proxy:3128", None, ".CORP.example , localhost", True, id="no-proxy-reordered"),
        pytest.param("http://xxxxx:xxxxx@proxy:3128", None, "localhost", False, id="no-proxy-shorter"),
        pytest.param("http://al:p#ss@proxy:3128", "http://al:p#ss@proxy:3128", None, False, id="unparsable"),
    ],
)
def test_what_dockerd_reports_agrees_with_what_is_wanted(
    http: str, https: str | None, exclusions: str | None, agree: bool
) -> None:
    real = settings(http, http if https is None else https, WANTED.no_proxy if exclusions is None else exclusions)

    assert agrees(real, WANTED) is agree


def test_masked_credentials_do_not_agree_with_none() -> None:
    masked = settings("http://xxxxx:xxxxx@proxy:3128")

    assert not agrees(masked, settings("http://proxy:3128"))


def test_credentials_known_to_be_others_agree_with_nothing() -> None:
    other = ProxyUrl(Scheme.HTTP, "proxy", 3128, Masked.OTHER)

    assert not agrees(settings(other, other, WANTED.no_proxy), WANTED)


@pytest.mark.parametrize(
    ("real", "desired", "agree"),
    [
        pytest.param("http://p#x", "http://p#x", True, id="as-it-stands"),
        pytest.param("http://p#x", "http://p#y", False, id="another"),
        pytest.param("http://a:p@ss:w#rd@proxy:1", "http://a:p@ss:w#rd@proxy:1", True, id="which-go-cannot-read-either"),
        pytest.param("ftp://xxxxx:xxxxx@proxy:1", "FTP://alice:p%40ss@proxy:1", True, id="masked"),
        pytest.param("http://xxxxx:xxxxx@pr%C3%B6xy:1", "http://alice:p@pröxy:1", True, id="masked-and-spelled-anew"),
        pytest.param("ftp://xxxxx:xxxxx@proxy:1", "ftp://proxy:1", False, id="masked-and-none"),
        pytest.param("ftp://xxxxx:xxxxx@proxy:1", "ftp://alice:p@proxy:2", False, id="masked-another-port"),
        pytest.param("", "http://p#x", False, id="dropped"),
        pytest.param("http://p:1", "http://p#x", False, id="a-proxy-instead"),
    ],
)  # fmt: skip
def test_what_is_no_proxys_url_agrees_only_as_it_stands(real: str, desired: str, agree: bool) -> None:
    assert agrees(settings(real, "http://h:1"), settings(desired, "http://h:1")) is agree


def test_what_is_no_proxys_url_does_not_show() -> None:
    assert "zecret9" not in repr(settings("http://alice:zecret9#@proxy:1"))


def test_socks5h_is_written_for_dockerd_as_socks5() -> None:
    read = proxy("socks5h://alice:x@proxy")

    assert isinstance(read, ProxyUrl)
    assert read.reveal_for_dockerd() == "socks5://alice:x@proxy:1080"
    assert read.as_dockerd_sees_it() == proxy("socks5://alice:x@proxy:1080")


def test_texts_override_each_key_on_its_own() -> None:
    file = Texts(https="http://file:1")
    environment = Texts(http="http://env:1", https="http://env:2", no_proxy="*")

    assert file.over(environment) == Texts("http://env:1", "http://file:1", "*")


USERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
PASSWORDS = st.none() | st.text(st.characters(exclude_categories=["Cs"]))


@given(USERS, PASSWORDS)
def test_credentials_survive_a_url(username: str, password: str | None) -> None:
    credentials = Credentials(username, None if password is None else Secret(password))
    url = ProxyUrl(Scheme.HTTP, "proxy", 3128, credentials)

    if credentials != Credentials("xxxxx", Secret("xxxxx")):
        assert proxy(url.reveal()) == url


@example("0..")
@given(st.text())
def test_reading_any_text_is_idempotent(text: str) -> None:
    read = proxy(text)

    if isinstance(read, ProxyUrl) and not isinstance(read.credentials, Masked):
        assert proxy(read.reveal()) == read
    assert no_proxy(",".join(no_proxy(text))) == no_proxy(text)


@given(st.text(min_size=1).map("hunter2{}".format), st.booleans())
def test_a_password_shows_nowhere(password: str, is_user: bool) -> None:
    credentials = Credentials(password) if is_user else Credentials("alice", Secret(password))
    url = ProxyUrl(Scheme.HTTP, "proxy", 3128, credentials)
    whole = settings(url, url, ["localhost"])

    for shown in (str(url), repr(url), f"{url!s:>40}", repr(whole), str(whole.lines()), repr(Texts(http=url.reveal()))):
        assert password not in shown
