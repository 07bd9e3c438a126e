"""When the relay says of itself what there is to say: soon, but not each time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.relay.state_file import GROWN_WITHIN_S, NEWS_WITHIN_S, StateFile
from agent.relay.tally import Tally
from agent.values.relay import RelayState, state_in
from tests.waiting import until_awaited


class Setting:
    """Notes when its file was written."""

    def __init__(self, folder: Path) -> None:
        self.tally = Tally()
        self.written: list[float] = []
        self.path = folder / "state.json"
        self.file = StateFile(self.path, self.tally, self._state, print)

    def _state(self) -> RelayState:
        self.written.append(asyncio.get_running_loop().time())
        return self.tally.state(0)


async def test_news_are_written_within_a_second_and_at_most_once_in_one(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    setting.file.write()
    try:

        def news() -> bool:
            setting.tally.news += 1
            setting.file.note()
            return len(setting.written) > 2

        await until_awaited(10 * NEWS_WITHIN_S, news, "that it was written twice more")
    finally:
        setting.file.close()
    first, second, third = setting.written[:3]
    assert min(second - first, third - second) > 0.9 * NEWS_WITHIN_S


async def test_whoever_reads_it_meanwhile_has_the_whole_of_the_one_before(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    setting.tally.note_orders(1, "")
    setting.file.write()
    with setting.path.open("rb") as reading:
        setting.tally.note_orders(2, "no orders")
        setting.file.write()
        before = state_in(reading.read(), str(setting.path))
    setting.file.close()

    assert before.generation == 1
    assert state_in(setting.path.read_bytes(), str(setting.path)).generation == 2


async def test_what_has_only_grown_may_wait(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    setting.file.write()
    setting.tally.changes += 1
    setting.file.note()

    due_in_s = setting.file._is_due_at - setting.written[0]
    assert NEWS_WITHIN_S < due_in_s <= GROWN_WITHIN_S + 1
    setting.tally.news += 1
    setting.file.note()
    assert setting.file._is_due_at - setting.written[0] <= NEWS_WITHIN_S + 1
    setting.file.close()
