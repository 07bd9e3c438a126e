"""What dockerd runs with, while it does not say so: by its process, where that is exact."""

from __future__ import annotations

import msgspec
import pytest

from agent.decide.effective import effective, told_by_process
from agent.decide.plan import OwnedDaemonJson, plan
from agent.decide.restart import When
from agent.values.condition import Code
from agent.values.dockerd import Engine, FileFault, FileHistory, Flags, Phase, Reality, UnitState
from agent.values.policy import Docker
from agent.values.settings import DIRECT, Masked, Texts

OFFICE = Texts("http://office:3128", "http://office:3128", "localhost")
FILE = Texts("http://file:1", "http://file:1", "")
IN_FILE = '{"proxies": {"http-proxy": "http://file:1", "https-proxy": "http://file:1"}}'
TRIED = FileHistory(is_tried=True)
BROKEN = FileFault("daemon.json", "no text")


def silent(api: tuple[int, int] = (1, 45), containers: int = 0, **real: object) -> Reality:
    """One that answers all but /info, and whose process can be read."""
    facts: dict[str, object] = {
        "unit": UnitState(Phase.RUNNING, pid=1, invocation="a"),
        "engine": Engine("26.1.5", api, False, None, None, None, containers),
        "takes_proxies": api >= (1, 42),
        "are_flags_read": True,
        "running_environment": OFFICE,
        "environment": OFFICE,
        **real,
    }
    return Reality(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reality", "told"),
    [
        pytest.param(silent(api=(1, 41)), OFFICE, id="20.10-knows-no-other-place"),
        pytest.param(silent(api=(1, 41), daemon_json=IN_FILE), OFFICE, id="20.10-did-not-start-with-that-file"),
        pytest.param(silent(api=(1, 41), daemon_json_fault=BROKEN), OFFICE, id="20.10-whatever-the-file-says"),
        pytest.param(silent(api=(1, 41), running_environment=Texts()), Texts(), id="20.10-direct"),
        pytest.param(silent(file=TRIED), OFFICE, id="no-file-since-its-start"),
        pytest.param(silent(file=TRIED, daemon_json=IN_FILE), Texts("http://file:1", "http://file:1", "localhost"), id="a-file-since-before-its-start"),
        pytest.param(silent(daemon_json=IN_FILE), None, id="a-file-that-may-be-newer"),
        pytest.param(silent(daemon_json=IN_FILE, started_with=FILE), None, id="what-the-file-says-now-is-no-mark"),
        pytest.param(silent(started_with=FILE, is_marked=True), Texts("http://file:1", "http://file:1", "localhost"), id="a-mark-of-its-start"),
        pytest.param(silent(started_with=Masked.OTHER, is_marked=True, file=TRIED), None, id="a-mark-of-something-else"),
        pytest.param(silent(file=TRIED, daemon_json="{"), None, id="a-file-that-is-no-json"),
        pytest.param(silent(file=TRIED, daemon_json_fault=BROKEN), None, id="a-file-that-is-no-text"),
        pytest.param(silent(takes_proxies=None, file=FileHistory()), None, id="a-version-that-is-not-known"),
        pytest.param(silent(api=(1, 41), running_environment=None), None, id="an-environment-that-may-not-be-read"),
        pytest.param(silent(api=(1, 41), are_flags_read=False), None, id="a-script-around-it"),
        pytest.param(silent(file=TRIED, flags=Flags(Texts(no_proxy="*"))), Texts("http://office:3128", "http://office:3128", "*"), id="flags-beat-both"),
    ],
)  # fmt: skip
def test_the_process_tells_where_it_is_exact(reality: Reality, told: Texts | None) -> None:
    assert told_by_process(reality) == (None if told is None else told.meaning())
    assert effective(reality) == (None if told is None else told.meaning())


def test_what_it_says_itself_comes_first() -> None:
    engine = Engine("20.10.24", (1, 41), False, Texts(), False, False, 0)

    assert effective(silent(api=(1, 41), engine=engine)) == DIRECT


def test_one_that_answers_nothing_at_all_stays_unknown() -> None:
    assert effective(silent(api=(1, 41), engine=None)) is None


def test_silence_holds_no_restart_up_that_is_known_to_be_due() -> None:
    made = plan(DIRECT, silent(api=(1, 41)), Docker(), OwnedDaemonJson(), is_asked_now=False)

    assert made.restart is not None
    assert made.restart.when is When.NOW
    assert made.condition is None


def test_silence_that_leaves_it_unknown_is_said_and_restarts_nothing() -> None:
    made = plan(DIRECT, silent(), Docker(), OwnedDaemonJson(), is_asked_now=False)

    assert made.restart is None
    assert made.condition is not None
    assert made.condition.code is Code.ENGINE_SILENT


def test_what_runs_with_the_right_settings_and_is_silent_is_left_alone() -> None:
    made = plan(OFFICE.meaning(), silent(api=(1, 41)), Docker(), OwnedDaemonJson(), is_asked_now=False)

    assert made.restart is None
    assert made.condition is None


@pytest.mark.parametrize(
    ("reality", "is_silent"),
    [
        pytest.param(silent(), True, id="no-info"),
        pytest.param(silent(engine=None), True, id="nothing"),
        pytest.param(silent(engine=Engine("26", (1, 45), False, Texts(), False, False, 0)), False, id="all"),
        pytest.param(
            msgspec.structs.replace(silent(engine=None), unit=UnitState(Phase.STOPPED)), False, id="one-that-is-stopped"
        ),
    ],
)
def test_what_is_to_be_asked_again(reality: Reality, is_silent: bool) -> None:
    assert reality.is_silent is is_silent
