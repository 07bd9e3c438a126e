"""daemon.json, over an environment, as dockerd reads the two (FACTS 3, 5)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.targets.daemon_json import (
    LIVE_RESTORE,
    bridge,
    edit,
    holds_secret,
    live_restore,
    misplaced,
    originals,
    put_back,
    registry_mirrors,
    set_live_restore,
    texts,
)
from agent.targets.json_splice import original
from agent.targets.refused import CannotExpress, TextRefused
from agent.values.secret import Secret
from agent.values.settings import DIRECT, Credentials, ProxyUrl, Scheme, Settings, Texts, settings

NOTHING = Texts()
OFFICE = settings("http://proxy.example:3128", "http://proxy.example:3128", "localhost,.corp.example")
HTTP_ONLY = settings("http://proxy.example:3128", None, "localhost")
URL = "http://proxy.example:3128"


def proxies(**values: str) -> dict[str, dict[str, str]]:
    return {"proxies": {name.replace("_", "-"): value for name, value in values.items()}}


OFFICE_SAID = proxies(http_proxy=URL, https_proxy=URL, no_proxy=".corp.example,localhost")


@pytest.mark.parametrize(
    ("text", "wanted", "environment", "said"),
    [
        pytest.param("{}", OFFICE, NOTHING, OFFICE_SAID, id="a-proxy"),
        pytest.param("", OFFICE, NOTHING, OFFICE_SAID, id="into-an-empty-file"),
        pytest.param(None, OFFICE, NOTHING, OFFICE_SAID, id="into-no-file"),
        pytest.param(
            json.dumps(proxies(https_proxy="http://old.example:1", no_proxy="*")),
            HTTP_ONLY,
            NOTHING,
            proxies(http_proxy=URL, no_proxy="localhost"),
            id="a-key-that-is-not-wanted-goes",
        ),
        pytest.param(json.dumps({"a": 1} | OFFICE_SAID), DIRECT, NOTHING, {"a": 1}, id="direct-leaves-nothing-of-ours"),
        pytest.param(
            '{"proxies": {"http-proxy": "http://a:1", "x": 1}}', DIRECT, NOTHING, {"proxies": {"x": 1}}, id="but-others"
        ),
        pytest.param("{}", DIRECT, Texts(http="http://a:1"), proxies(no_proxy="*"), id="direct-over-a-proxy"),
        pytest.param("{}", DIRECT, Texts(https="not a url"), proxies(no_proxy="*"), id="direct-over-nonsense"),
        pytest.param(
            json.dumps(OFFICE_SAID), DIRECT, Texts(http="http://a:1", no_proxy="*"), {}, id="direct-over-direct"
        ),
        pytest.param(
            json.dumps(OFFICE_SAID), DIRECT, Texts(no_proxy="localhost"), {}, id="direct-over-only-a-no-proxy"
        ),
        pytest.param(
            "{}", OFFICE, Texts("http://a:1", "http://b:2", "*"), OFFICE_SAID, id="a-proxy-over-all-of-an-environment"
        ),
        pytest.param(
            "{}",
            settings("socks5h://proxy.example", "socks5h://proxy.example", "localhost"),
            NOTHING,
            proxies(
                http_proxy="socks5://proxy.example:1080",
                https_proxy="socks5://proxy.example:1080",
                no_proxy="localhost",
            ),
            id="in-the-scheme-every-dockerd-knows",
        ),
        pytest.param(
            json.dumps(proxies(http_proxy="socks5h://proxy.example", no_proxy="localhost")),
            settings("socks5h://proxy.example", None, "localhost"),
            NOTHING,
            proxies(http_proxy="socks5://proxy.example:1080", no_proxy="localhost"),
            id="a-scheme-that-not-every-dockerd-knows-is-put-right",
        ),
    ],
)
def test_the_file_says_what_is_wanted(
    text: str | None, wanted: Settings, environment: Texts, said: dict[str, object]
) -> None:
    edited = edit(text, wanted, environment)

    assert json.loads(edited or "{}") == said
    assert edit(edited, wanted, environment) == edited


@pytest.mark.parametrize(
    ("text", "wanted", "environment"),
    [
        pytest.param("", DIRECT, NOTHING, id="empty"),
        pytest.param(" \n", DIRECT, NOTHING, id="blank"),
        pytest.param('{"proxies": {}}', DIRECT, NOTHING, id="empty-proxies"),
        pytest.param('{"proxies": {"http-proxy": ""}}', DIRECT, NOTHING, id="an-empty-key"),
        pytest.param(json.dumps(proxies(http_proxy=URL, no_proxy="a,*")), DIRECT, NOTHING, id="excluded-is-direct"),
        pytest.param("{}", OFFICE, Texts(URL, URL, "localhost,.corp.example"), id="the-environment-says-it"),
        pytest.param(
            '{"proxies": {"https-proxy": "HTTP://Proxy.Example:3128/"}}',
            OFFICE,
            Texts(URL, "http://old.example:1", "localhost, .CORP.example"),
            id="half-and-half-in-another-spelling",
        ),
    ],
)
def test_a_file_that_says_so_already_is_returned_as_it_is(text: str, wanted: Settings, environment: Texts) -> None:
    assert edit(text, wanted, environment) == text


@pytest.mark.parametrize(
    ("wanted", "environment", "names"),
    [
        pytest.param(HTTP_ONLY, Texts(https="http://a:1"), "HTTPS_PROXY", id="https"),
        pytest.param(settings(None, URL, "localhost"), Texts(http="http://a:1"), "HTTP_PROXY", id="http"),
        pytest.param(settings(URL), Texts(no_proxy="*", https="http://a:1"), "HTTPS_PROXY and NO_PROXY", id="two"),
    ],
)
def test_what_cannot_be_said_over_the_environment_is_refused(wanted: Settings, environment: Texts, names: str) -> None:
    with pytest.raises(CannotExpress) as refused:
        edit('{"a": 1}', wanted, environment)

    assert str(refused.value.failed("/etc/docker/daemon.json")) == (
        f"/etc/docker/daemon.json: {names} in the environment of dockerd cannot be switched off by proxies in this"
        ' file; left as it is. Remove it from the unit, or use: docker.method = "systemd-drop-in"'
    )


words = st.one_of(
    st.text(st.sampled_from([chr(code) for code in range(0x20, 0x7F)]), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
wanted_proxies = st.builds(
    ProxyUrl,
    st.sampled_from([Scheme.HTTP, Scheme.HTTPS, Scheme.SOCKS5]),
    st.sampled_from(["proxy.example", "fd00::1"]),
    st.integers(1, 65535),
    st.one_of(st.none(), st.builds(Credentials, words, st.one_of(st.none(), st.builds(Secret, words)))),
)
entries = st.lists(st.sampled_from(["localhost", ".corp.example", "10.0.0.0/8", "ä", 'q"\\']), min_size=1)
wanted_settings = st.one_of(st.just(DIRECT), st.builds(settings, wanted_proxies, wanted_proxies, entries))
urls = st.sampled_from(["", "http://a:1", "b:2", "http://x y"])
environments = st.builds(Texts, urls, urls, st.sampled_from(["", "localhost", "*"]))
files = st.builds(
    lambda said, indent: json.dumps(said, indent=indent),
    st.dictionaries(
        st.sampled_from(["proxies", "a", "b"]),
        st.dictionaries(st.sampled_from(["http-proxy", "https-proxy", "no-proxy", "x"]), urls),
    ),
    st.sampled_from([None, 2, "\t"]),
)


@given(files, wanted_settings, environments)
def test_dockerd_then_runs_with_what_is_wanted_and_nothing_else_has_changed(
    text: str, wanted: Settings, environment: Texts
) -> None:
    edited = edit(text, wanted, environment)

    assert texts(edited).over(environment).meaning() == wanted
    assert without_ours(edited) == without_ours(text)
    assert put_back(edited, originals(text)) == text


def without_ours(text: str) -> object:
    said = json.loads(text)
    rest = {k: v for k, v in said.pop("proxies", {}).items() if k not in ("http-proxy", "https-proxy", "no-proxy")}
    return said, rest


@given(words, words)
def test_every_user_and_password_arrives(user: str, password: str) -> None:
    wanted = settings(ProxyUrl(Scheme.HTTP, "proxy.example", 3128, Credentials(user, Secret(password))))

    edited = edit("", wanted, NOTHING)

    assert settings(json.loads(edited)["proxies"]["http-proxy"]) == wanted
    assert holds_secret(edited)


@pytest.mark.parametrize(
    ("text", "is_held"),
    [
        ("", False),
        (json.dumps(OFFICE_SAID), False),
        (json.dumps(proxies(https_proxy="http://token@proxy.example")), True),
        (json.dumps(proxies(http_proxy="a b:c@d")), True),
        (json.dumps(proxies(no_proxy="a@b")), False),
    ],
)
def test_who_may_read_the_file_depends_on_what_it_holds(text: str, is_held: bool) -> None:
    assert holds_secret(text) is is_held


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            '{"proxies": {\n"http-proxy": 1}}', "line 2, column 15: proxies.http-proxy: expected a string", id="number"
        ),
        pytest.param(
            '{"proxies": {"no-proxy": ["a"]}}', "line 1, column 26: proxies.no-proxy: expected a string", id="list"
        ),
        pytest.param('{"proxies": []}', "line 1, column 13: proxies is not an object", id="proxies-is-a-list"),
        pytest.param('{"proxies": null}', "line 1, column 13: proxies is not an object", id="proxies-is-null"),
        pytest.param('{\n"Proxies": {}}', "line 2, column 12: Proxies must be spelled proxies", id="another-spelling"),
        pytest.param(
            '{"proxies": {"HTTP-Proxy": "x"}}',
            "line 1, column 28: HTTP-Proxy must be spelled http-proxy",
            id="of-a-key",
        ),
        pytest.param(
            '{"proxies": {"no-proxy": "a"}, "proxies": {}}',
            'line 1, column 32: "proxies" occurs a second time',
            id="twice",
        ),
        pytest.param(
            '{"a": 1 /* b */}', 'line 1, column 9: not JSON (expected "," or "}", not a comment)', id="not-json"
        ),
    ],
)
def test_a_file_whose_proxies_cannot_be_told_is_refused(text: str, message: str) -> None:
    for refuse in (texts, holds_secret, originals):
        with pytest.raises(TextRefused) as refused:
            refuse(text)
        assert str(refused.value) == message
    for wanted in (OFFICE, DIRECT):
        with pytest.raises(TextRefused):
            edit(text, wanted, NOTHING)


def test_the_error_of_a_file_says_where_what_and_what_to_do() -> None:
    with pytest.raises(TextRefused) as refused:
        texts('{\n\n  "a": 1\n  "b": 2\n}')

    assert str(refused.value.failed("/etc/docker/daemon.json")) == (
        '/etc/docker/daemon.json: line 4, column 3: not JSON (expected "," or "}"); left as it is.'
        " Fix it, then run: docker-proxy-agent apply"
    )


def test_half_a_character_is_read_as_go_reads_it() -> None:
    assert texts('{"proxies": {"no-proxy": "a\\ud800,\udcff"}}') == Texts(no_proxy="a\ufffd,\ufffd")
    assert texts('{"proxies": {"no-proxy": null}}') == NOTHING


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", None),
        ("{}", None),
        ('{"live-restore": null}', None),
        ('{"live-restore": true}', True),
        ('{"live-restore": false}', False),
    ],
)
@pytest.mark.parametrize("value", [True, False, None])
def test_live_restore_is_set_and_put_back(text: str, said: bool | None, value: bool | None) -> None:
    changed = set_live_restore(text, to=value)

    assert live_restore(text) is said
    assert live_restore(changed) is value
    assert live_restore(set_live_restore(changed, to=said)) is said
    if text:
        assert put_back(changed, [original(text, LIVE_RESTORE)]) == text


@pytest.mark.parametrize("value", ["1", '"true"', "[]"])
def test_a_live_restore_that_is_neither_true_nor_false_is_refused(value: str) -> None:
    for refuse in (live_restore, lambda text: set_live_restore(text, to=True)):
        with pytest.raises(TextRefused, match="line 1, column 18: live-restore: expected true or false"):
            refuse(f'{{"live-restore": {value}}}')


def test_registry_mirrors() -> None:
    assert registry_mirrors("") == registry_mirrors("{}") == registry_mirrors('{"registry-mirrors": null}') == ()
    assert registry_mirrors('{"registry-mirrors": ["https://a", "https://b"]}') == ("https://a", "https://b")
    for wrong in ('"https://a"', "[1]", "{}"):
        with pytest.raises(TextRefused, match="registry-mirrors: expected a list of URLs"):
            registry_mirrors(f'{{"registry-mirrors": {wrong}}}')


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(None, "docker0", id="no-file"),
        pytest.param('{"bridge": ""}', "docker0", id="empty"),
        pytest.param('{"bridge": "lan0"}', "lan0", id="another"),
        pytest.param('{"bridge": "none"}', None, id="none"),
        pytest.param('{"bridge": 1}', "docker0", id="what-dockerd-refuses"),
    ],
)
def test_the_bridge_that_containers_are_on(text: str | None, name: str | None) -> None:
    assert bridge(text) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, NOTHING),
        (json.dumps(OFFICE_SAID), NOTHING),
        ('{"http-proxy": "http://a:1", "proxies": {"https-proxy": "http://b:2"}}', Texts(http="http://a:1")),
        ('{"https-proxy": null, "no-proxy": "localhost"}', Texts(no_proxy="localhost")),
    ],
)
def test_keys_that_stand_where_dockerd_ignores_them(text: str | None, said: Texts) -> None:
    assert misplaced(text) == said
