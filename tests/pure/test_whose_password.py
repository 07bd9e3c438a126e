"""What dockerd runs with: what it reports, with the user and password that it was started with."""

from __future__ import annotations

import pytest

from agent.decide.effective import effective
from agent.values.dockerd import Engine, Phase, Reality, UnitState
from agent.values.settings import Masked, ProxyUrl, Texts, proxy

OURS = "http://alice:hunter2@office:3128"


def reported(url: str, started_with: Texts | Masked | None = None, environment: Texts | None = None) -> Reality:
    engine = Engine("26", (1, 45), False, Texts(http=url), False, False, 0)
    return Reality(UnitState(Phase.RUNNING), engine=engine, started_with=started_with, running_environment=environment)


@pytest.mark.parametrize("known", ["started_with", "environment"])
@pytest.mark.parametrize(
    ("url", "is_it"),
    [
        pytest.param("http://xxxxx:xxxxx@office:3128", True, id="the-same"),
        pytest.param("http://xxxxx:xxxxx@other:3128", False, id="another-host"),
        pytest.param("http://xxxxx:xxxxx@office:3129", False, id="another-port"),
        pytest.param("https://xxxxx:xxxxx@office:3128", False, id="another-scheme"),
    ],
)
def test_a_password_is_taken_for_no_other_proxys(known: str, url: str, is_it: bool) -> None:
    found = effective(reported(url, **{known: Texts(http=OURS)}))

    assert found is not None
    assert isinstance(found.http, ProxyUrl)
    expected = proxy(OURS)
    assert isinstance(expected, ProxyUrl)
    assert found.http.credentials == (expected.credentials if is_it else Masked.MASKED)


def test_a_start_with_other_credentials_is_known_as_that() -> None:
    found = effective(reported("http://xxxxx:xxxxx@office:3128", Masked.OTHER))

    assert found is not None
    assert isinstance(found.http, ProxyUrl)
    assert found.http.credentials is Masked.OTHER


def test_what_is_reported_without_a_user_has_none() -> None:
    found = effective(reported("http://office:3128", Texts(http=OURS)))

    assert found is not None
    assert isinstance(found.http, ProxyUrl)
    assert found.http.credentials is None
