"""Which upstream is used: the rule as a table, with its reasons."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.choose import Choice, Ending, Situation, choose, choose_on, patience_left
from agent.decide.history import History, after, chose, moved
from agent.decide.place import Whereabouts
from agent.decide.standing import Pin, Standing
from agent.values.policy import Network, Policy, Unreachable, Upstream
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome, Verdict

OFFICE = Network("office", ("office", "backup", "direct"))
ALONE = Network("office", ("office",))
OPEN = Network("office", ("office", "direct"), unreachable=Unreachable.DIRECT)
FOUR = Network("office", ("a", "b", "c", "direct"))
# As a PAC may name them.
MANY = Network("office", tuple(f"corp → {number:x}{'x' * 200}.example:8080" for number in range(15)))
SHORT = ", ".join(f"corp → {number:x}{'x' * 71}…{{0}}" for number in range(3))
PATIENT, OVER = 5.0, 0.0


def verdicts(**outcomes: str) -> dict[str, Verdict]:
    return {name: Verdict(Outcome(outcome.replace("_", "-"))) for name, outcome in outcomes.items()}


def chosen(upstream: str, because: str, *, is_pinned: bool = False) -> Choice:
    return Choice(Ending.CHOSEN, because, upstream, is_pinned)


@pytest.mark.parametrize(
    ("network", "seen", "patience_s", "choice"),
    [
        pytest.param(
            OFFICE, verdicts(office="ok"), PATIENT,
            chosen("office", "first of office, backup, direct that works"), id="preferred-decides-alone",
        ),
        pytest.param(
            ALONE, verdicts(office="ok"), PATIENT, chosen("office", "the only upstream of office, and it works"), id="only-one"
        ),
        pytest.param(
            OFFICE, verdicts(office="refused", backup="ok"), PATIENT,
            chosen("backup", "first of office, backup, direct that works (office refused)"), id="preferred-failed-hard",
        ),
        pytest.param(
            OFFICE, verdicts(office="dns", backup="ok", direct="ok"), PATIENT,
            Choice(Ending.WAITING, "office does not work yet: dns"), id="preferred-is-soft-while-patient",
        ),
        pytest.param(
            OFFICE, verdicts(office="dns", backup="ok", direct="ok"), OVER,
            chosen("backup", "first of office, backup, direct that works (office dns)"), id="patience-is-over",
        ),
        pytest.param(
            OFFICE, verdicts(office="proxy-auth", backup="timeout", direct="ok"), PATIENT,
            Choice(Ending.WAITING, "backup does not work yet: timeout"), id="second-is-soft",
        ),
        pytest.param(
            OFFICE, verdicts(backup="ok"), OVER, Choice(Ending.WAITING, "office has not answered yet"), id="unknown"
        ),
        pytest.param(
            OFFICE, verdicts(office="refused", backup="tls", direct="portal"), PATIENT,
            Choice(Ending.PORTAL, "a portal answers in office; log in with a browser; nothing is changed"), id="portal",
        ),
        pytest.param(
            OFFICE, verdicts(office="dns", backup="refused", direct="portal"), PATIENT,
            Choice(Ending.WAITING, "office does not work yet: dns"), id="portal-but-patient",
        ),
        pytest.param(
            OFFICE, verdicts(office="refused", backup="proxy-denied", direct="timeout"), OVER,
            Choice(Ending.UNREACHABLE, "nothing works (office refused, backup proxy-denied, direct timeout): nothing is changed"),
            id="nothing-works",
        ),
        pytest.param(
            FOUR, verdicts(a="dns", b="tls", c="refused", direct="ok"), OVER,
            chosen("direct", "first of a, b, c, direct that works (a dns, b tls, c refused)"), id="four-are-listed",
        ),
        pytest.param(
            MANY, {**dict.fromkeys(MANY.use, Verdict(Outcome.TLS)), MANY.use[14]: Verdict(Outcome.OK)}, OVER,
            chosen(
                MANY.use[14],
                f"first of {SHORT.format('')} and 12 more that works ({SHORT.format(' tls')} and 11 more)",
            ),
            id="and-no-more-than-that-nor-longer-names",
        ),
        pytest.param(
            OPEN, verdicts(office="refused", direct="refused"), PATIENT,
            chosen("direct", 'nothing works (office refused, direct refused) and unreachable = "direct"'),
            id="nothing-works-and-the-policy-says-direct",
        ),
        pytest.param(
            OPEN, verdicts(office="refused", direct="portal"), PATIENT,
            Choice(Ending.PORTAL, "a portal answers in office; log in with a browser; nothing is changed"),
            id="a-portal-is-not-unreachable",
        ),
    ],
)  # fmt: skip
def test_choice(network: Network, seen: Mapping[str, Verdict], patience_s: float, choice: Choice) -> None:
    assert choose(network, seen, patience_s) == choice


OUTCOMES = st.fixed_dictionaries({name: st.sampled_from(Outcome).map(Verdict) for name in OFFICE.use})


@given(OUTCOMES, st.sampled_from([PATIENT, OVER]))
def test_what_is_chosen_works_and_nothing_preferred_does(seen: dict[str, Verdict], patience_s: float) -> None:
    choice = choose(OFFICE, seen, patience_s)

    if choice.upstream is not None:
        assert seen[choice.upstream].is_ok
        assert not any(seen[name].is_ok for name in OFFICE.use[: OFFICE.use.index(choice.upstream)])
    elif choice.ending is not Ending.WAITING:
        assert not any(verdict.is_ok for verdict in seen.values())


@given(OUTCOMES)
def test_without_patience_nothing_waits(seen: dict[str, Verdict]) -> None:
    assert choose(OFFICE, seen, OVER).ending is not Ending.WAITING


# With a history.

POLICY = Policy(upstreams={name: Upstream(name) for name in (*OFFICE.use, "vpn")})
USE = "first of office, backup, direct that works"
ALL = verdicts(office="ok", backup="ok", direct="ok")
BACKUP = verdicts(office="refused", backup="ok", direct="ok")
Probes = list[tuple[float, dict[str, Verdict]]]


@pytest.mark.parametrize(
    ("standing", "probes", "choice"),
    [
        pytest.param(Standing(), [(0, ALL)], chosen("office", USE), id="as-after-a-change"),
        pytest.param(
            Standing(), [(0, verdicts(office="dns", backup="ok"))], Choice(Ending.WAITING, "office does not work yet: dns"),
            id="patience",
        ),
        pytest.param(
            Standing(), [(0, ALL), (60, verdicts(office="timeout", backup="ok", direct="ok"))],
            chosen("office", "office failed 1 of 2 probes in a row (timeout): kept so far"), id="failed-once",
        ),
        pytest.param(
            Standing(), [(0, ALL), (60, BACKUP), (61, BACKUP)],
            chosen("office", "office failed 1 of 2 probes in a row (refused): kept so far"), id="failed-in-a-burst",
        ),
        pytest.param(
            Standing(), [(0, ALL), (60, BACKUP), (62, BACKUP)], chosen("backup", f"{USE} (office refused)"),
            id="failed-twice",
        ),
        pytest.param(
            Standing(), [(0, ALL), (60, verdicts(office="refused")), (62, verdicts(office="refused"))],
            Choice(Ending.WAITING, "backup worked 62 s ago: it is asked again"), id="not-for-an-old-verdict",
        ),
        pytest.param(
            Standing(), [(0, BACKUP), (60, ALL)],
            chosen("backup", f"{USE} (office works again, and is used once it has worked for 30 s)"), id="preferred-just-back",
        ),
        pytest.param(
            Standing(), [(0, BACKUP), (60, ALL), (90, ALL)], chosen("office", USE), id="preferred-proved-itself"
        ),
        pytest.param(
            Standing(), [(0, BACKUP), (60, verdicts(office="ok", backup="tls")), (62, verdicts(office="ok", backup="tls"))],
            chosen("office", USE), id="the-one-in-use-is-given-up-for-one-just-back",
        ),
        pytest.param(Standing(pin=Pin("backup")), [(0, ALL)], chosen("backup", "pinned", is_pinned=True), id="pin"),
        pytest.param(
            Standing(pin=Pin("vpn")), [(0, {**ALL, **verdicts(vpn="refused")})],
            chosen("vpn", "pinned, though it fails here: refused", is_pinned=True), id="pin-not-in-use-and-failing",
        ),
        pytest.param(Standing(pin=Pin("backup", 60)), [(60, ALL)], chosen("office", USE), id="pin-is-over"),
        pytest.param(Standing(pin=Pin("gone")), [(0, ALL)], chosen("office", USE), id="pin-of-no-upstream"),
        pytest.param(
            Standing(quarantined={"office": 600}), [(0, ALL)], chosen("backup", f"{USE} (office quarantined)"),
            id="quarantined",
        ),
        pytest.param(Standing(quarantined={"office": 600}), [(600, ALL)], chosen("office", USE), id="quarantine-is-over"),
        pytest.param(
            Standing(pin=Pin("office"), quarantined={"office": 600}), [(0, ALL)],
            chosen("backup", f"{USE} (office quarantined)"), id="a-pin-does-not-end-a-quarantine",
        ),
        pytest.param(
            Standing(on_loopback=frozenset({"office"}), in_docker="office"), [(10, BACKUP)],
            Choice(Ending.WAITING, "office may still be starting: refused"), id="app-that-starts",
        ),
        pytest.param(
            Standing(on_loopback=frozenset({"office"}), in_docker="office"), [(60, BACKUP)],
            chosen("backup", f"{USE} (office refused)"), id="app-that-did-not-start",
        ),
        pytest.param(
            Standing(on_loopback=frozenset({"office"}), in_docker="backup"), [(10, BACKUP)],
            chosen("backup", f"{USE} (office refused)"), id="app-that-docker-does-not-count-on",
        ),
    ],
)  # fmt: skip
def test_choice_with_a_history(standing: Standing, probes: Probes, choice: Choice) -> None:
    history, last = moved(History(), "0ff1ce", 0), None
    for now, seen in probes:
        history = after(history, seen, now)
        last = choose_on(Situation(POLICY, OFFICE, history, standing), now)
        history = chose(history, last.upstream)

    assert last == choice


def test_direct_because_nothing_works_is_not_waited_for_where_it_is_not_asked() -> None:
    lost = Network("office", ("office", "backup"), unreachable=Unreachable.DIRECT)
    # When it was in use, or pinned, it worked: nobody asks it again.
    history = after(moved(History(), "0ff1ce", 0), verdicts(office="refused", backup="refused", direct="ok"), 0)
    history = after(history, verdicts(office="refused", backup="refused"), 190)

    choice = choose_on(Situation(POLICY, lost, history), 190)

    assert choice == chosen("direct", 'nothing works (office refused, backup refused) and unreachable = "direct"')


def test_direct_for_want_of_anything_is_not_taken_where_docker_did_not_start_with_it() -> None:
    choice = choose(OPEN, verdicts(office="refused", direct="refused"), OVER, {"direct": "quarantined"})

    assert choice == Choice(
        Ending.UNREACHABLE, "nothing works (office refused, direct quarantined): nothing is changed"
    )


def in_use(name: str, *probes: tuple[float, dict[str, Verdict]]) -> History:
    """The history with this one in use since the first of these probes."""
    history = moved(History(), "0ff1ce", 0)
    for number, (now, seen) in enumerate(probes):
        history = after(history, seen, now)
        history = chose(history, name) if number == 0 else history
    return history


def test_the_one_in_use_is_not_kept_once_docker_did_not_start_with_it() -> None:
    history = in_use("office", (0, ALL), (60, BACKUP))

    choice = choose_on(Situation(POLICY, OFFICE, history, Standing(quarantined={"office": 600})), 60)

    assert choice == chosen("backup", f"{USE} (office quarantined)")


def test_one_that_fails_is_not_kept_from_a_preferred_one_that_works() -> None:
    """It would be kept from those behind it."""
    seen = verdicts(office="ok", backup="timeout", direct="ok")
    history = in_use("backup", (0, ALL), (60, seen))

    assert choose_on(Situation(POLICY, OFFICE, history), 60) == chosen("office", USE)


def test_one_that_never_worked_here_is_not_kept_because_it_failed_only_once() -> None:
    history = in_use("office", (10, BACKUP))

    assert choose_on(Situation(POLICY, OFFICE, history), 10) == chosen("backup", f"{USE} (office refused)")


def test_a_preferred_one_that_has_never_failed_here_need_not_prove_itself() -> None:
    history = in_use("backup", (0, verdicts(backup="ok")), (10, ALL))

    assert choose_on(Situation(POLICY, OFFICE, history), 10) == chosen("office", USE)


def test_patience_begins_anew_when_the_host_comes_back_to_the_same_network() -> None:
    history = moved(moved(moved(History(), "0ff1ce", 0), None, 100), "0ff1ce", 200)

    assert (patience_left(history, 201), patience_left(history, 206)) == (4, -1)


def stirred(*probes: tuple[float, dict[str, Verdict]]) -> tuple[Choice, History]:
    """What is chosen where the office's upstream works, and at 100 its addresses or its DNS change."""
    place = Whereabouts("office", Snapshot())
    history = chose(after(moved(History(), "0ff1ce", 0, place), verdicts(office="ok", backup="ok"), 90), "office")
    history = moved(history, "hole", 100, place)
    choice = Choice(Ending.WAITING, "")
    for now, seen in probes:
        history = after(history, seen, now)
        choice = choose_on(Situation(POLICY, OFFICE, history), now)
        history = chose(history, choice.upstream)
    return choice, history


def hole(*moments: float, outcome: str = "dns") -> list[tuple[float, dict[str, Verdict]]]:
    return [(now, verdicts(office=outcome, backup="ok")) for now in moments]


@pytest.mark.parametrize("outcome", ["dns", "no-route", "timeout"])
def test_a_hole_in_addresses_or_dns_is_waited_for_by_the_one_in_use(outcome: str) -> None:
    choice, _ = stirred(*hole(100, 103, 115, 129.9, outcome=outcome))

    assert choice == chosen(
        "office", f"office ends in {outcome} since addresses or DNS changed here, less than 30 s ago: kept so far"
    )


def test_a_hole_that_lasts_is_one_that_does_not_work() -> None:
    choice, _ = stirred(*hole(100, 103, 115, 129.9, 130))

    assert choice == chosen("backup", f"{USE} (office dns)")


@pytest.mark.parametrize("outcome", ["refused", "error", "registry", "proxy-down", "portal", "tls", "proxy-auth"])
def test_what_is_no_hole_is_given_up_as_ever(outcome: str) -> None:
    assert stirred(*hole(100, outcome=outcome))[0].upstream == "office"
    assert stirred(*hole(100, 102, outcome=outcome))[0] == chosen("backup", f"{USE} (office {outcome})")


def test_after_a_hole_it_is_as_before() -> None:
    choice, history = stirred(*hole(100, 103), (110, ALL))

    assert choice == chosen("office", USE)
    backup = history.streaks["backup"]
    assert backup.seen - backup.since == 20


def test_a_hole_keeps_none_from_a_preferred_one_that_works() -> None:
    place = Whereabouts("office", Snapshot())
    history = chose(after(moved(History(), "0ff1ce", 0, place), verdicts(backup="ok"), 90), "backup")
    history = after(moved(history, "hole", 100, place), verdicts(office="ok", backup="dns"), 100)

    assert choose_on(Situation(POLICY, OFFICE, history), 100) == chosen("office", USE)
