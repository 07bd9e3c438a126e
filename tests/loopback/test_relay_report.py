"""state.json, which another user writes: what counts of it, and that nothing in it can hold the agent up."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from agent.one_pass.relay_report import FELL_BACK_AGAIN_S, TOLD_AGAIN_S, FallenBack, Refusals, state_of
from agent.values.paths import Paths
from agent.values.relay import (
    LARGEST_STATE,
    Carried,
    Orders,
    RefusedSource,
    RelayPac,
    RelayState,
    RelayUpstream,
    UpstreamFailed,
    state_file,
)

STATE = RelayState(generation=7, connections=3, refused=(RefusedSource("192.0.2.7", 2),))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = Paths(tmp_path).relay_state
    path.parent.mkdir(parents=True)
    path.write_bytes(state_file(STATE))
    return path


def test_what_the_relay_says_is_read(tmp_path: Path, file: Path) -> None:
    assert state_of(Paths(tmp_path)) == STATE

    file.unlink()

    assert state_of(Paths(tmp_path)) is None


class SystemsPaths(Paths, frozen=True):
    """As those of the real system are."""

    @property
    def is_the_systems(self) -> bool:
        return True


def test_without_its_own_user_it_runs_as_the_agents(tmp_path: Path, file: Path) -> None:
    """As where another supervisor than systemd starts it."""
    paths = SystemsPaths(tmp_path)
    passwd = paths.below("/etc/passwd")
    passwd.parent.mkdir(exist_ok=True)
    passwd.write_text("nobody:x:65534:65534::/:/bin/false\n")
    assert state_of(paths) == STATE

    passwd.write_text("docker-proxy-relay:x:4242:4242::/:/bin/false\n")
    assert state_of(paths) is None


def test_a_link_is_not_followed(tmp_path: Path, file: Path) -> None:
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")

    assert state_of(Paths(tmp_path)) is None


def test_a_pipe_is_not_waited_for(tmp_path: Path, file: Path) -> None:
    file.unlink()
    os.mkfifo(file)
    assert state_of(Paths(tmp_path)) is None

    with file.open("r+b", buffering=0) as pipe:
        pipe.write(state_file(STATE))  # whatever is in it
        assert state_of(Paths(tmp_path)) is None


@pytest.mark.needs_root
def test_a_file_of_somebody_else_does_not_count(tmp_path: Path, file: Path) -> None:
    os.chown(file, 65534, 65534)

    assert state_of(Paths(tmp_path)) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{" * 100_000, id="deep"),
        pytest.param(state_file(STATE) + b" " * LARGEST_STATE, id="long"),
        pytest.param(b'{"format":1,"state":{"generation":-1}}', id="out-of-bounds"),
        pytest.param(b'{"format":1,"state":{"more":1}}', id="of-another-kind"),
        pytest.param(b"\xff", id="no-text"),
    ],
)
def test_what_is_not_as_it_must_be_does_not_count(tmp_path: Path, file: Path, data: bytes) -> None:
    file.write_bytes(data)

    assert state_of(Paths(tmp_path)) is None


def refused(*sources: str) -> RelayState:
    return RelayState(refused=tuple(RefusedSource(one, 2) for one in sources))


def test_each_source_is_told_of_once_and_at_most_once_a_minute() -> None:
    refusals = Refusals()
    assert refusals.news(refused("192.0.2.7"), 0) == (("192.0.2.7",), 2)

    refusals = refusals.after(("192.0.2.7",), 0)

    assert refusals.news(refused("192.0.2.7", "192.0.2.8"), TOLD_AGAIN_S / 2) == ((), 0)
    assert refusals.news(refused("192.0.2.7", "192.0.2.8"), TOLD_AGAIN_S) == (("192.0.2.8",), 2)
    assert refusals.news(refused("192.0.2.7"), 10 * TOLD_AGAIN_S) == ((), 0)
    assert refusals.news(None, 10 * TOLD_AGAIN_S) == ((), 0)


@pytest.mark.parametrize("source", ["", "\x1b[31m", "http://alice:secret@proxy", "192.0.2.7 and more", "x" * 300])
def test_what_is_no_address_is_not_told(source: str) -> None:
    """A password would fit there, too."""
    assert Refusals().news(refused(source, "FE80::1%wlan0"), 0) == (("fe80::1",), 2)


def test_one_who_comes_from_ever_new_addresses_fills_nothing() -> None:
    refusals = Refusals()
    for minute in range(200):
        sources, _ = refusals.news(refused(*(f"2001:db8::{minute:x}:{one:x}" for one in range(20))), minute * 60)
        refusals = refusals.after(sources, minute * 60)

    assert len(refusals.known) <= 1000


def orders(generation: int, *names: str) -> Orders:
    return Orders(generation, tuple(RelayUpstream(name) for name in names))


def carried(generation: int, failed: str = "", **connections: int) -> RelayState:
    """`failed`: the upstream that carried what another could not be opened for."""
    last = UpstreamFailed(1, "corp", "refused", generation=generation, used=failed) if failed else None
    counts = tuple(Carried(name, connections=count) for name, count in connections.items())
    return RelayState(generation, 7, 1.0, carried=counts, failed=last)


AT_WORK = orders(1, "corp", "direct")


def test_what_a_pac_sends_by_another_upstream_has_not_fallen_back() -> None:
    by_a_pac = msgspec.structs.replace(AT_WORK, pac=RelayPac("corp", ""))
    known, _ = FallenBack().news(carried(1, corp=5, direct=3), by_a_pac, 0)

    _, news = known.news(carried(1, corp=9, direct=9), by_a_pac, 1)

    assert news == {}


def test_what_another_upstream_carried_is_told_at_most_once_in_ten_minutes() -> None:
    known, news = FallenBack().news(carried(1, corp=5, direct=3), AT_WORK, 0)
    assert news == {}  # by whom it was chosen then is not known

    known, news = known.news(carried(1, corp=9, direct=4), AT_WORK, 1)
    assert news == {"direct": 1}
    known, news = known.news(carried(1, corp=9, direct=6), AT_WORK, FELL_BACK_AGAIN_S)
    assert news == {}
    known, news = known.news(carried(1, corp=9, direct=6), AT_WORK, 1 + FELL_BACK_AGAIN_S)
    assert news == {"direct": 2}


def test_what_it_carried_as_the_first_is_no_news() -> None:
    known, _ = FallenBack().news(carried(1, direct=1), orders(1, "direct"), 0)

    # It carried 8 more before it had the new orders.
    known, news = known.news(carried(2, direct=9), orders(2, "corp", "direct"), 2)
    assert news == {}
    assert known.news(carried(2, direct=10), orders(2, "corp", "direct"), 3)[1] == {"direct": 1}


def test_what_fell_back_before_the_first_look_is_told_too() -> None:
    known, _ = FallenBack().news(carried(1, direct=1), orders(1, "direct"), 0)

    known, news = known.news(carried(2, "direct", direct=10), orders(2, "corp", "direct"), 2)

    assert news == {"direct": 1}
    assert known.news(carried(2, "direct", direct=10), orders(2, "corp", "direct"), 9999)[1] == {}


@pytest.mark.parametrize("name", ["", "corp", "nobody", "http://alice:secret@proxy"])
def test_an_upstream_that_it_was_not_told_to_try_is_not_believed(name: str) -> None:
    known, _ = FallenBack().news(carried(1), AT_WORK, 0)

    assert known.news(carried(1, name, **{name: 3}), AT_WORK, 1)[1] == {}
