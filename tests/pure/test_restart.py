"""When Docker is restarted, and why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.decide import restart as rules
from agent.decide.restart import (
    Busy,
    InFlight,
    When,
    busy,
    cannot_keep,
    ended,
    hangs_on_urgency,
    is_keeping,
    named,
    restarting,
    why_ended,
)
from agent.decide.urgent import Urgency, can_be_asked, is_another_secret, urgency
from agent.values.dockerd import Engine, FileHistory, Flags, Phase, Reality, Running, UnitState
from agent.values.policy import Restart
from agent.values.settings import DIRECT, Settings, Texts, settings
from agent.values.verdict import Outcome, Verdict

IDLE = Busy()
ONE, TWO = Busy(1), Busy(2)
SWARM = Busy(2, cannot_keep="live-restore does not work with Swarm")
ON = Busy(2, is_keeping=True)
PULL, BUILD = Busy(transfer="a pull or push"), Busy(transfer="a build")
BOTH = Busy(1, "a pull or push")
STACK = Busy(units=("stack.service",))
STACKS = Busy(2, units=("a.service", "b.service"))
FIREWALL = Busy(goes_along=("my-firewall.service",))

URGENT = Urgency(is_urgent=True, because="office does not work here (timeout)")
FINE = Urgency(is_urgent=False, because="office still works here")
ALIKE = Urgency(is_urgent=False, because="only no_proxy differs")
UNKNOWN = None

PROTECT, WHEN_IDLE, ALWAYS, NEVER = Restart.PROTECT, Restart.WHEN_IDLE, Restart.ALWAYS, Restart.NEVER
NOW, LATER, BY_HAND = When.NOW, When.LATER, When.NEVER
HOW = "; to restart anyway: docker-proxy-agent apply --now"
HANGS = f"depends on Docker and would be stopped with it (docker.take_along lists units that may be){HOW}"
HANG = HANGS.replace("depends", "depend")
NEVER_BY_US = f'docker.restart = "never"{HOW}'


@pytest.mark.parametrize(
    ("mode", "met", "urgent", "when", "because"),
    [
        (PROTECT, IDLE, UNKNOWN, NOW, "no container runs"),
        (PROTECT, IDLE, FINE, NOW, "no container runs"),
        (PROTECT, ONE, UNKNOWN, LATER, f"1 container runs{HOW}"),
        (PROTECT, ONE, FINE, LATER, f"1 container runs, and office still works here{HOW}"),
        (PROTECT, TWO, ALIKE, LATER, f"2 containers run, and only no_proxy differs{HOW}"),
        (PROTECT, TWO, URGENT, NOW, "office does not work here (timeout); 2 containers run and will keep running"),
        (PROTECT, ON, URGENT, NOW, "office does not work here (timeout); 2 containers run and will keep running"),
        (PROTECT, ON, FINE, LATER, f"2 containers run, and office still works here{HOW}"),
        (PROTECT, SWARM, URGENT, LATER, f"2 containers run and would not survive: live-restore does not work with Swarm{HOW}"),
        (PROTECT, SWARM, FINE, LATER, f"2 containers run, and office still works here{HOW}"),
        (PROTECT, PULL, UNKNOWN, LATER, f"a pull or push is in flight{HOW}"),
        (PROTECT, PULL, FINE, LATER, f"a pull or push is in flight, and office still works here{HOW}"),
        (PROTECT, PULL, URGENT, NOW, "office does not work here (timeout); a pull or push is interrupted"),
        (PROTECT, BUILD, ALIKE, LATER, f"a build is in flight, and only no_proxy differs{HOW}"),
        (PROTECT, BUILD, URGENT, NOW, "office does not work here (timeout); a build is interrupted"),
        (PROTECT, BOTH, FINE, LATER, f"1 container runs, and office still works here{HOW}"),
        (PROTECT, BOTH, URGENT, NOW, "office does not work here (timeout); 1 container runs and will keep running"),
        (PROTECT, STACK, UNKNOWN, LATER, f"stack.service {HANGS}"),
        (PROTECT, STACK, URGENT, LATER, f"stack.service {HANGS}"),
        (PROTECT, STACK, FINE, LATER, f"stack.service {HANGS}"),
        (PROTECT, STACKS, URGENT, LATER, f"a.service and b.service {HANG}"),
        (PROTECT, FIREWALL, UNKNOWN, NOW, "no container runs; my-firewall.service is taken along"),
        (WHEN_IDLE, STACK, UNKNOWN, LATER, f"stack.service {HANGS}"),
        (WHEN_IDLE, STACKS, URGENT, LATER, f"a.service and b.service {HANG}"),
        (WHEN_IDLE, FIREWALL, UNKNOWN, NOW, "no container runs; my-firewall.service is taken along"),
        (ALWAYS, STACK, UNKNOWN, NOW, 'docker.restart = "always"; stack.service is taken along'),
        (ALWAYS, STACKS, FINE, NOW, 'docker.restart = "always"; a.service and b.service are taken along'),
        (NEVER, STACK, URGENT, BY_HAND, NEVER_BY_US),
        (WHEN_IDLE, IDLE, UNKNOWN, NOW, "no container runs"),
        (WHEN_IDLE, ONE, URGENT, LATER, f"1 container runs{HOW}"),
        (WHEN_IDLE, ON, URGENT, LATER, f"2 containers run{HOW}"),
        (WHEN_IDLE, PULL, FINE, LATER, f"a pull or push is in flight, and office still works here{HOW}"),
        (WHEN_IDLE, PULL, URGENT, NOW, "office does not work here (timeout); a pull or push is interrupted"),
        (WHEN_IDLE, BOTH, URGENT, LATER, f"1 container runs{HOW}"),
        (WHEN_IDLE, BUILD, FINE, LATER, f"a build is in flight{HOW}"),
        (WHEN_IDLE, BUILD, URGENT, LATER, f"a build is in flight{HOW}"),
        (ALWAYS, IDLE, UNKNOWN, NOW, 'docker.restart = "always"'),
        (ALWAYS, TWO, FINE, NOW, 'docker.restart = "always"'),
        (ALWAYS, PULL, FINE, NOW, 'docker.restart = "always"'),
        (ALWAYS, SWARM, URGENT, NOW, 'docker.restart = "always"'),
        (NEVER, IDLE, UNKNOWN, BY_HAND, NEVER_BY_US),
        (NEVER, TWO, URGENT, BY_HAND, NEVER_BY_US),
        (NEVER, PULL, URGENT, BY_HAND, NEVER_BY_US),
    ],
)  # fmt: skip
def test_when_docker_is_restarted_and_why(
    mode: Restart, met: Busy, urgent: Urgency | None, when: When, because: str
) -> None:
    decided = restarting(mode, met, urgent, is_asked_now=False)

    assert (decided.when, decided.because) == (when, because)


TABLE = [
    re.split(r" {2,}", row.strip())
    for row in (rules.__doc__ or "").splitlines()
    if re.match(r" +(idle|protect|when-idle|always|never)  ", row)
]
MEETS = {
    "idle": IDLE, "a container runs": ONE, "a build": BUILD, "a pull or push": PULL, "a unit depends on it": STACK,
}  # fmt: skip
IN_WORDS = {
    "now": (NOW, NOW), "wait": (LATER, LATER), "by hand": (BY_HAND, BY_HAND), "urgent: now; else wait": (NOW, LATER),
}  # fmt: skip


def test_the_table_is_the_rule() -> None:
    columns, *rows = TABLE

    assert [row[0] for row in rows] == [mode.value for mode in Restart]
    for mode, *cells in rows:
        for met, words in zip(columns, cells, strict=True):
            decided = [restarting(Restart(mode), MEETS[met], one, is_asked_now=False).when for one in (URGENT, FINE)]
            assert tuple(decided) == IN_WORDS[words], f"{mode}, {met}"


def test_the_document_has_the_same_table() -> None:
    document = (Path(__file__).parents[2] / "docs/restarting.md").read_text()
    rows = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in document.splitlines() if row.startswith("|")]
    first = next(number for number, row in enumerate(rows) if row[1:] == TABLE[0])

    assert rows[first + 2 : first + 1 + len(TABLE)] == TABLE[1:]


@pytest.mark.parametrize("mode", Restart)
@pytest.mark.parametrize("met", [IDLE, TWO, SWARM, PULL, BOTH])
def test_a_person_who_says_now_is_obeyed(mode: Restart, met: Busy) -> None:
    decided = restarting(mode, met, FINE, is_asked_now=True)

    assert (decided.when, decided.because) == (NOW, "requested with --now")


@pytest.mark.parametrize(
    ("mode", "met", "is_asked_now", "keeps"),
    [
        pytest.param(PROTECT, TWO, False, True, id="switched-on-for-it"),
        pytest.param(PROTECT, TWO, True, True, id="a-person-who-cannot-wait-keeps-them-too"),
        pytest.param(PROTECT, ON, False, False, id="on-already"),
        pytest.param(PROTECT, SWARM, True, False, id="cannot-be-had"),
        pytest.param(PROTECT, IDLE, False, False, id="none-to-keep"),
        pytest.param(PROTECT, PULL, False, False, id="a-pull-survives-nothing"),
        pytest.param(ALWAYS, TWO, False, False, id="always-does-not-ask"),
        pytest.param(WHEN_IDLE, TWO, True, False, id="who-waits-for-idle-does-not-want-it-switched"),
    ],
)
def test_when_live_restore_is_switched_on(mode: Restart, met: Busy, is_asked_now: bool, keeps: bool) -> None:
    assert restarting(mode, met, URGENT, is_asked_now=is_asked_now).keeps_containers is keeps


def test_a_person_who_says_now_is_told_what_it_takes_along() -> None:
    met = Busy(units=("stack.service",), goes_along=("my-firewall.service",))

    decided = restarting(PROTECT, met, FINE, is_asked_now=True)

    assert decided.when is NOW
    assert decided.because == "requested with --now; stack.service and my-firewall.service are taken along"
    assert decided.takes_along == ("stack.service", "my-firewall.service")


def test_only_who_waits_for_units_looks_for_them_once_more() -> None:
    assert restarting(PROTECT, IDLE, None, is_asked_now=False).spares_units
    assert restarting(PROTECT, TWO, URGENT, is_asked_now=False).spares_units
    assert restarting(WHEN_IDLE, PULL, URGENT, is_asked_now=False).spares_units
    assert not restarting(ALWAYS, IDLE, None, is_asked_now=False).spares_units
    assert not restarting(PROTECT, TWO, URGENT, is_asked_now=True).spares_units


def test_only_who_counts_on_no_container_looks_once_more() -> None:
    assert restarting(PROTECT, IDLE, None, is_asked_now=False).spares_containers
    assert restarting(PROTECT, PULL, URGENT, is_asked_now=False).spares_containers
    assert not restarting(PROTECT, TWO, URGENT, is_asked_now=False).spares_containers
    assert not restarting(ALWAYS, IDLE, None, is_asked_now=False).spares_containers
    assert not restarting(PROTECT, IDLE, None, is_asked_now=True).spares_containers


def test_what_cannot_be_restarted_is_not_even_by_now() -> None:
    assert restarting(ALWAYS, IDLE, None, is_asked_now=True, can_restart=False).when is LATER


@pytest.mark.parametrize("mode", Restart)
@pytest.mark.parametrize("met", [IDLE, TWO, SWARM, ON, PULL, BUILD, BOTH, STACK, STACKS, FIREWALL])
@pytest.mark.parametrize("is_asked_now", [False, True])
def test_a_probe_is_made_exactly_where_its_answer_matters(mode: Restart, met: Busy, is_asked_now: bool) -> None:
    answers = {restarting(mode, met, one, is_asked_now=is_asked_now).when for one in (URGENT, FINE)}
    reasons = {restarting(mode, met, one, is_asked_now=is_asked_now).because for one in (URGENT, FINE)}

    assert hangs_on_urgency(mode, met, is_asked_now=is_asked_now) is (len(reasons) == 2)
    assert len(answers) <= len(reasons)


def test_what_never_ends_is_no_transfer() -> None:
    flight = InFlight()
    for now in range(100, 3700, 60):
        flight = flight.seen("a pull or push", float(now))
        assert flight.is_believed(now)
    assert not flight.seen("a build", 3700.0).is_believed(3700)
    assert not flight.seen("", 3700.0).is_believed(3700)


def test_a_transfer_that_begins_long_after_another_was_seen_is_believed() -> None:
    old = InFlight().seen("a pull or push", 0.0)

    assert old.seen("a pull or push", 7200.0).is_believed(7200)


OFFICE = settings("http://office:1", "http://office:1", "localhost")
WIDER = settings("http://office:1", "http://office:1", "localhost,.corp")
OLD = settings("http://u:old@office:1", "http://u:old@office:1", "localhost")
NEW = settings("http://u:new@office:1", "http://u:new@office:1", "localhost")
HIDDEN = settings("http://xxxxx:xxxxx@office:1", "http://xxxxx:xxxxx@office:1", "localhost")


@pytest.mark.parametrize(
    ("running", "desired", "outcome", "urgent", "because"),
    [
        (OFFICE, DIRECT, Outcome.OK, False, "office still works here"),
        (OFFICE, DIRECT, Outcome.TIMEOUT, True, "office does not work here (timeout)"),
        (OFFICE, DIRECT, None, True, "office has a password that must not be used in this network"),
        (OFFICE, WIDER, Outcome.TIMEOUT, False, "only no_proxy differs"),
        (OFFICE, WIDER, None, False, "only no_proxy differs"),
        (OLD, NEW, Outcome.OK, False, "office still works here"),
        (OLD, NEW, Outcome.PROXY_AUTH, True, "office does not work here (proxy-auth)"),
        (DIRECT, OFFICE, Outcome.PORTAL, True, "office does not work here (portal)"),
    ],
)
def test_urgent_is_what_does_not_work_here(
    running: Settings, desired: Settings, outcome: Outcome | None, urgent: bool, because: str
) -> None:
    verdict = None if outcome is None else Verdict(outcome)

    found = urgency(running, desired, "office", verdict)

    assert (found.is_urgent, found.because) == (urgent, because)
    is_asked = verdict is not None and because != "only no_proxy differs"
    assert found.verdict == (verdict if is_asked else None)


def test_what_is_no_upstream_cannot_be_asked() -> None:
    assert urgency(OFFICE, DIRECT, "", None) == Urgency(
        is_urgent=True, because="what Docker runs with is not an upstream of the policy"
    )


def test_another_password_is_told_from_another_proxy() -> None:
    assert is_another_secret(OLD, NEW)
    assert is_another_secret(OFFICE, NEW)
    assert not is_another_secret(OLD, OLD)
    assert not is_another_secret(OLD, DIRECT)
    assert not is_another_secret(OFFICE, WIDER)
    assert can_be_asked(OLD)
    assert can_be_asked(DIRECT)
    assert not can_be_asked(HIDDEN)


def docker(live_restore: bool | None = False, is_swarm: bool | None = False, **real: object) -> Reality:
    engine = Engine("26.1.5", (1, 45), False, Texts(), live_restore, is_swarm, 2)
    facts: dict[str, object] = {"unit": UnitState(Phase.RUNNING), "engine": engine, **real}
    return Reality(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reality", "keeps"),
    [
        pytest.param(docker(live_restore=True, flags=Flags(live_restore=True)), True, id="a-flag"),
        pytest.param(docker(live_restore=True, daemon_json='{"live-restore": true}'), True, id="the-file"),
        pytest.param(docker(live_restore=True, daemon_json="{}"), False, id="on-and-taken-out-of-the-file-since"),
        pytest.param(docker(live_restore=True, daemon_json='{"live-restore": false}'), False, id="false-in-the-file"),
        pytest.param(docker(daemon_json='{"live-restore": true}'), False, id="in-the-file-and-not-read-yet"),
        pytest.param(docker(None, flags=Flags(live_restore=True)), True, id="a-flag-of-one-that-does-not-say"),
        pytest.param(
            docker(None, daemon_json='{"live-restore": true}', file=FileHistory(is_tried=True)),
            True,
            id="a-file-that-has-not-changed-since-its-start",
        ),
        pytest.param(docker(None, daemon_json='{"live-restore": true}'), False, id="a-file-that-it-may-not-have-read"),
    ],
)
def test_what_keeps_containers_is_what_the_next_dockerd_reads(reality: Reality, keeps: bool) -> None:
    assert is_keeping(reality) is keeps
    assert busy(reality).is_keeping is keeps


def test_what_ends_the_shims_keeps_nothing_whatever_live_restore_says() -> None:
    killed = docker(
        live_restore=True,
        daemon_json='{"live-restore": true}',
        unit=UnitState(Phase.RUNNING, kill_mode="mixed"),
        shims_in_unit=True,
    )

    met = busy(killed)
    assert not met.is_keeping
    assert restarting(PROTECT, met, URGENT, is_asked_now=False).because == (
        f"2 containers run and would not survive: docker.service has KillMode=mixed, which stops them with it{HOW}"
    )
    assert not restarting(PROTECT, met, URGENT, is_asked_now=True).keeps_containers


RM = (Running("1" * 64, "t", "web"), Running("2" * 64, "t", "job", is_auto_removed=True))


@pytest.mark.parametrize(
    ("version", "api", "ends"),
    [
        pytest.param("20.10.24+dfsg1", (1, 41), True, id="bookworm"),
        pytest.param("23.0.15", (1, 42), True, id="23"),
        pytest.param("24.0.7", (1, 43), True, id="the-last-that-does"),
        pytest.param("24.0.8", (1, 43), False, id="the-first-that-does-not"),
        pytest.param("24.0.9-0ubuntu1", (1, 43), False, id="a-distributions"),
        pytest.param("25.0.0", (1, 44), False, id="25"),
        pytest.param("26.1.5+dfsg1", (1, 45), False, id="trixie"),
        pytest.param("library-import", (1, 45), False, id="a-version-that-is-no-number"),
        pytest.param("?", (0, 0), True, id="it-does-not-say"),
    ],
)
def test_which_docker_ends_what_runs_with_rm(version: str, api: tuple[int, int], ends: bool) -> None:
    engine = Engine(version, api, False, Texts(), True, False, 2)

    assert ended(engine, RM) == (("job",) if ends else ())
    assert ended(engine, RM[:1]) == ()
    assert ended(None, RM) == ()


@pytest.mark.parametrize("is_on", [True, False])
def test_what_would_end_although_live_restore_is_on_is_waited_for(is_on: bool) -> None:
    engine = Engine("20.10.24", (1, 41), False, Texts(), is_on, False, 2)
    file = '{"live-restore": true}' if is_on else None

    met = busy(docker(engine=engine, daemon_json=file), ends=why_ended(engine, RM))

    assert not met.is_keeping
    assert restarting(PROTECT, met, URGENT, is_asked_now=False).because == (
        "2 containers run and would not survive: "
        f"Docker 20.10.24 removes containers of docker run --rm when it starts: job{HOW}"
    )
    assert restarting(PROTECT, met, URGENT, is_asked_now=True).when is NOW


@pytest.mark.parametrize(
    ("mode", "met", "urgent", "is_asked_now", "spares"),
    [
        pytest.param(PROTECT, TWO, URGENT, False, True, id="they-are-to-go-on"),
        pytest.param(PROTECT, ON, URGENT, False, True, id="live-restore-is-on"),
        pytest.param(PROTECT, TWO, FINE, False, False, id="waits-anyway"),
        pytest.param(PROTECT, SWARM, URGENT, False, False, id="waits-because-of-another"),
        pytest.param(PROTECT, PULL, URGENT, False, False, id="no-container-runs"),
        pytest.param(PROTECT, TWO, URGENT, True, False, id="a-person-overrules"),
        pytest.param(ALWAYS, TWO, URGENT, False, False, id="the-policy-stops-them"),
    ],
)
def test_which_of_them_would_end_is_asked_only_where_it_decides(
    mode: Restart, met: Busy, urgent: Urgency, is_asked_now: bool, spares: bool
) -> None:
    assert restarting(mode, met, urgent, is_asked_now=is_asked_now).spares_running is spares


UNITS = ("a-firewall.service", "multi-user.target", "docker-tcp.socket", "stack.service", "x@1.service")


@pytest.mark.parametrize(
    ("take_along", "waits_for"),
    [
        pytest.param((), ("a-firewall.service", "stack.service", "x@1.service"), id="none-is-named"),
        pytest.param(("stack.service",), ("a-firewall.service", "x@1.service"), id="by-its-name"),
        pytest.param(("*-firewall.service", "x@*"), ("stack.service",), id="patterns"),
        pytest.param(("STACK.service", "stack"), ("a-firewall.service", "stack.service", "x@1.service"), id="no-match"),
        pytest.param(("*",), (), id="all"),
    ],
)
def test_what_hangs_on_docker_and_loses_something_is_waited_for_unless_it_is_named(
    take_along: tuple[str, ...], waits_for: tuple[str, ...]
) -> None:
    """A target has nothing to lose, and Docker's own sockets come and go with it."""
    unit = UnitState(Phase.RUNNING, triggers=("docker.socket", "docker-tcp.socket"))

    met = busy(docker(unit=unit, hanging=UNITS), take_along=take_along)

    assert met.units == waits_for
    assert set(met.units) | set(met.goes_along) == {"a-firewall.service", "stack.service", "x@1.service"}


def test_a_sentence_names_no_more_units_than_one_can_read() -> None:
    assert named(tuple("abcdef")) == "a, b, c, d and 2 more"
    assert named(("a", "b", "c")) == "a, b and c"


@pytest.mark.parametrize(
    ("reality", "why"),
    [
        (docker(), ""),
        (docker(is_swarm=True), "Swarm"),
        (docker(None, is_swarm=None), "does not say yet"),
        (docker(flags=Flags(live_restore=False)), "flag"),
        (
            docker(shims_in_unit=True, unit=UnitState(Phase.RUNNING, kill_mode="control-group")),
            "KillMode=control-group",
        ),
        (docker(is_systemd=False), "reload its file"),
        (docker(engine=None), "does not answer"),
    ],
)
def test_whether_containers_can_survive(reality: Reality, why: str) -> None:
    found = cannot_keep(reality)

    assert why in found
    assert bool(found) is bool(why)
