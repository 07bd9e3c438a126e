"""What is said in the journal of what others cause: whatever they do, a line a minute of each kind."""

from __future__ import annotations

from agent.relay.noted import NOTED_EVERY_S, Kind, Noted


def test_a_line_a_minute_of_each_kind_and_how_many_there_were() -> None:
    said: list[str] = []
    now = [0.0]
    noted = Noted(said.append, lambda: now[0])

    for number in range(180):
        now[0] = NOTED_EVERY_S * number / 180
        noted.note(Kind.REFUSED, f"refused: 10.0.0.{number}")
    noted.note(Kind.BROKEN, "broken")
    assert said == ["refused: 10.0.0.0", "broken"]

    now[0] = NOTED_EVERY_S
    noted.note(Kind.REFUSED, "refused: 10.0.0.9")
    assert said[2:] == ["refused: 10.0.0.9 (and 179 more like it since the last such line)"]
