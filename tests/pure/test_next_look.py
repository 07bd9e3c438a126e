"""When to look next: the rule as a table, with its reasons."""

from __future__ import annotations

import pytest

from agent.decide.choose import Situation, choose_on
from agent.decide.history import History, after, chose, moved
from agent.decide.next_look import NextLook, next_look
from agent.decide.place import Whereabouts
from agent.decide.standing import Pause, Pin, Standing
from agent.values.policy import DIRECT, Duration, Network, Policy, Probing, Unreachable, Upstream
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome, Verdict

OFFICE = Network("office", ("office", "backup", "direct"))
OPEN = Network("office", ("office", "backup", "direct"), unreachable=Unreachable.DIRECT)
ALONE = Network("office", ("office",), unreachable=Unreachable.DIRECT)
POLICY = Policy(upstreams={"office": Upstream("office"), "backup": Upstream("backup"), "direct": DIRECT})
ON_EVENTS = Policy(upstreams=POLICY.upstreams, probe=Probing(recheck=Duration(0)))
APP = Standing(on_loopback=frozenset({"office"}))
USE = OFFICE.use
Probe = tuple[float, dict[str, str]]


def lived(
    policy: Policy, network: Network, standing: Standing, probes: list[Probe], woken: float = 0.0
) -> NextLook | None:
    """The next look of a service that arrived at 1000 and saw these verdicts."""
    history = moved(History(woken=woken), "0ff1ce", 1000)
    look = None
    for now, outcomes in probes:
        verdicts = {name: Verdict(Outcome(outcome)) for name, outcome in outcomes.items()}
        history = after(history, verdicts, now)
        choice = choose_on(Situation(policy, network, history, standing), now)
        history = chose(history, choice.upstream)
        look = next_look(Situation(policy, network, history, standing), choice, now)
    return look


WORKS: Probe = (1000, {"office": "ok", "backup": "ok", "direct": "ok"})
BACKUP: Probe = (1000, {"office": "refused", "backup": "ok", "direct": "ok"})
SOFT: Probe = (1000, {"office": "dns", "backup": "ok", "direct": "ok"})
NOTHING = {"office": "refused", "backup": "tls", "direct": "refused"}
PORTAL = {"office": "refused", "backup": "refused", "direct": "portal"}


@pytest.mark.parametrize(
    ("policy", "network", "standing", "probes", "look"),
    [
        pytest.param(POLICY, OFFICE, Standing(), [WORKS], NextLook(1060, "probe.recheck", ("office",)), id="recheck"),
        pytest.param(
            POLICY, OFFICE, Standing(), [BACKUP], NextLook(1060, "probe.recheck", ("office", "backup")),
            id="recheck-of-all-preferred",
        ),
        pytest.param(ON_EVENTS, OFFICE, Standing(), [WORKS], None, id="only-on-events"),
        pytest.param(
            POLICY, OFFICE, Standing(), [SOFT], NextLook(1000.3, "patience after a change", ("office",)), id="soft-at-first"
        ),
        pytest.param(
            POLICY, OFFICE, Standing(), [SOFT, (1000.3, {"office": "dns"})],
            NextLook(1000.9, "patience after a change", ("office",)), id="soft-then-later",
        ),
        pytest.param(
            POLICY, OFFICE, Standing(), [SOFT, (1004.5, {"office": "dns"})],
            NextLook(1005, "patience after a change", ("office",)), id="patience-ends",
        ),
        pytest.param(
            ON_EVENTS, OFFICE, Standing(), [WORKS, (1060, {"office": "timeout"})],
            NextLook(1062, "office failed, and is asked again", USE), id="the-one-in-use-failed-once",
        ),
        pytest.param(
            ON_EVENTS, OFFICE, Standing(), [(1000, NOTHING)], NextLook(1005, "nothing works here", USE), id="unreachable"
        ),
        pytest.param(
            ON_EVENTS, OFFICE, Standing(), [(1000, NOTHING), (1599, NOTHING)], NextLook(1604, "nothing works here", USE),
            id="unreachable-for-ten-minutes",
        ),
        pytest.param(
            ON_EVENTS, OFFICE, Standing(), [(1000, NOTHING), (1600, NOTHING)], NextLook(1630, "nothing works here", USE),
            id="unreachable-for-long",
        ),
        pytest.param(
            ON_EVENTS, OFFICE, Standing(), [(1000, PORTAL)], NextLook(1005, "nothing works here", USE), id="portal"
        ),
        pytest.param(
            ON_EVENTS, OPEN, Standing(), [(1000, NOTHING)], NextLook(1005, "nothing works here", USE),
            id="unreachable-and-direct",
        ),
        pytest.param(
            ON_EVENTS, ALONE, Standing(), [(1000, {"office": "refused", "direct": "ok"}), (1060, NOTHING)],
            NextLook(1065, "nothing works here", ("office",)), id="direct-is-asked-for-only-if-in-use",
        ),
        pytest.param(
            ON_EVENTS, OFFICE, Standing(), [BACKUP, (1020, {"office": "ok", "backup": "ok"})],
            NextLook(1050, "office has worked for probe.failback then", ("office",)), id="failback",
        ),
        pytest.param(
            ON_EVENTS, OFFICE, Standing(pin=Pin("direct", 2000)), [WORKS], NextLook(2000, "the pin of direct ends", USE),
            id="pin-ends",
        ),
        pytest.param(
            ON_EVENTS, OFFICE, Standing(pause=Pause(2000)), [WORKS], NextLook(2000, "the pause ends", USE), id="pause-ends"
        ),
        pytest.param(
            ON_EVENTS, OFFICE, Standing(quarantined={"office": 2000}), [WORKS],
            NextLook(2000, "the quarantine of office ends", USE), id="quarantine-ends",
        ),
        pytest.param(
            POLICY, OFFICE, Standing(pin=Pin("direct")), [WORKS], NextLook(1060, "probe.recheck", USE),
            id="a-pin-is-rechecked",
        ),
    ],
)  # fmt: skip
def test_when_it_looks_again_and_at_what(
    policy: Policy, network: Network, standing: Standing, probes: list[Probe], look: NextLook | None
) -> None:
    assert lived(policy, network, standing, probes) == look


@pytest.mark.parametrize(
    ("probes", "woken", "at"),
    [
        pytest.param([BACKUP], 950, 1005, id="after-boot"),
        pytest.param([BACKUP], 405, 1005, id="ten-minutes-after-boot"),
        pytest.param([BACKUP], 400, None, id="too-long-after-boot"),
        pytest.param([WORKS, (1060, BACKUP[1]), (1062, BACKUP[1])], 0, 1067, id="after-its-loss"),
        pytest.param([BACKUP, (1005, {"office": "refused"})], 950, 1010, id="again"),
    ],
)
def test_an_app_on_this_host_is_tried_by_a_bare_connect(probes: list[Probe], woken: float, at: float | None) -> None:
    look = lived(ON_EVENTS, OFFICE, APP, probes, woken)

    assert look == (None if at is None else NextLook(at, "office may have started", connect=("office",)))


def test_offline_nothing_is_looked_at() -> None:
    offline = moved(moved(History(), "0ff1ce", 1000), None, 1010)

    assert next_look(Situation(POLICY, OFFICE, offline), None, 1010) is None


def test_what_is_not_in_use_is_not_asked_again_either() -> None:
    lost = {"office": Verdict(Outcome.REFUSED), "direct": Verdict(Outcome.OK)}  # which was pinned, then
    history = chose(after(moved(History(), "0ff1ce", 1000), lost, 1000), "direct")
    back = moved(moved(history, None, 1100), "0ff1ce", 2000)
    situation = Situation(POLICY, ALONE, after(back, {"office": Verdict(Outcome.DNS)}, 2000))

    look = next_look(situation, choose_on(situation, 2000), 2000)

    assert look == NextLook(2000.3, "patience after a change", ("office",))


def test_the_one_in_use_is_asked_again_and_again_while_a_hole_in_dns_lasts() -> None:
    place = Whereabouts("office", Snapshot())
    ok, dns = {name: Verdict(Outcome.OK) for name in USE}, {"office": Verdict(Outcome.DNS)}
    history = chose(after(moved(History(), "0ff1ce", 1000, place), ok, 1000), "office")
    history = moved(history, "hole", 1010, place)
    for now in (1010, 1012, 1014):
        history = after(history, dns, now)
    situation = Situation(ON_EVENTS, OFFICE, history)

    look = next_look(situation, choose_on(situation, 1014), 1014)

    assert look == NextLook(1016, "office failed, and is asked again", USE)
