"""What one upstream means in another place: the texts, read back as who reads them there does, and the whole sheet."""

from __future__ import annotations

import json
import re
import shlex

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.elsewhere import Client, Steps, lines, merged, needs_password, sheet
from agent.targets import client_config, daemon_json, elsewhere
from agent.targets.refused import TextRefused
from agent.values.places import PLACES, Form, Place
from agent.values.policy import DIRECT, Clients, NoProxy, Upstream
from agent.values.secret import Secret
from agent.values.settings import DIRECT as NO_PROXY_AT_ALL
from agent.values.settings import Credentials, ProxyUrl, Scheme, Settings, proxy, settings
from tests.upstreams import upstream, url

NASTY = "p a'ss\"w%o\\r$d`,@:/#é"
every_place = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())


CORP = upstream("http://proxy.test:3128", "corp")
LOCAL = upstream("http://127.0.0.1:7890", "clash")
SECRET = upstream("http://proxy.test:3128", "corp", username="alice", password=Secret(NASTY))
OFFICE = settings("http://proxy.test:3128", "http://proxy.test:3128", ("localhost", ".corp.test"))


# The texts, read back.


def of_systemd(text: str) -> dict[str, str]:
    """The variables of a drop-in, unquoted by the rules of systemd.exec(5) and systemd.syntax(7)."""
    head, *assignments = text.removesuffix("\n").split("\n")
    assert head == "[Service]"
    found = {}
    for line in assignments:
        quoted = re.fullmatch(r'Environment="((?:\\.|[^"\\])*)"', line)
        assert quoted is not None, line
        assert not re.search(r"(?<!%)(?:%%)*%(?!%)", quoted[1]), "a specifier"
        value = re.sub(r"\\(.)", r"\1", quoted[1]).replace("%%", "%")
        found[value.partition("=")[0]] = value.partition("=")[2]
    return found


def of_yaml(text: str) -> dict[str, str]:
    head, *pairs = text.removesuffix("\n").split("\n")
    assert head == "env:"
    return {line.partition(": ")[0].removeprefix("  "): json.loads(line.partition(": ")[2]) for line in pairs}


def of_commands(text: str) -> dict[str, str]:
    words = [shlex.split(line) for line in text.removesuffix("\n").split("\n")]
    assert all(one[:3] == ["orb", "config", "set"] for one in words)
    return {one[3]: one[4] for one in words}


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
proxies = st.builds(
    ProxyUrl,
    st.sampled_from([Scheme.HTTP, Scheme.HTTPS, Scheme.SOCKS5]),
    st.sampled_from(["proxy.example", "10.0.0.1", "fd00::1"]),
    st.integers(1, 65535),
    st.one_of(st.none(), st.builds(Credentials, words, st.one_of(st.none(), st.builds(Secret, words)))),
)
entries = st.lists(st.sampled_from(["localhost", ".corp.example", "*.x.test", "10.0.0.0/8", "::1"]), min_size=1)
wanted = st.builds(settings, proxies, st.one_of(st.none(), proxies), entries)


@given(wanted)
def test_systemd_gets_exactly_what_is_meant(wanted: Settings) -> None:
    found = of_systemd(elsewhere.written(Form.DROP_IN, wanted))

    assert settings(found["HTTP_PROXY"], found["HTTPS_PROXY"], found["NO_PROXY"]) == wanted


@given(wanted)
def test_dockerd_gets_exactly_what_is_meant(wanted: Settings) -> None:
    assert daemon_json.texts(elsewhere.written(Form.DAEMON_JSON, wanted)).meaning() == wanted


@given(wanted)
def test_colima_and_lima_get_exactly_what_is_meant(wanted: Settings) -> None:
    found = of_yaml(elsewhere.written(Form.ENVIRONMENT_YAML, wanted))

    assert settings(found["http_proxy"], found["https_proxy"], found["no_proxy"]) == wanted


@given(wanted)
def test_docker_desktop_gets_exactly_what_is_meant(wanted: Settings) -> None:
    found = json.loads(elsewhere.written(Form.SETTINGS_STORE, wanted))

    assert found.pop("ProxyHTTPMode") == "manual"
    assert settings(*found.values()) == wanted


@given(wanted)
def test_orbstack_gets_one_url_and_the_exclusions(wanted: Settings) -> None:
    found = of_commands(elsewhere.written(Form.ORB, wanted))

    assert proxy(found["network_proxy"]) == (wanted.https or wanted.http)
    assert settings(found["network_proxy"], no_proxy=found["network.proxy.exclude"]).no_proxy == wanted.no_proxy


def test_rancher_desktop_gets_address_and_port() -> None:
    socks = settings(https="socks5://proxy.test:1080", no_proxy=("localhost",))

    assert elsewhere.written(Form.RDCTL, OFFICE).split("\n") == [
        "rdctl set --experimental.virtual-machine.proxy.enabled=true",
        "rdctl set --experimental.virtual-machine.proxy.address=proxy.test",
        "rdctl set --experimental.virtual-machine.proxy.port=3128",
        "",
    ]
    assert "proxy.address=socks5://proxy.test\n" in elsewhere.written(Form.RDCTL, socks)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        (Form.DROP_IN, ['Environment="HTTP_PROXY="', 'Environment="http_proxy="', 'Environment="no_proxy="']),
        (Form.DAEMON_JSON, ['"no-proxy": "*"']),
        (Form.SETTINGS_STORE, ['"ProxyHTTPMode": "manual"', '"OverrideProxyHTTPS": ""']),
        (Form.ENVIRONMENT_YAML, ['  https_proxy: ""']),
        (Form.ORB, ["orb config set network_proxy none"]),
        (Form.RDCTL, ["rdctl set --experimental.virtual-machine.proxy.enabled=false"]),
    ],
)
def test_direct_is_said_and_not_left_out(form: Form, says: list[str]) -> None:
    text = elsewhere.written(form, NO_PROXY_AT_ALL)

    assert [one for one in says if one not in text] == []


# A file that is there.

WINDOWS = PLACES["windows"]
FOREIGN = '{\r\n    "hosts": ["npipe://"],\r\n    "registry-mirrors": [],\r\n    "debug": false\r\n}\r\n'
MERGED = (
    '{\r\n    "hosts": ["npipe://"],\r\n    "registry-mirrors": [],\r\n    "debug": false,\r\n    "proxies": {\r\n'
    '        "http-proxy": "http://proxy.test:3128",\r\n        "https-proxy": "http://proxy.test:3128",\r\n'
    '        "no-proxy": "127.0.0.0/8,::1,localhost"\r\n    }\r\n}\r\n'
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(FOREIGN.encode(), MERGED.encode(), id="crlf"),
        pytest.param(b"\xef\xbb\xbf" + FOREIGN.encode(), b"\xef\xbb\xbf" + MERGED.encode(), id="bom-of-notepad"),
        pytest.param(
            b"\xff\xfe" + FOREIGN.encode("utf-16-le"),
            b"\xff\xfe" + MERGED.encode("utf-16-le"),
            id="out-of-powershell-5",
        ),
        pytest.param(
            b"\xfe\xff" + FOREIGN.encode("utf-16-be"), b"\xfe\xff" + MERGED.encode("utf-16-be"), id="utf-16-be"
        ),
        pytest.param(
            b'{"proxies":{"http-proxy":"http://old.test:1","x":1},"b":2}',
            b'{"proxies":{"http-proxy":"http://proxy.test:3128","x":1,"https-proxy":"http://proxy.test:3128",'
            b'"no-proxy":"127.0.0.0/8,::1,localhost"},"b":2}',
            id="another-proxy-is-there",
        ),
        pytest.param(MERGED.encode(), MERGED.encode(), id="says-it-already"),
        pytest.param(
            b"",
            b'{\n  "proxies": {\n    "http-proxy": "http://proxy.test:3128",\n    "https-proxy": "http://proxy.test:3128",\n'
            b'    "no-proxy": "127.0.0.0/8,::1,localhost"\n  }\n}\n',
            id="empty",
        ),
    ],
)
def test_a_file_keeps_all_but_our_keys(before: bytes, after: bytes) -> None:
    assert merged(WINDOWS, before, CORP, NoProxy()) == after


def test_what_was_merged_for_a_proxy_is_taken_out_for_direct() -> None:
    assert merged(WINDOWS, MERGED.encode(), DIRECT, NoProxy()) == FOREIGN.encode()


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        pytest.param(b'{"hosts": [}', "line 1", id="not-json"),
        pytest.param(b"[]", "not an object", id="no-object"),
        pytest.param(b'{"a": "\xff"}', "neither UTF-8 nor UTF-16", id="another-encoding"),
        pytest.param(b'{"Proxies": {}}', "Proxies must be spelled proxies", id="another-spelling"),
    ],
)
def test_what_cannot_be_edited_is_refused(content: bytes, wrong: str) -> None:
    with pytest.raises(TextRefused, match=wrong):
        merged(WINDOWS, content, CORP, NoProxy())


def test_docker_desktops_file_keeps_all_but_its_four_keys() -> None:
    before = b'{\n  "AutoStart": true,\n  "ProxyHTTPMode": "system",\n  "SettingsVersion": 43\n}\n'

    after = merged(PLACES["docker-desktop"], before, SECRET, NoProxy())

    assert after == (
        b'{\n  "AutoStart": true,\n  "ProxyHTTPMode": "manual",\n  "SettingsVersion": 43,\n'
        b'  "OverrideProxyHTTP": "http://proxy.test:3128",\n  "OverrideProxyHTTPS": "http://proxy.test:3128",\n'
        b'  "OverrideProxyExclude": "127.0.0.0/8,::1,localhost"\n}\n'
    )


@pytest.mark.parametrize("name", ["orbstack", "colima", "lima", "rancher"])
def test_where_there_is_no_such_file_nothing_is_merged(name: str) -> None:
    assert merged(PLACES[name], b"{}", CORP, NoProxy()) is None


# The sheet.


def text_of(part: Steps | Client) -> str:
    return "".join(f"{line}\n" for line in part.lines)


def texts(place: Place, meant: Upstream, **more: bool) -> str:
    return "\n".join(lines(sheet(place, meant, NoProxy(), shows_password=more.get("shows_password", False))))


def test_docker_desktop_as_it_is_printed() -> None:
    assert lines(sheet(PLACES["docker-desktop"], LOCAL, NoProxy(private_networks=False), shows_password=False)) == [
        "# Docker Desktop: clash, http://127.0.0.1:7890",
        "",
        "# (or by hand: Settings, Resources, Proxies, Manual configuration)",
        "# First:",
        "",
        "docker desktop stop",
        "",
        "# Set these keys, and keep all others, in:",
        "#   ~/Library/Group Containers/group.com.docker/settings-store.json  (macOS)",
        "#   %APPDATA%\\Docker\\settings-store.json  (Windows)",
        "#   ~/.docker/desktop/settings-store.json  (Linux)",
        "",
        "{",
        '  "ProxyHTTPMode": "manual",',
        '  "OverrideProxyHTTP": "http://127.0.0.1:7890",',
        '  "OverrideProxyHTTPS": "http://127.0.0.1:7890",',
        '  "OverrideProxyExclude": "127.0.0.0/8,::1,localhost"',
        "}",
        "",
        "# Then:",
        "",
        "docker desktop start",
        "",
        "# To check:",
        "",
        "docker pull hello-world",
        "",
        "# Containers and builds, in the file of the client:",
        "#   ~/.docker/config.json  (macOS and Linux)",
        "#   %USERPROFILE%\\.docker\\config.json  (Windows)",
        "",
        "{",
        '  "proxies": {',
        '    "default": {',
        '      "httpProxy": "http://host.docker.internal:7890",',
        '      "httpsProxy": "http://host.docker.internal:7890",',
        '      "noProxy": "127.0.0.0/8,127.0.0.1,::1,localhost"',
        "    }",
        "  }",
        "}",
        "",
        "# Note: User and password are not in that file: Docker Desktop asks for them, and keeps them in the system's store",
        "# Note: docker info shows http.docker.internal:3128, whatever is set: that one passes on to the proxy",
        "# Note: A proxy for containers that is set in Docker Desktop itself overrides these: ContainersProxyHTTPMode and"
        " ContainersOverrideProxy… in the same file, or Settings, Resources, Proxies",
        "# Note: SOCKS needs a Business subscription",
        "# No effect there: proxies in daemon.json (~/.docker/daemon.json): Docker Desktop does not read them",
        "# No effect there: ~/.docker/config/daemon.json: nobody reads that file",
    ]


@pytest.mark.parametrize(
    ("name", "daemon", "containers"),
    [
        ("linux", "127.0.0.1", "172.17.0.1"),
        ("snap", "127.0.0.1", "172.17.0.1"),
        ("rootless", "10.0.2.2", "10.0.2.2"),
        ("wsl", "127.0.0.1", None),
        ("windows", "127.0.0.1", None),
        ("docker-desktop", "127.0.0.1", "host.docker.internal"),
        ("colima", "127.0.0.1", "host.docker.internal"),
        ("lima", "127.0.0.1", "host.docker.internal"),
        ("rancher", "127.0.0.1", "host.docker.internal"),
    ],
)
def test_a_proxy_on_loopback_has_the_address_that_leads_there(name: str, daemon: str, containers: str | None) -> None:
    found = sheet(PLACES[name], LOCAL, NoProxy(), shows_password=False)

    assert f"http://{daemon}:7890" in text_of(found.ways[0])
    if containers is None:
        assert found.client is None
        assert "Containers and builds there: no address is known that leads to this loopback" in found.notes
    else:
        assert found.client is not None
        said = client_config.texts(text_of(found.client), client_config.DEFAULT)
        assert said.http == said.https == f"http://{containers}:7890"


def test_an_address_leads_to_127_0_0_1_and_to_no_other() -> None:
    found = sheet(PLACES["rootless"], upstream("http://[::1]:7890", "corp"), NoProxy(), shows_password=False)

    assert "http://[::1]:7890" in text_of(found.ways[0])
    assert found.client is None
    assert found.notes[:2] == (
        "The proxy is on loopback, and 10.0.2.2 leads to 127.0.0.1 alone",
        "Containers and builds there: no address is known that leads to this loopback",
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:7890", "http://[::1]:7890", "http://proxy.test:3128"])
def test_where_containers_follow_the_daemon_they_are_told_nothing(url: str) -> None:
    found = sheet(PLACES["orbstack"], upstream(url, "corp"), NoProxy(), shows_password=False)

    assert found.client is None
    assert not [note for note in found.notes if "no address is known" in note]
    assert (
        "Containers go through that proxy without settings of their own: the client's file is not needed" in found.notes
    )


def test_rancher_desktop_on_windows_is_given_the_name_of_windows() -> None:
    found = sheet(PLACES["rancher"], LOCAL, NoProxy(), shows_password=False)

    assert ".proxy.address=host.docker.internal\n" in text_of(found.ways[1])


@every_place
def test_a_proxy_elsewhere_is_the_same_for_all(place: Place) -> None:
    found = sheet(place, CORP, NoProxy(), shows_password=False)

    assert "proxy.test" in text_of(found.ways[0])
    assert (found.client is None) is place.containers_follow
    if found.client is not None:
        assert client_config.texts(text_of(found.client), client_config.DEFAULT).https == "http://proxy.test:3128"
    assert not [note for note in found.notes if "loopback" in note]


@every_place
def test_no_password_is_shown_unasked(place: Place) -> None:
    shown = texts(place, SECRET)

    assert "alice" not in shown
    assert NASTY not in shown
    assert SECRET.http_with_credentials is not None
    assert SECRET.http_with_credentials.reveal().partition("@")[0].partition(":")[2] not in shown
    assert ("--show-secrets" in shown) == place.takes_password
    assert needs_password(place, SECRET) == place.takes_password


@pytest.mark.parametrize("name", [name for name, place in PLACES.items() if place.takes_password])
def test_a_password_is_shown_to_who_asks(name: str) -> None:
    found = sheet(PLACES[name], SECRET, NoProxy(), shows_password=True)

    assert not found.hides_password
    assert "alice" in text_of(found.ways[0])
    assert "USER" not in text_of(found.ways[0])


def test_clients_get_a_password_only_if_the_policy_says_so() -> None:
    asked = sheet(PLACES["colima"], SECRET, NoProxy(), Clients(credentials=True), shows_password=True)
    not_asked = sheet(PLACES["colima"], SECRET, NoProxy(), shows_password=True)

    assert asked.client is not None and "alice" in text_of(asked.client)  # noqa: PT018 - for mypy
    assert not_asked.client is not None and "alice" not in text_of(not_asked.client)  # noqa: PT018
    assert "Containers get no user and password: clients.credentials in the policy changes that" in not_asked.notes


def test_containers_get_what_the_policy_names_for_them() -> None:
    meant = msgspec.structs.replace(LOCAL, container_url=proxy("http://lan.test:3128"))

    found = sheet(PLACES["windows"], meant, NoProxy(), shows_password=False)

    assert found.client is not None
    assert client_config.texts(text_of(found.client), client_config.DEFAULT).http == "http://lan.test:3128"


@every_place
def test_direct_is_a_choice_as_well(place: Place) -> None:
    found = sheet(place, DIRECT, NoProxy(), shows_password=False)

    assert found.proxy == "no proxy"
    assert found.client is None
    assert "Containers and builds: delete `default` of `proxies` in the client's file, if it is there" in found.notes


def test_two_proxies_where_one_can_be_named() -> None:
    http, https = url("http://one.test:1"), url("http://two.test:2")

    found = sheet(PLACES["orbstack"], Upstream("two", http, https), NoProxy(), shows_password=False)

    assert found.proxy == "http://one.test:1 and http://two.test:2"
    assert "http://two.test:2" in text_of(found.ways[0])
    assert "One proxy alone can be named there: it is that for https, if there is one" in found.notes


@every_place
def test_what_is_for_the_person_is_a_comment_and_all_else_is_to_be_copied(place: Place) -> None:
    shown = sheet(place, CORP, NoProxy(), shows_password=False)
    copied = [line for line in lines(shown) if line and not line.startswith("#")]
    client = shown.client.lines if shown.client is not None else ()
    to_copy = [line for way in shown.ways for line in (*way.before, *way.lines, *way.after, *way.check)]

    assert copied == [*to_copy, *client]
    assert all(line.isprintable() for line in lines(shown))


def test_a_sheet_with_a_password_does_not_show_itself() -> None:
    assert repr(sheet(PLACES["linux"], SECRET, NoProxy(), shows_password=True)) == "Sheet(linux, corp)"


@pytest.mark.parametrize("name", ["rancher", "colima", "lima"])
def test_a_loopback_that_is_not_led_to_is_said_to_be_none(name: str) -> None:
    found = sheet(PLACES[name], upstream("http://[::1]:7890", "corp"), NoProxy(), shows_password=False)

    assert any("127.0.0.1 alone" in note or "not at 127.0.0.1" in note for note in found.notes), found.notes
    led = sheet(PLACES[name], upstream("http://127.0.0.1:7890", "corp"), NoProxy(), shows_password=False)
    assert not any("127.0.0.1 alone" in note or "not at 127.0.0.1" in note for note in led.notes), led.notes
