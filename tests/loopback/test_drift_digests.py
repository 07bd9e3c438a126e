"""What a record of a foreign change tells of a password: that it was another one, and never which."""

from __future__ import annotations

from pathlib import Path

from agent.audit.drift_digests import drift_digests
from agent.values.settings import Settings, settings

ALICES = settings("http://alice:hunter2@office:3128", "http://office:3128", "localhost")
ANOTHER = settings("http://alice:hunter3@office:3128", "http://office:3128", "localhost")


def digest(state: Path, found: Settings) -> str | None:
    return drift_digests(state, found, found)[0]


def test_another_password_has_another_digest_and_the_same_has_the_same(tmp_path: Path) -> None:
    before, after = drift_digests(tmp_path, ALICES, ANOTHER)

    assert (before, after) == (digest(tmp_path, ALICES), digest(tmp_path, ANOTHER))
    assert before != after
    assert all(len(one or "") == 16 and set(one or "") <= set("0123456789abcdef") for one in (before, after))
    assert drift_digests(tmp_path, None, ANOTHER)[0] is None


def test_with_another_key_it_is_another_one(tmp_path: Path) -> None:
    assert digest(tmp_path / "here", ALICES) != digest(tmp_path / "there", ALICES)


def test_what_clients_read_alone_counts_too(tmp_path: Path) -> None:
    assert digest(tmp_path, Settings(all=ALICES.http)) != digest(tmp_path, Settings())


def test_without_a_place_for_the_key_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")

    assert drift_digests(tmp_path / "state", ALICES, ANOTHER) == (None, None)
