"""Whether something carries other settings than a new container gets."""

from __future__ import annotations

import msgspec
import pytest

from agent.decide.clients import Intent, Wanted
from agent.decide.stale import MOST, Difference, Ends, Expected, condition, difference, expected, out_of_reach
from agent.targets.container import Carried, carried, without_proxies
from agent.values.condition import Code
from agent.values.settings import DIRECT, Settings, settings

OFFICE = "http://10.10.0.2:3128"
OTHER = "http://10.20.0.2:3128"
EXCLUDED = "localhost,127.0.0.0/8"
AT_THE_OFFICE = settings(OFFICE, OFFICE, EXCLUDED)
BY_SOCKS = settings(all="socks5://10.10.0.2:1080", no_proxy=EXCLUDED)


def by_the_client(http: str = "", https: str = "", no_proxy: str = "", all: str = "") -> Carried:  # noqa: A002
    """As `docker run` makes it: both cases of whatever is not empty."""
    given = {"HTTP_PROXY": http, "HTTPS_PROXY": https, "NO_PROXY": no_proxy, "ALL_PROXY": all}
    return carried(f"{case}={value}" for name, value in given.items() if value for case in (name, name.lower()))


OF_THE_OFFICE = by_the_client(OFFICE, OFFICE, EXCLUDED)
WITH_PASSWORD = "http://alice:tr0ub4dor@10.10.0.2:3128"
SECRETLY = settings(WITH_PASSWORD, WITH_PASSWORD, EXCLUDED)


@pytest.mark.parametrize(
    ("carries", "wanted", "found"),
    [
        pytest.param(Carried(), DIRECT, None, id="none-and-direct"),
        pytest.param(OF_THE_OFFICE, AT_THE_OFFICE, None, id="the-same"),
        pytest.param(
            by_the_client("HTTP://10.10.0.2:3128/", OFFICE, "127.0.0.0/8, LOCALHOST"),
            AT_THE_OFFICE,
            None,
            id="the-same-in-other-words",
        ),
        pytest.param(Carried(), AT_THE_OFFICE, Difference(("http", "https")), id="made-at-home"),
        pytest.param(OF_THE_OFFICE, DIRECT, Difference(("http", "https")), id="made-at-the-office"),
        pytest.param(
            by_the_client(OTHER, OTHER, EXCLUDED), AT_THE_OFFICE, Difference(("http", "https")), id="by-another-proxy"
        ),
        pytest.param(
            OF_THE_OFFICE, BY_SOCKS, Difference(("http", "https", "all")), id="by-http-where-it-should-be-socks"
        ),
        pytest.param(
            by_the_client(OFFICE, OFFICE, "localhost"), AT_THE_OFFICE, Difference(("no_proxy",)), id="excludes-less"
        ),
        pytest.param(
            carried([f"HTTP_PROXY={OFFICE}", f"HTTPS_PROXY={OFFICE}", "NO_PROXY=db", f"no_proxy={EXCLUDED}"]),
            AT_THE_OFFICE,
            None,
            id="excludes-more-by-hand",
        ),
        pytest.param(by_the_client(no_proxy="db"), DIRECT, None, id="exclusions-alone"),
        pytest.param(
            carried([f"HTTP_PROXY={OTHER}"]),
            settings(OFFICE),
            Difference(("http",), ("HTTP_PROXY",)),
            id="one-by-hand",
        ),
        pytest.param(
            carried([f"http_proxy={OFFICE}", f"HTTP_PROXY={OTHER}"]),
            settings(OFFICE),
            Difference(("http",), ("HTTP_PROXY", "http_proxy")),
            id="by-hand-over-the-client's",
        ),
        pytest.param(
            carried(["HTTP_PROXY=", "http_proxy=", "HTTPS_PROXY=", "https_proxy="]),
            AT_THE_OFFICE,
            None,
            id="emptied-on-purpose",
        ),
        pytest.param(by_the_client(OFFICE, OFFICE, "*"), DIRECT, None, id="direct-by-a-star"),
        pytest.param(by_the_client(OFFICE, OFFICE, "*"), AT_THE_OFFICE, None, id="direct-by-a-star-on-purpose"),
        pytest.param(
            by_the_client(WITH_PASSWORD, WITH_PASSWORD, EXCLUDED), AT_THE_OFFICE, None, id="with-a-password-of-its-own"
        ),
        pytest.param(OF_THE_OFFICE, SECRETLY, Difference(("http", "https")), id="without-the-password"),
        pytest.param(by_the_client("ftp://nowhere"), DIRECT, Difference(("http",)), id="no-proxy-at-all"),
    ],
)
def test_what_a_container_carries_is_compared_with_what_a_new_one_gets(
    carries: Carried, wanted: Settings, found: Difference | None
) -> None:
    assert difference(carries, Expected(wanted)) == found


def test_where_no_config_json_is_kept_a_container_without_a_proxy_is_as_a_new_one() -> None:
    nobody_gives = Expected(AT_THE_OFFICE, is_given=False)

    assert difference(Carried(), nobody_gives) is None
    assert difference(by_the_client(OTHER), nobody_gives) == Difference(("http",))


def test_what_stands_twice_counts_as_it_stands_last_and_what_is_no_variable_does_not() -> None:
    found = carried([f"http_proxy={OTHER}", f"http_proxy={OFFICE}", "HTTP_PROXY", 7, "PATH=/bin", "Http_Proxy=x"])

    assert found.meaning() == settings(OFFICE)
    assert (found.http.upper, found.http.lower) == (None, OFFICE)


def test_a_password_does_not_show() -> None:
    assert "tr0ub4dor" not in repr(by_the_client(WITH_PASSWORD))


def test_the_other_variables_stay_in_their_order() -> None:
    env = ("A=1", f"HTTP_PROXY={OFFICE}", "no_proxy=db", "FTP_PROXY=ftp://x", "PATH=/bin", "B=2=3")

    assert without_proxies(env, also=("PATH=/bin",)) == ("A=1", "FTP_PROXY=ftp://x", "B=2=3")


@pytest.mark.parametrize(
    ("wanted", "expects"),
    [
        pytest.param(Wanted(Intent.SET, "office", AT_THE_OFFICE), Expected(AT_THE_OFFICE), id="set"),
        pytest.param(Wanted(Intent.WITHDRAW, "not reached"), Expected(DIRECT), id="withdrawn"),
        pytest.param(Wanted(Intent.LEAVE, "not known"), None, id="not-known"),
    ],
)
def test_what_a_new_one_gets(wanted: Wanted, expects: Expected | None) -> None:
    assert expected(wanted, has_files=True) == expects


@pytest.mark.parametrize(
    ("made_at_home", "says"),
    [
        pytest.param(0, None, id="none"),
        pytest.param(1, "1 container still has proxy settings that a new one would not get", id="one"),
        pytest.param(2, "2 containers still have proxy settings that a new one would not get", id="two"),
    ],
)
def test_containers_with_other_settings_are_noted(made_at_home: int, says: str | None) -> None:
    said = condition((OF_THE_OFFICE, *[Carried()] * made_at_home), Expected(AT_THE_OFFICE))

    assert (said and said.text) == says
    assert said is None or said.remedy == "See: docker-proxy-agent stale"


def test_where_more_run_than_are_looked_at_the_note_says_so() -> None:
    said = condition((OF_THE_OFFICE,) * (MOST - 2) + (Carried(),) * 2, Expected(AT_THE_OFFICE))

    assert said is not None
    assert said.text.startswith("at least 2 containers still have ")


def test_what_is_not_known_is_not_said() -> None:
    assert condition((Carried(),), None) is None


@pytest.mark.parametrize(
    ("ends", "code", "says"),
    [
        (Ends(gone=("172.17.0.1:3130",)), Code.CONTAINERS_CUT_OFF,
         "2 containers were created with the relay's address, where nothing listens: they reach nothing until they are recreated"),
        (Ends(gone=("172.17.0.1:3130",), taken={"172.17.0.1:3130": "alice", "[::1]:3130": "alice"}), Code.CONTAINERS_CUT_OFF,
         "2 containers were created with the relay's address, where a program of alice listens now:"
         " that gets what they send until they are recreated"),
        (Ends(leaving=("172.17.0.1:3130",)), Code.CONTAINERS_STALE,
         "2 containers were created with the relay's address: once that is off, they reach nothing until they are recreated"),
        (Ends(gone=("172.17.0.1:3140",)), Code.CONTAINERS_STALE,
         "2 containers still have proxy settings that a new one would not get"),
    ],
)  # fmt: skip
def test_what_was_made_with_a_relay_that_is_gone_reaches_nothing(ends: Ends, code: Code, says: str) -> None:
    relay = "http://172.17.0.1:3130"

    found = condition([by_the_client(relay, relay)] * 2, Expected(DIRECT), ends)

    assert found is not None
    assert (found.code, found.text) == (code, says)
    assert condition([Carried()], Expected(DIRECT), ends) is None


def test_one_that_was_made_with_the_relay_is_told_of_as_one_whatever_else_is_known() -> None:
    found = condition([by_the_client("http://[fd00::1]:3130")], None, Ends(gone=("[fd00::1]:3130",)))

    assert found is not None
    assert found.text.endswith(
        "1 container was created with the relay's address, where nothing listens: it reaches nothing until it is recreated"
    )


def test_who_has_the_relays_address_and_no_way_to_it_is_told_of() -> None:
    relay, there = "http://172.17.0.1:3130", ("172.17.0.1:3130",)
    cam = msgspec.structs.replace(by_the_client(relay, relay), has_no_bridge=True)
    others = (by_the_client(relay), msgspec.structs.replace(by_the_client(OFFICE), has_no_bridge=True))

    found = out_of_reach((cam, *others), there)

    assert found is not None
    assert found.code is Code.CLIENT_UNREACHABLE
    assert found.text == (
        "1 container was created with the relay's address, but on macvlan or ipvlan networks alone it reaches nothing of this host,"
        " and so not the relay"
    )
    assert out_of_reach(others, there) is None
    assert out_of_reach((cam,), ()) is None
