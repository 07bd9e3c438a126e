"""What was so at any moment, by the records of the log."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.audit.account import Account, is_within
from agent.audit.heads import Head
from agent.audit.orders import Orders
from agent.audit.spans import Break, Known, Lane, Order, Outage, Restart, Span, Start, Told
from agent.values.events import Event
from tests.share import fewer

OFFICE: Final = {"http": "http://proxy:3128", "https": "http://proxy:3128", "no_proxy": "localhost"}
DIRECT: Final = {"direct": True}
ALICE: Final = {"via": "control", "uid": 0, "login_uid": 1000, "claimed": "alice"}


def at(clock: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2026-03-01T{clock}+00:00")


class Gathered(msgspec.Struct, frozen=True):
    """All that is told of a log."""

    spans: tuple[Span, ...]
    restarts: tuple[Restart, ...]
    outages: tuple[Outage, ...]
    starts: tuple[Start, ...]
    orders: tuple[Order, ...]
    breaks: tuple[Break, ...]


def of(told: list[Told]) -> Gathered:
    return Gathered(
        spans=tuple(one for one in told if isinstance(one, Span)),
        restarts=tuple(one for one in told if isinstance(one, Restart)),
        starts=tuple(one for one in told if isinstance(one, Start)),
        outages=tuple(one for one in told if isinstance(one, Outage)),
        orders=tuple(one for one in told if isinstance(one, Order)),
        breaks=tuple(one for one in told if isinstance(one, Break)),
    )


class Log:
    """Records of one day, written one after the other."""

    def __init__(self, first: int = 1, v: int = 2) -> None:
        self.heads: list[Head] = []
        self.boot = "b"
        self._seq = first
        self._v = v

    def write(self, clock: str, event: Event, by: dict[str, Any] | None = None, **facts: Any) -> Log:
        raw = msgspec.Raw(msgspec.json.encode(facts))
        ts = f"2026-03-01T{clock}.000000Z"
        self.heads.append(
            Head(
                v=self._v, ts=ts, seq=self._seq, boot_id=self.boot, pass_id="p", event=event.value, trigger="t", by=by,
                facts=raw,
            )
        )  # fmt: skip
        self._seq += 1
        return self

    def lose(self, records: int) -> Log:
        self._seq += records
        return self

    @property
    def account(self) -> Gathered:
        account = Account()
        told = [one for head in self.heads for one in account.take(head)]
        return of([*told, *account.now()])

    def lane(self, lane: Lane) -> list[tuple[str, str | None, str | None, Known]]:
        """Of each span: from, to, what, and how it is known."""
        return [
            (f"{one.begin:%H:%M}", f"{one.end:%H:%M}" if one.end else None, one.value, one.known)
            for one in self.account.spans
            if one.lane is lane
        ]


DIRECT_NOW: Final = "Docker runs with direct, but should run with"
SEEN, NO_AGENT, UNCERTAIN, MISSING, NOT_SAID = (
    *(Known.SEEN, Known.NO_AGENT, Known.UNCERTAIN, Known.MISSING, Known.NOT_SAID),
)


def begun(clock: str = "09:00:00", **more: Any) -> Log:
    """An agent that has started at the office."""
    known = {"version": "1", "network": "office", "upstream": "corp", "policy_sha256": "ab" * 32}
    return Log().write(clock, Event.AGENT_STARTED, **{**known, "effective": OFFICE, "invocation": "i1", **more})


def test_what_a_start_found_lasts_until_something_else_is_said() -> None:
    log = begun().write("12:00:00", Event.NETWORK_CHANGED, network="home")
    log.write("12:00:01", Event.UPSTREAM_CHOSEN, upstream="direct")
    log.write("12:00:03", Event.DOCKER_STARTED, cause="agent", effective=DIRECT, invocation="i2")

    assert log.lane(Lane.AGENT) == [("09:00", None, "1", SEEN)]
    assert log.lane(Lane.NETWORK) == [("09:00", "12:00", "office", SEEN), ("12:00", None, "home", SEEN)]
    assert log.lane(Lane.CHOSEN) == [("09:00", "12:00", "corp", SEEN), ("12:00", None, "direct", SEEN)]
    assert log.lane(Lane.DOCKER) == [("09:00", "12:00", "http://proxy:3128", SEEN), ("12:00", None, "direct", SEEN)]
    assert log.lane(Lane.POLICY) == [("09:00", None, "abababababab", SEEN)]
    assert [one.seq for one in log.account.spans if one.lane is Lane.DOCKER] == [1, 4]


def test_offline_stopped_and_without_a_choice_are_known_to_be_none() -> None:
    log = begun().write("10:00:00", Event.OFFLINE).write("10:00:00", Event.DOCKER_STOPPED, because="it failed")
    log.write("11:00:00", Event.NO_UPSTREAM, network="cafe", because="a portal answers")

    assert log.lane(Lane.NETWORK)[-1] == ("10:00", None, None, SEEN)
    assert log.lane(Lane.DOCKER)[-1] == ("10:00", None, None, SEEN)
    assert log.lane(Lane.CHOSEN)[-1] == ("11:00", None, None, SEEN)


def test_what_could_not_be_written_is_not_known_until_it_is_said_again() -> None:
    log = begun()
    missed = {"records": 2, "since": "2026-03-01T10:00:00Z", "because": "No space left on device"}
    log.write("11:00:00", Event.LOG_RECOVERED, because="2 could not be written", missed=missed)
    log.write("11:30:00", Event.DOCKER_STARTED, cause="others", effective=DIRECT, invocation="i9",
        started_at="2026-03-01T10:30:00Z")  # fmt: skip
    log.write("11:30:00", Event.UPSTREAM_CHOSEN, upstream="direct", network="home", because="x")

    assert log.lane(Lane.DOCKER)[-3:] == [
        ("09:00", "10:00", "http://proxy:3128", SEEN),
        ("10:00", "10:30", "http://proxy:3128", Known.MISSING),
        ("10:30", None, "direct", SEEN),
    ]
    assert log.lane(Lane.NETWORK)[-2:] == [("10:00", "11:30", "office", Known.MISSING), ("11:30", None, "home", SEEN)]


def test_a_start_by_others_began_when_it_began_and_not_when_it_was_seen() -> None:
    log = begun().write("10:05:00", Event.DOCKER_STARTED, cause="others", effective=DIRECT, invocation="i2",
        started_at="2026-03-01T10:04:00Z")  # fmt: skip

    assert log.lane(Lane.DOCKER) == [
        ("09:00", "10:04", "http://proxy:3128", SEEN),
        ("10:04", None, "direct", SEEN),
    ]


def test_a_start_whose_settings_are_said_later_is_one_start() -> None:
    log = begun().write("10:00:00", Event.DOCKER_STARTED, cause="others", invocation="i2")
    log.write("10:02:00", Event.DOCKER_STARTED, cause="others", effective=DIRECT, invocation="i2")

    assert log.lane(Lane.DOCKER)[-1] == ("10:00", None, "direct", SEEN)


def test_where_no_agent_ran_nothing_is_known_but_what_was_last() -> None:
    log = begun().write("10:00:00", Event.AGENT_STOPPED, because="told to stop")
    log.write("11:00:00", Event.AGENT_STARTED, version="1", network="home", effective=DIRECT, invocation="i2")

    assert log.lane(Lane.AGENT) == [
        ("09:00", "10:00", "1", SEEN),
        ("10:00", "11:00", None, SEEN),
        ("11:00", None, "1", SEEN),
    ]
    assert log.lane(Lane.NETWORK) == [
        ("09:00", "10:00", "office", SEEN),
        ("10:00", "11:00", "office", NO_AGENT),
        ("11:00", None, "home", SEEN),
    ]
    assert log.lane(Lane.DOCKER)[1] == ("10:00", "11:00", "http://proxy:3128", NO_AGENT)
    assert log.lane(Lane.CHOSEN)[-1] == ("11:00", None, None, NOT_SAID)


def test_the_same_start_of_docker_before_and_after_was_there_all_the_while() -> None:
    log = begun().write("10:00:00", Event.AGENT_STOPPED, because="told to stop")
    log.write("11:00:00", Event.AGENT_STARTED, version="1", effective=OFFICE, invocation="i1")

    assert log.lane(Lane.DOCKER) == [("09:00", None, "http://proxy:3128", SEEN)]


def test_an_agent_that_was_killed_may_have_looked_until_its_last_record_only() -> None:
    log = begun().write("10:00:00", Event.NETWORK_CHANGED, network="home")
    log.write("11:00:00", Event.AGENT_STARTED, version="1", last_ended="was killed, or crashed", network="cafe",
        effective=DIRECT, invocation="i2")  # fmt: skip

    assert log.lane(Lane.AGENT) == [
        ("09:00", "10:00", "1", SEEN),
        ("10:00", "11:00", "1", UNCERTAIN),
        ("11:00", None, "1", SEEN),
    ]
    assert log.lane(Lane.DOCKER)[:2] == [
        ("09:00", "10:00", "http://proxy:3128", SEEN),
        ("10:00", "11:00", "http://proxy:3128", UNCERTAIN),
    ]
    assert {one.because for one in log.account.spans if one.known is UNCERTAIN} == {"was killed, or crashed"}


def test_what_the_next_agent_records_before_its_start_does_not_make_it_seen() -> None:
    """It finishes what was left half done before it tells that it started; the one before was gone long since."""
    log = begun().write("10:00:00", Event.NETWORK_CHANGED, network="home")
    log.write("11:00:00", Event.DOCKER_STARTED, cause="agent", effective=DIRECT, invocation="i2")
    log.write("11:00:01", Event.POLICY_LOADED, because="the agent started")
    log.write("11:00:02", Event.AGENT_STARTED, last_ended="was killed, or crashed", gap_s=3601.9, network="home",
        effective=DIRECT, invocation="i2")  # fmt: skip

    assert log.lane(Lane.DOCKER) == [
        ("09:00", "10:00", "http://proxy:3128", SEEN),
        ("10:00", "11:00", "http://proxy:3128", UNCERTAIN),
        ("11:00", None, "direct", SEEN),
    ]
    assert log.lane(Lane.NETWORK)[1:3] == [("10:00", "11:00", "home", UNCERTAIN), ("11:00", None, "home", SEEN)]


def test_with_another_boot_the_agent_of_before_is_gone() -> None:
    log = begun()
    log.boot = "c"
    log.write("11:00:00", Event.DOCKER_STARTED, {"via": "command", "uid": 0}, cause="agent", invocation="i2")

    assert log.lane(Lane.DOCKER)[:2] == [
        ("09:00", "11:00", "http://proxy:3128", UNCERTAIN),
        ("11:00", None, None, UNCERTAIN),
    ]
    assert log.lane(Lane.AGENT) == [("09:00", None, "1", UNCERTAIN)]


def test_what_a_command_does_without_an_agent_is_known_for_that_moment() -> None:
    log = begun().write("10:00:00", Event.AGENT_STOPPED, because="told to stop")
    by = {"via": "command", "uid": 0}
    log.write("10:30:00", Event.DOCKER_STARTED, by, cause="agent", effective=DIRECT, invocation="i2")

    assert log.lane(Lane.DOCKER) == [
        ("09:00", "10:00", "http://proxy:3128", SEEN),
        ("10:00", "10:30", "http://proxy:3128", NO_AGENT),
        ("10:30", None, "direct", NO_AGENT),
    ]
    assert log.lane(Lane.AGENT)[-1] == ("10:00", None, None, SEEN)


def test_a_log_that_a_command_began_has_no_agent_yet() -> None:
    log = Log().write("09:00:00", Event.NETWORK_CHANGED, {"via": "command", "uid": 0}, network="home")

    assert log.lane(Lane.NETWORK) == [("09:00", None, "home", NO_AGENT)]


def test_after_missing_records_nothing_is_known_until_it_is_said() -> None:
    log = begun().write("10:00:00", Event.PINNED, upstream="direct", until=None).lose(3)
    log.write("11:00:00", Event.NETWORK_CHANGED, network="home")

    assert [(one.seq, one.what) for one in log.account.breaks] == [(6, "records 3 to 5 are missing")]
    assert log.lane(Lane.NETWORK)[1:] == [("10:00", "11:00", "office", MISSING), ("11:00", None, "home", SEEN)]
    assert log.lane(Lane.DOCKER)[-1] == ("10:00", None, "http://proxy:3128", MISSING)
    assert log.lane(Lane.PINNED)[-1] == ("10:00", None, "direct", MISSING)


def test_a_log_whose_beginning_was_dropped_knows_what_its_records_say() -> None:
    log = Log(first=400).write("10:00:00", Event.NETWORK_CHANGED, network="home")

    assert log.lane(Lane.NETWORK) == [("10:00", None, "home", SEEN)]
    assert log.lane(Lane.DOCKER) == []
    assert log.account.breaks == ()


def test_a_log_that_was_deleted_lacks_its_beginning() -> None:
    log = Log(first=41).write("10:00:00", Event.LOG_RECOVERED, because="the log is gone")

    assert [one.what for one in log.account.breaks] == ["records up to 40 are missing"]


def test_a_clock_that_is_set_back_splits_what_goes_on() -> None:
    log = begun().write("12:00:00", Event.OFFLINE).write("11:00:00", Event.NETWORK_CHANGED, network="home")

    assert [one.what for one in log.account.breaks] == ["the clock was set back by 3600 s"]
    assert log.lane(Lane.DOCKER) == [
        ("09:00", "12:00", "http://proxy:3128", SEEN),
        ("11:00", None, "http://proxy:3128", SEEN),
    ]
    assert all(one.end is None or one.begin <= one.end for one in log.account.spans)


def test_an_outage_counts_from_the_first_look_that_found_it() -> None:
    log = begun().write("10:00:05", Event.UNREACHABLE_BEGAN, network="office", upstream="corp",
        since="2026-03-01T09:58:00Z", because="refused")  # fmt: skip
    log.write("10:10:00", Event.UNREACHABLE_ENDED, lasted_s=720.0, because="it works")

    assert log.lane(Lane.OUTAGE) == [("09:58", "10:10", "corp", SEEN)]


def out(log: Log, clock: str = "10:00:05", *, works: str = "ok") -> Log:
    """Docker reaches nothing with corp; `works`: the verdict on direct."""
    verdicts = [{"upstream": "corp", "verdict": "dns"}, {"upstream": "direct", "verdict": works}]
    return log.write(clock, Event.UNREACHABLE_BEGAN, network="home", upstream="corp", since="2026-03-01T10:00:00Z",
        because="the only upstream of home, and it works", verdicts=verdicts)  # fmt: skip


def ended(log: Log, upstream: str = "direct") -> Outage:
    log.write("11:00:00", Event.UNREACHABLE_ENDED, lasted_s=3600.0, upstream=upstream, because="it works here")
    (one,) = log.account.outages
    return one


WAITS: Final[dict[str, Any]] = {"due": "d", "waits": "stack.service depends on Docker"}
OF_SUDO: Final = "alice (claimed by sudo), login uid 1000"


@pytest.mark.parametrize(
    ("log", "why"),
    [
        pytest.param(
            out(begun().write("09:59:00", Event.PAUSED, by=ALICE, until=None)),
            f"the agent was paused by {OF_SUDO} (record 2)",
            id="paused",
        ),
        pytest.param(
            out(begun().write("09:59:00", Event.RESTART_DEFERRED, **WAITS)),
            "the restart of Docker waited: stack.service depends on Docker (record 2)",
            id="waits",
        ),
        pytest.param(
            out(begun()).write("10:00:06", Event.RESTART_DEFERRED, **WAITS),
            "Docker ran with corp; what worked here was direct; then the restart of Docker waited: "
            "stack.service depends on Docker (record 3)",
            id="waits-from-then-on",
        ),
        pytest.param(
            out(begun().write("09:58:00", Event.RESTART_DEFERRED, **WAITS).write("09:59:00", Event.RESTART_DROPPED)),
            "Docker ran with corp; what worked here was direct",
            id="does-not-wait-any-more",
        ),
        pytest.param(
            out(begun(), works="timeout"), "nothing worked here: corp dns, direct timeout", id="nothing-works"
        ),
        pytest.param(
            out(begun(), works="portal"), "the only upstream of home, and it works", id="portal: as the record has it"
        ),
    ],
)
def test_why_docker_could_not_switch_is_by_what_kept_it_from_it(log: Log, why: str) -> None:
    assert ended(log).why == why


def test_what_had_changed_when_an_outage_ended() -> None:
    started = out(begun()).write("10:59:00", Event.DOCKER_STARTED, cause="agent", effective=DIRECT, invocation="i2")
    moved = out(begun()).write("10:59:00", Event.NETWORK_CHANGED, network="office")

    assert ended(started).ended_by == "Docker was started by the agent, with direct (record 3)"
    assert ended(moved, "corp").ended_by == "the laptop moved to office (record 3)"
    assert ended(out(begun()), "corp").ended_by == "corp works again"


def test_a_move_to_where_the_outage_is_did_not_end_it() -> None:
    """The move is recorded with the choice, when it was known for seconds that Docker reached nothing there."""
    arrived = out(begun()).write("10:00:06", Event.NETWORK_CHANGED, network="home")
    arrived.write("10:00:06", Event.RELAY_SWITCHED, upstream="direct", network="home", others=[], generation=2)

    assert ended(arrived, "direct").ended_by == "the relay switched to direct (record 4)"


def test_an_outage_whose_end_nobody_saw_is_not_known_from_then_on() -> None:
    log = begun().write("10:00:00", Event.UNREACHABLE_BEGAN, upstream="corp", since="2026-03-01T10:00:00Z")
    log.write("10:20:00", Event.RESTART_DEFERRED, due="d", waits="w")
    log.write("11:00:00", Event.AGENT_STARTED, version="1", last_ended="was killed, or crashed")

    assert log.lane(Lane.OUTAGE) == [("10:00", "10:20", "corp", SEEN), ("10:20", "11:00", "corp", UNCERTAIN)]


MISSED: Final = {"records": 2, "since": "2026-03-01T10:20:00Z", "because": "No space left on device"}


@pytest.mark.parametrize("is_said_again", [True, False], ids=["said-again", "only-its-end"])
def test_an_outage_that_goes_on_where_records_are_missing_is_one(is_said_again: bool) -> None:
    log = out(begun()).write("10:30:00", Event.LOG_RECOVERED, because="2 could not be written", missed=MISSED)
    if is_said_again:
        out(log, "10:30:01")

    one = ended(log)

    assert (one.begin, one.end, one.seen_until) == (at("10:00:00"), at("11:00:00"), None)
    assert (one.seq, one.ended_because) == (2, "it works here")


def test_one_that_nobody_tells_of_again_was_seen_up_to_where_records_are_missing() -> None:
    log = out(begun()).write("10:30:00", Event.LOG_RECOVERED, because="2 could not be written", missed=MISSED)
    log.write("11:00:05", Event.UNREACHABLE_BEGAN, network="home", upstream="corp", since="2026-03-01T11:00:00Z",
        because="corp may still come")  # fmt: skip

    assert [(one.begin, one.ended_because) for one in log.account.outages] == [
        (at("10:00:00"), "records could not be written"),
        (at("11:00:00"), ""),
    ]


# The relay.


def relayed(log: Log) -> Log:
    """Docker is given it at ten, and it leads to corp."""
    log.write("09:59:59", Event.RELAY_SWITCHED, upstream="corp", network="office", others=["direct"], generation=1)
    return log.write("10:00:00", Event.RELAY_ENABLED, listens=["127.0.0.1:3130"])


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        pytest.param(Event.RELAY_FAILED, {"because": "refused"}, id="failed"),
        pytest.param(Event.RELAY_DISABLED, {"because": "the policy does not enable it"}, id="switched-off"),
    ],
)
def test_docker_had_the_relay_from_then_to_then_and_through_which_upstream(event: Event, facts: dict[str, Any]) -> None:
    log = relayed(begun())
    log.write("11:00:00", Event.RELAY_SWITCHED, upstream="direct", network="home", others=[], generation=2)
    log.write("11:30:00", Event.RELAY_SWITCHED, upstream="direct", network="home", others=["x"], generation=3)
    log.write("12:00:00", event, **facts)
    log.write("13:00:00", Event.RELAY_SWITCHED, upstream="corp", network="home", others=[], generation=4)

    assert log.lane(Lane.RELAY) == [("10:00", "11:00", "corp", SEEN), ("11:00", "12:00", "direct", SEEN)]


@pytest.mark.parametrize(
    ("found", "then"),
    [
        pytest.param({"relay": "corp"}, [("12:00", None, "corp", SEEN)], id="the-same"),
        pytest.param({"relay": "direct"}, [("12:00", None, "direct", SEEN)], id="another"),
        pytest.param({"relay": None}, [], id="not-given"),
        pytest.param({}, [("12:00", None, None, NOT_SAID)], id="not-said"),
    ],
)
def test_the_next_agent_says_what_is_behind_the_relay(found: dict[str, Any], then: list[Any]) -> None:
    log = relayed(begun()).write("11:00:00", Event.AGENT_STOPPED, because="told to stop")
    log.write("12:00:00", Event.AGENT_STARTED, version="1", **found)

    assert log.lane(Lane.RELAY) == [("10:00", "11:00", "corp", SEEN), ("11:00", "12:00", "corp", NO_AGENT), *then]


def test_a_relay_of_which_a_start_said_nothing_is_known_again_once_it_is_switched() -> None:
    log = relayed(begun()).write("12:00:00", Event.AGENT_STARTED, version="1")
    log.write("13:00:00", Event.RELAY_SWITCHED, upstream="direct", network="home", others=[], generation=2)

    assert log.lane(Lane.RELAY)[-1] == ("13:00", None, "direct", SEEN)


def test_a_log_that_begins_anew_knows_the_pin_and_the_pause_by_the_start() -> None:
    log = begun(pinned="corp", pinned_until="2026-03-01T11:00:00Z", is_paused=True)

    log.write("12:00:00", Event.NETWORK_CHANGED, network="home")
    assert log.lane(Lane.PINNED) == [("09:00", "11:00", "corp", SEEN)]
    assert log.lane(Lane.PAUSED) == [("09:00", None, "", SEEN)]


def test_a_pin_that_an_earlier_record_has_goes_on_over_a_start() -> None:
    log = begun().write("10:00:00", Event.PINNED, by=ALICE, upstream="corp", until=None)
    log.write("11:00:00", Event.AGENT_STARTED, version="1", pinned="corp")

    assert log.lane(Lane.PINNED) == [("10:00", None, "corp", SEEN)]
    assert len(log.account.orders) == 1


def test_a_restart_that_waits_ends_with_the_restart() -> None:
    log = begun().write("10:00:00", Event.RESTART_DEFERRED, due="direct", waits="3 containers run")
    log.write("10:30:00", Event.DOCKER_STARTED, cause="agent", effective=DIRECT, invocation="i2")
    log.write("10:30:01", Event.DOCKER_RESTARTED, took_s=0.7, due="direct", allowed="none runs", containers_kept=3,
        containers_lost=["web"])  # fmt: skip

    assert log.lane(Lane.WAITING) == [("10:00", "10:30", "3 containers run", SEEN)]
    (restart,) = log.account.restarts
    assert (restart.took_s, restart.due, restart.allowed, restart.kept, restart.lost) == (
        *(0.7, "direct", "none runs", 3, ("web",)),
    )


@pytest.mark.parametrize(
    ("ends", "facts"),
    [
        pytest.param(Event.SETTINGS_WRITTEN, {"targets": ["/f"]}, id="written"),
        pytest.param(Event.REQUESTED, {"command": "reload", "options": []}, id="reload"),
        pytest.param(Event.POLICY_LOADED, {"because": "it changed"}, id="policy"),
        pytest.param(Event.AGENT_STARTED, {"version": "1"}, id="another-agent"),
    ],
)
def test_what_was_given_up_is_tried_again(ends: Event, facts: dict[str, Any]) -> None:
    log = begun().write("10:00:00", Event.GAVE_UP, targets=["/f"], because="5 times")
    log.write("11:00:00", ends, **facts)

    assert log.lane(Lane.GAVE_UP)[-1][1] == "11:00"


def test_who_ordered_what() -> None:
    log = begun().write("10:00:00", Event.PINNED, ALICE, upstream="direct", until="2026-03-01T12:00:00Z")
    log.write("11:00:00", Event.REQUESTED, {"via": "signal"}, command="reload", options=[])
    log.write("11:30:00", Event.REQUESTED, ALICE, command="apply", options=["now"])
    log.write("12:00:00", Event.UNPINNED, upstream="direct", because="its time is over")

    assert [(one.what, one.who) for one in log.account.orders] == [
        ("pin direct until 2026-03-01T12:00:00Z", "alice (claimed by sudo), login uid 1000"),
        ("reload", "a signal"),
        ("apply --now", "alice (claimed by sudo), login uid 1000"),
    ]
    assert log.lane(Lane.PINNED) == [("10:00", "12:00", "direct", SEEN)]


def test_a_pin_holds_whether_an_agent_runs_or_not() -> None:
    log = begun().write("10:00:00", Event.PINNED, ALICE, upstream="direct", until=None)
    log.write("10:10:00", Event.AGENT_STOPPED, because="told to stop").write("11:00:00", Event.AGENT_STARTED)

    assert log.lane(Lane.PINNED) == [("10:00", None, "direct", SEEN)]


def test_a_wrong_policy_is_one_until_a_right_one_is_loaded() -> None:
    log = begun().write("10:00:00", Event.POLICY_REJECTED, path="/c", problems=["a", "b"])
    log.write("10:30:00", Event.POLICY_LOADED, because="it is fixed", policy_sha256="cd" * 32)

    assert log.lane(Lane.POLICY_ERROR) == [("10:00", "10:30", "a; b", SEEN)]
    assert log.lane(Lane.POLICY)[-1] == ("10:30", None, "cdcdcdcdcdcd", SEEN)


def test_of_two_dockers_one_is_looked_at() -> None:
    snap: dict[str, Any] = {
        "cause": "others",
        "effective": DIRECT,
        "invocation": "j1",
        "unit": "snap.docker.dockerd.service",
    }
    log = begun(unit="docker.service").write("10:00:00", Event.DOCKER_STARTED, **snap)

    assert log.lane(Lane.DOCKER) == [
        ("09:00", "10:00", "http://proxy:3128", SEEN),
        ("10:00", None, "http://proxy:3128", Known.NOT_SERVED),
        ("10:00", None, "direct", SEEN),
    ]
    assert {one.about for one in log.account.spans if one.lane is Lane.DOCKER} == {
        *("docker.service", "snap.docker.dockerd.service"),
    }


def test_a_docker_that_records_of_before_do_not_name_is_the_one_that_is_named_next() -> None:
    log = begun().write("09:30:00", Event.RESTART_DEFERRED, due="d", waits="w")
    log.write("10:00:00", Event.DOCKER_STARTED, cause="agent", effective=DIRECT, invocation="i2", unit="docker.service")

    assert log.lane(Lane.DOCKER) == [("09:00", "10:00", "http://proxy:3128", SEEN), ("10:00", None, "direct", SEEN)]
    assert log.lane(Lane.WAITING) == [("09:30", "10:00", "w", SEEN)]


def test_another_start_than_before_a_gap_was_made_while_nobody_looked() -> None:
    log = begun().write("11:00:00", Event.AGENT_STOPPED, because="told to stop")
    log.write("12:00:00", Event.AGENT_STARTED, version="1", effective=OFFICE, invocation="i2")
    log.write("12:10:00", Event.DOCKER_STARTED, cause="others", effective=OFFICE, invocation="i3")
    log.write("12:11:00", Event.DOCKER_STARTED, cause="others", effective=OFFICE, invocation="i3")

    assert [(one.by, one.since, one.seq) for one in log.account.starts] == [
        ("", at("11:00:00"), 3),
        ("others", None, 4),
    ]
    docker = [one for one in log.account.spans if one.lane is Lane.DOCKER and one.seq == 3]
    assert [one.because for one in docker] == ["it was restarted while no agent was watching; by whom is not known"]


def test_a_docker_that_the_agent_turns_to_was_not_started() -> None:
    served = "the agent looks after this Docker from now on"
    log = begun(unit="docker.service")
    for clock, unit, invocation in (("10:00:00", "b.service", "j1"), ("11:00:00", "docker.service", "i1")):
        log.write(clock, Event.DOCKER_STARTED, unit=unit, cause="others", effective=OFFICE, invocation=invocation,
            because=served)  # fmt: skip

    assert log.account.starts == ()


def answered(log: Log) -> list[list[str]]:
    account, orders = Account(), Orders()
    for head in log.heads:
        orders.take(head, [*account.take(head)])
    return [one.came_of_it for one in orders.end(account.now())]


def in_pass(log: Log, name: str) -> Log:
    log.heads[-1] = msgspec.structs.replace(log.heads[-1], pass_id=name)
    return log


def test_what_came_of_an_order_is_always_said() -> None:
    log = in_pass(begun().write("10:00:00", Event.REQUESTED, ALICE, command="apply", options=["now"]), "1")
    in_pass(log.write("10:01:00", Event.DOCKER_STARTED, cause="agent", effective=DIRECT, invocation="i2"), "1")
    in_pass(log.write("10:01:01", Event.DOCKER_RESTARTED, took_s=0.7, due="d", allowed="a"), "1")
    in_pass(log.write("10:10:00", Event.REQUESTED, ALICE, command="apply", options=[]), "2")
    in_pass(log.write("10:20:00", Event.REQUESTED, ALICE, command="apply", options=[]), "3")
    log.write("10:20:32", Event.AGENT_STOPPED, because="told to stop")

    assert answered(log) == [
        ["docker restarted, with direct"],
        ["nothing is recorded: there was nothing to do"],
        ["nothing is recorded; the agent stopped 32 s later"],
    ]


def test_of_an_order_without_a_valid_policy_it_is_not_said_that_there_was_nothing_to_do() -> None:
    log = in_pass(begun().write("09:50:00", Event.POLICY_REJECTED, path="p", problems=["x"]), "0")
    in_pass(log.write("10:00:00", Event.REQUESTED, ALICE, command="apply", options=[]), "1")
    in_pass(log.write("10:05:00", Event.POLICY_LOADED, path="p", because="it changed"), "2")
    in_pass(log.write("10:10:00", Event.REQUESTED, ALICE, command="apply", options=[]), "3")
    in_pass(log.write("10:20:00", Event.POLICY_REMOVED, path="p"), "4")

    assert answered(log) == [
        ["nothing is recorded: the policy in the file was refused (record 2)"],
        ["nothing is recorded: there was nothing to do"],
    ]


def test_of_a_command_without_an_agent_it_is_not_said_that_one_ended() -> None:
    log = in_pass(begun().write("10:00:00", Event.AGENT_STOPPED, because="told to stop"), "1")
    in_pass(log.write("10:10:00", Event.RESUMED, {**ALICE, "via": "command"}, because="requested"), "2")
    log.write("10:20:00", Event.AGENT_STARTED, version="2")

    assert answered(log) == [["nothing is recorded: no agent ran"]]


def test_a_pause_says_how_long_it_held_and_what_it_prevented() -> None:
    log = in_pass(begun().write("09:50:00", Event.PAUSED, ALICE, until=None), "1")
    log = out(log)
    log.write("10:50:00", Event.RESUMED, ALICE, because="requested")
    in_pass(log, "2").write("10:50:10", Event.UNREACHABLE_ENDED, lasted_s=3010.0, upstream="direct", because="b")

    assert answered(log)[0] == [
        "it held for 1 h (record 4)",
        "Docker could not be switched, and reached no registry for 50 min 10 s (records 3, 5)",
    ]


def test_a_pin_ends_with_its_time_whether_an_agent_says_so_or_not() -> None:
    log = begun().write("10:00:00", Event.PINNED, by=ALICE, upstream="direct", until="2026-03-01T11:00:00+00:00")
    log.write("10:30:00", Event.AGENT_STOPPED, because="told to stop")
    assert log.lane(Lane.PINNED) == [("10:00", "11:00", "direct", SEEN)]

    log.write("12:00:00", Event.AGENT_STARTED, version="1")
    log.write("12:00:01", Event.UNPINNED, upstream="direct", because="its time is over")
    assert log.lane(Lane.PINNED) == [("10:00", "11:00", "direct", SEEN)]


def test_a_command_that_acts_itself_proves_that_no_agent_runs() -> None:
    command = {"via": "command", "uid": 0}
    log = begun().write("12:00:00", Event.REQUESTED, by=command, command="apply", options=[])
    log.write("12:00:01", Event.NETWORK_CHANGED, by=command, network="home")
    log.write(
        "14:00:00", Event.AGENT_STARTED, version="1", network="home", last_ended="was killed, or crashed", gap_s=7199.0
    )

    assert log.lane(Lane.NETWORK)[0] == ("09:00", "12:00", "office", UNCERTAIN)
    assert all(known is not SEEN for begin, _, _, known in log.lane(Lane.NETWORK) if "09:00" < begin < "14:00")


def test_a_restart_names_the_order_that_its_pass_answers() -> None:
    log = begun().write("10:00:00", Event.UNPINNED, by={"via": "control", "uid": 1001, "login_uid": 1001}, upstream="d",
        because="requested")  # fmt: skip
    log.write("10:00:01", Event.DOCKER_RESTARTED, due="d", allowed="none runs")
    log.heads.append(msgspec.structs.replace(log.heads[-1], seq=4, pass_id="q"))

    assert [one.asked for one in log.account.restarts] == ["after unpin by login uid 1001 (record 2)", ""]


def test_after_a_crash_the_record_of_a_start_says_since_when_docker_has_run() -> None:
    log = begun().write("11:00:00", Event.SETTINGS_WRITTEN, targets=[])
    log.write("12:00:00", Event.AGENT_STARTED, version="1", last_ended="was killed, or crashed", gap_s=3600.0)
    log.write("12:00:01", Event.POLICY_LOADED, path="/p", because="the agent started", warnings=[])
    log.write("12:00:02", Event.DOCKER_STARTED, cause="agent", effective=DIRECT, invocation="i2",
        started_at="2026-03-01T11:02:00Z", down_since="2026-03-01T11:01:00Z")  # fmt: skip

    assert log.lane(Lane.DOCKER) == [
        ("09:00", "11:00", "http://proxy:3128", SEEN),
        ("11:00", "11:01", "http://proxy:3128", UNCERTAIN),
        ("11:01", "11:02", None, SEEN),
        ("11:02", None, "direct", SEEN),
    ]


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        pytest.param(Event.APPLY_STARTED, {"effective": OFFICE}, id="apply-started"),
        pytest.param(Event.RESTART_DEFERRED, {"due": f"{DIRECT_NOW} http://proxy:3128", "waits": "w"}, id="deferred"),
    ],
)
def test_what_is_said_by_the_way_of_docker_counts_where_nothing_else_says_it(
    event: Event, facts: dict[str, Any]
) -> None:
    runs = "http://proxy:3128" if "effective" in facts else "direct"
    log = Log(first=7).write("09:00:00", Event.NETWORK_CHANGED, network="home").write("09:10:00", event, **facts)
    told = begun().write("09:10:00", event, **facts)

    assert log.lane(Lane.DOCKER) == [("09:10", None, runs, SEEN)]
    assert told.lane(Lane.DOCKER) == [("09:00", None, "http://proxy:3128", SEEN)]


def test_a_start_that_names_no_docker_is_of_the_one_before() -> None:
    log = begun(unit="docker.service").write("10:00:00", Event.AGENT_STOPPED, because="told to stop")
    log.write("11:00:00", Event.AGENT_STARTED, version="1")

    assert log.lane(Lane.DOCKER)[-1] == ("11:00", None, None, NOT_SAID)
    assert {one.about for one in log.account.spans if one.lane is Lane.DOCKER} == {"docker.service"}


def test_while_docker_was_down_it_ran_with_nothing() -> None:
    log = begun().write("10:00:09", Event.DOCKER_STARTED, cause="others", effective=DIRECT, invocation="i2",
        down_since="2026-03-01T09:58:00Z", started_at="2026-03-01T09:59:00Z")  # fmt: skip
    log.write("10:10:00", Event.DOCKER_STOPPED, cause="others", because="b", stopped_at="2026-03-01T10:08:00Z")
    log.write("10:20:00", Event.DOCKER_STARTED, cause="others", effective=DIRECT, invocation="i3",
        down_since="2026-03-01T10:08:00Z", started_at="2026-03-01T10:19:00Z")  # fmt: skip

    assert log.lane(Lane.DOCKER) == [
        ("09:00", "09:58", "http://proxy:3128", SEEN),
        ("09:58", "09:59", None, SEEN),
        ("09:59", "10:08", "direct", SEEN),
        ("10:08", "10:19", None, SEEN),
        ("10:19", None, "direct", SEEN),
    ]


def test_a_restart_waits_on_where_the_agent_is_another_and_docker_the_same() -> None:
    log = begun().write("10:00:00", Event.RESTART_DEFERRED, due="d", waits="w")
    log.write("10:10:00", Event.AGENT_STOPPED, because="told to stop")
    log.write("10:20:00", Event.AGENT_STARTED, effective=OFFICE, invocation="i1")
    log.write("10:30:00", Event.AGENT_STARTED, effective=DIRECT, invocation="i2")

    assert log.lane(Lane.WAITING)[0] == ("10:00", "10:20", "w", SEEN)
    assert [end for _, end, _, _ in log.lane(Lane.WAITING)] == ["10:20", "10:30"]


def test_records_of_the_first_schema_are_understood() -> None:
    log = Log(v=1).write("09:00:00", Event.AGENT_STARTED, version="0")
    log.write("10:00:00", Event.DOCKER_RESTARTED, took_s=1.0, because="due", settings={"proxy": "direct"})

    assert log.lane(Lane.DOCKER)[-1] == ("10:00", None, "direct", SEEN)


def test_what_touches_a_stretch_of_time_is_within_it() -> None:
    log = begun().write("10:00:00", Event.NETWORK_CHANGED, network="home")
    log.write("11:00:00", Event.NETWORK_CHANGED, network="cafe")

    within = [one for one in log.account.spans if is_within(one, at("10:10:00"), at("10:20:00"))]
    assert [one.value for one in within if one.lane is Lane.NETWORK] == ["home"]
    assert [one.value for one in within if one.lane is Lane.DOCKER] == ["http://proxy:3128"]


@pytest.mark.parametrize("event", list(Event), ids=lambda event: event.value)
def test_facts_that_were_cut_or_forged_stop_nobody(event: Event) -> None:
    log = begun()
    odd: Any
    for odd in (
        "…",
        None,
        7,
        -7,
        1e300,
        True,
        [7, None],
        {"a": {}},
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59+01:00",
    ):
        names = ("network", "upstream", "effective", "targets", "because", "invocation", "took_s", "since", "command")
        times = ("lasted_s", "gap_s", "started_at", "down_since", "stopped_at")
        log.write("10:00:00", event, ALICE, **dict.fromkeys((*names, *times), odd))

    assert log.account.spans


@pytest.mark.parametrize("ts", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "", "x", "2026-03-01T10:00:00"])
def test_times_that_are_forged_stop_nobody(ts: str) -> None:
    log = begun().write("10:00:00", Event.UNREACHABLE_BEGAN, since="2026-03-01T10:00:00Z")
    for event in (Event.UNREACHABLE_ENDED, Event.AGENT_STARTED, Event.DOCKER_STARTED):
        log.write("10:00:00", event, lasted_s=7, gap_s=7)
        log.heads[-1] = msgspec.structs.replace(log.heads[-1], ts=ts)

    assert all(one.end is None or one.begin <= one.end for one in log.account.spans)
    assert all(one.end is None or one.begin <= one.end for one in log.account.outages)


FACTS: Final = st.fixed_dictionaries(
    {
        "network": st.sampled_from(["office", "home"]),
        "upstream": st.sampled_from(["corp", "direct"]),
        "effective": st.sampled_from([OFFICE, DIRECT, None]),
        "invocation": st.sampled_from(["i1", "i2", "i3"]),
        "because": st.just("b"),
        "targets": st.just(["/f"]),
    },
    optional={
        "unit": st.sampled_from(["docker.service", "snap.docker.dockerd.service"]),
        "gap_s": st.floats(0, 200),
        "started_at": st.sampled_from(["2026-03-01T00:00:30Z", "2026-03-01T00:05:00Z", "2026-03-01T01:00:00Z"]),
        "down_since": st.sampled_from(["2026-03-01T00:00:20Z", "2026-03-01T00:04:00Z"]),
        "stopped_at": st.sampled_from(["2026-03-01T00:00:10Z", "2026-03-01T00:06:00Z"]),
        "since": st.sampled_from(["2026-03-01T00:00:01Z", "2026-03-01T00:03:00Z"]),
    },
)
WRITTEN: Final = st.tuples(
    st.integers(0, 90), st.sampled_from(Event), FACTS, st.sampled_from([None, None, ALICE]),
    st.integers(-12, 3), st.sampled_from("bbbc"),
)  # fmt: skip


@settings(max_examples=fewer(300, at_least=80), deadline=None)
@given(st.lists(WRITTEN, max_size=30))
def test_whatever_is_recorded_each_lane_says_one_thing_at_a_time(
    written: list[tuple[int, Event, dict[str, Any], dict[str, Any] | None, int, str]],
) -> None:
    log, now = Log(), at("00:00:00")
    for later, event, facts, by, lost, boot in written:
        now += dt.timedelta(seconds=later)
        log.boot = boot
        log.lose(max(0, lost)).write(f"{now:%H:%M:%S}", event, by, **facts)
    found = log.account

    seqs = {head.seq for head in log.heads}
    for lane in {(span.lane, span.about) for span in found.spans}:
        spans = sorted((one for one in found.spans if (one.lane, one.about) == lane), key=lambda one: one.begin)
        assert all(one.end is None or one.begin <= one.end for one in spans)
        ends = [one.end for one in spans]
        assert all(end is not None and end <= later.begin for end, later in zip(ends, spans[1:], strict=False))
        assert {one.seq for one in spans} <= seqs
    assert sum(event is Event.DOCKER_RESTARTED for _, event, *_ in written) == sum(
        not one.is_rolled_back for one in found.restarts
    )
    assert all(one.end is None or one.begin <= one.end for one in found.outages)
