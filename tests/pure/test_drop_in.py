"""The drop-in and the file with the values, read back as systemd and Go read them."""

from __future__ import annotations

import configparser
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.targets.drop_in import drop_in, edit, is_ours, read
from agent.targets.environment import parse
from agent.values.secret import Secret
from agent.values.settings import DIRECT, Credentials, ProxyUrl, Scheme, Settings, settings

NAMES = {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}

# The bytes that net/url takes in front of "@" (validUserinfo); any other makes Go drop the URL, and Docker go direct.
USERINFO = set(string.ascii_letters + string.digits + "-._~!$&'()*+,;=%:")

unicode_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
ascii_text = st.text(st.sampled_from([chr(code) for code in range(0x20, 0x7F)]), min_size=1)
words = st.one_of(ascii_text, unicode_text)
proxies = st.builds(
    ProxyUrl,
    st.sampled_from([Scheme.HTTP, Scheme.HTTPS, Scheme.SOCKS5]),
    st.sampled_from(["proxy.example", "10.0.0.1", "fd00::1"]),
    st.integers(1, 65535),
    st.one_of(st.none(), st.builds(Credentials, words, st.one_of(st.none(), st.builds(Secret, words)))),
)
entries = st.lists(st.sampled_from(["localhost", ".corp.example", "10.0.0.0/8", "::1", "a b", 'q"$`\\']), min_size=1)


@given(st.builds(settings, proxies, st.one_of(st.none(), proxies), entries))
def test_what_is_written_is_what_dockerd_gets(wanted: Settings) -> None:
    assert read(edit(wanted)).meaning() == wanted


@given(words, words)
def test_every_user_and_password_arrives(user: str, password: str) -> None:
    wanted = settings(ProxyUrl(Scheme.HTTP, "proxy.example", 3128, Credentials(user, Secret(password))))

    url = read(edit(wanted)).http

    assert set(url.removeprefix("http://").removesuffix("@proxy.example:3128")) <= USERINFO
    assert read(edit(wanted)).meaning() == wanted


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        pytest.param(DIRECT, dict.fromkeys(NAMES, ""), id="direct-is-six-empty-names"),
        pytest.param(
            settings("http://proxy.example:3128", None, "localhost,.corp.example"),
            {
                "HTTP_PROXY": "http://proxy.example:3128",
                "http_proxy": "http://proxy.example:3128",
                "HTTPS_PROXY": "",
                "https_proxy": "",
                "NO_PROXY": ".corp.example,localhost",
                "no_proxy": ".corp.example,localhost",
            },
            id="an-absent-one-is-written-empty",
        ),
        pytest.param(
            settings("socks5h://proxy.example", "socks5h://proxy.example", "localhost"),
            {
                "HTTP_PROXY": "socks5://proxy.example:1080",
                "http_proxy": "socks5://proxy.example:1080",
                "HTTPS_PROXY": "socks5://proxy.example:1080",
                "https_proxy": "socks5://proxy.example:1080",
                "NO_PROXY": "localhost",
                "no_proxy": "localhost",
            },
            id="socks5h-in-the-scheme-every-dockerd-knows",
        ),
    ],
)
def test_all_six_names_are_written(wanted: Settings, values: dict[str, str]) -> None:
    assert parse(edit(wanted)) == values


def test_the_values_hide_those_of_an_earlier_file() -> None:
    earlier = "HTTP_PROXY=http://old.example:1\nno_proxy=*\n"
    wanted = settings("http://proxy.example:3128", None, "localhost")

    assert read(earlier + edit(wanted)).meaning() == wanted
    assert read(earlier + edit(DIRECT)).meaning() == DIRECT


def test_the_drop_in_is_a_unit_file_with_one_setting_and_says_how_to_be_rid_of_it() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep the case
    unit.read_string(drop_in("/etc/docker-proxy-agent/dockerd.env"))

    assert {section: dict(unit[section]) for section in unit.sections()} == {
        "Service": {"EnvironmentFile": "-/etc/docker-proxy-agent/dockerd.env"}
    }
    assert "delete this file, then: systemctl daemon-reload" in drop_in("/etc/docker-proxy-agent/dockerd.env")


def test_a_percent_in_the_path_is_no_specifier() -> None:
    assert "EnvironmentFile=-/home/a%%h/dockerd.env\n" in drop_in("/home/a%h/dockerd.env")


OLDER = """\
# Written by docker-proxy-agent: it keeps Docker's proxy right while this machine moves between networks.
# To be rid of it: delete this file.
[Service]
EnvironmentFile=-/etc/docker-proxy-agent/dockerd.env
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(drop_in("/etc/docker-proxy-agent/dockerd.env"), True, id="this-version"),
        pytest.param(drop_in("/etc/docker-proxy-agent/dockerd.env", "systemctl --user"), True, id="a-users-own"),
        pytest.param(OLDER, True, id="another-version"),
        pytest.param(OLDER + "Environment=A=b\n", False, id="a-persons-line"),
        pytest.param(OLDER + "; in other words\n\n", True, id="a-comment-of-the-other-kind"),
        pytest.param(OLDER.replace("/etc/", "/srv/"), False, id="another-file"),
        pytest.param(OLDER.partition("\n")[2], False, id="a-persons-own"),
    ],
)
def test_whose_a_drop_in_is(text: str, expected: bool) -> None:
    assert is_ours(text, "/etc/docker-proxy-agent/dockerd.env") == expected
