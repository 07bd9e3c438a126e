"""What the relay counts: bounded, and escaped before it is said to anybody."""

from __future__ import annotations

from agent.probe.stopwatch import Step
from agent.probe.stream import StreamFailed
from agent.relay.state_file import bounded
from agent.relay.tally import FAILED_IS_NEWS_S, REFUSED_IS_NEWS_S, Tally
from agent.values.relay import MOST_REFUSED, MOST_UNTOLD, MOST_UPSTREAMS, state_in
from agent.values.secret import escaped
from agent.values.verdict import Outcome, Timings


def failure(evidence: str) -> StreamFailed:
    return StreamFailed(Outcome.REFUSED, evidence, Step.CONNECT, Timings())


def test_what_is_carried_is_counted_by_upstream() -> None:
    tally = Tally()
    tally.note_opened("corp")
    tally.note_opened("corp")
    tally.note_moved("corp", 10, 2000)
    tally.note_closed("corp")
    tally.note_failed("corp", failure("nothing listens there"), "direct")

    state = tally.state(turned_away=3)
    (corp,) = state.carried
    assert (corp.open, corp.connections, corp.failed, corp.bytes_up, corp.bytes_down) == (1, 2, 1, 10, 2000)
    assert (state.connections, state.turned_away) == (1, 3)
    assert state.failed is not None
    assert (state.failed.number, state.failed.evidence, state.failed.used) == (1, "nothing listens there", "direct")


def test_what_is_news_and_what_may_wait() -> None:
    now = [0.0]
    tally = Tally(lambda: now[0])
    tally.note_opened("corp")
    tally.note_moved("corp", 1, 1)
    assert tally.news == 0

    tally.note_orders(1, "")
    tally.note_orders(1, "")
    assert tally.news == 1
    tally.note_failed("corp", failure(""))
    assert tally.news == 2
    tally.note_failed("corp", failure(""))
    assert tally.news == 2
    tally.note_failed("backup", failure(""))
    assert tally.news == 3
    now[0] = FAILED_IS_NEWS_S
    tally.note_failed("backup", failure(""))
    assert tally.news == 4


def test_however_many_addresses_strangers_take_they_are_news_once_a_minute() -> None:
    now = [0.0]
    tally = Tally(lambda: now[0])
    for number in range(1000):
        now[0] = REFUSED_IS_NEWS_S * number / 1000
        tally.note_refused(f"10.0.{number % 100}.9")
    assert tally.news == 1
    assert tally.changes == 1000

    now[0] = REFUSED_IS_NEWS_S
    tally.note_refused("10.0.0.9")
    assert tally.news == 2


def test_however_many_try_only_the_latest_are_kept() -> None:
    tally = Tally()
    for number in range(1000):
        tally.note_refused(f"192.168.{number // 256}.{number % 256}")

    refused = tally.state(0).refused
    assert len(refused) == MOST_REFUSED
    assert refused[0].source == "192.168.3.231"


def test_upstreams_of_old_policies_are_forgotten_but_not_while_they_carry() -> None:
    tally = Tally()
    tally.note_opened("kept")
    for number in range(MOST_UPSTREAMS * 2):
        tally.note_opened(f"u{number}")
        tally.note_closed(f"u{number}")

    names = [one.upstream for one in tally.state(0).carried]
    assert len(names) == MOST_UPSTREAMS
    assert "kept" in names


def test_the_state_can_be_read_whatever_upstreams_are_called() -> None:
    tally = Tally()
    for number in range(MOST_UPSTREAMS):
        tally.note_opened(f"{number}{'ä' * 2000}\x1b[31m")
    tally.note_failed("x" * 5000, failure("http://me:secret@proxy.test:3128 refused\n" * 500))
    tally.note_orders(4, "p" * 5000)

    read = state_in(bounded(tally.state(0)), "state.json")
    assert read.generation == 4
    assert read.failed is not None
    assert "secret" not in read.failed.evidence


def test_who_waits_for_word_of_a_network_is_news_once() -> None:
    tally = Tally()
    for _ in range(3):
        tally.note_untold("5 br-\x1b1")
    assert (tally.news, tally.state(0).untold) == (1, (escaped("5 br-\x1b1"),))

    tally.note_told("5 br-\x1b1")
    assert (tally.news, tally.state(0).untold) == (2, ())
    for number in range(2 * MOST_UNTOLD):
        tally.note_untold(f"{number} br")
    assert len(tally.state(0).untold) == MOST_UNTOLD
