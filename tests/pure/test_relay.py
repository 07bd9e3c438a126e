"""Whether Docker is given the relay's address, and what the relay is told."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.choose import Choice, Ending
from agent.decide.pac import Answered, Said
from agent.decide.relay import (
    AGAIN_S,
    CROWD,
    MOST_FAILURES,
    PROVES_S,
    SOFT_AGAIN_S,
    Relayed,
    Relaying,
    Stage,
    addresses,
    after,
    anew,
    begun,
    bridge_of,
    by_a_pac,
    conditions,
    crowd_at,
    deaf,
    exclusions_of_clients,
    first_of,
    follows,
    for_clients,
    for_docker,
    is_due,
    listened,
    listening,
    may_be_by_another,
    next_at,
    orders,
    port_had,
    ports_of,
    settled_in,
    ways_out,
    without_passwords,
)
from agent.values.condition import Code
from agent.values.listening import Backlog
from agent.values.pac import read_answer
from agent.values.policy import DIRECT, Exclusion, Listen, Network, NoProxy, Policy, RegistryUrl, Relay, Upstream
from agent.values.relay import LogMode, Orders, RelayPac, RelayState, RelayUpstream, Source
from agent.values.secret import Secret
from agent.values.settings import DIRECT as DOCKER_DIRECT
from agent.values.settings import Credentials, Settings, proxy
from agent.values.verdict import Outcome, Verdict
from tests.upstreams import url

ON = Relay(enable=True)
OK = Verdict(Outcome.OK)
REFUSED = Verdict(Outcome.REFUSED, "nothing listens")
TIMEOUT = Verdict(Outcome.TIMEOUT)
FULL = Verdict(Outcome.PROXY_DOWN, "503 Service Unavailable to CONNECT, by the relay's own limits")
RECHECK_S = 60.0


@pytest.mark.parametrize(
    ("is_in_docker", "gave_up", "stage"),
    [
        pytest.param(False, "", Stage.TRIED, id="it-must-answer-before-docker-is-told"),
        pytest.param(True, "", Stage.GIVEN, id="docker-has-it-already"),
        pytest.param(True, "refused", Stage.FAILED, id="an-agent-before-gave-it-up"),
    ],
)
def test_where_it_begins(is_in_docker: bool, gave_up: str, stage: Stage) -> None:
    assert begun(is_in_docker=is_in_docker, gave_up=gave_up).stage is stage


@pytest.mark.parametrize(
    ("before", "through", "without", "expected"),
    [
        pytest.param(Relaying(Stage.TRIED), OK, OK, Relaying(Stage.GIVEN, asked=7), id="proved"),
        pytest.param(Relaying(Stage.GIVEN, 2), OK, None, Relaying(Stage.GIVEN, asked=7), id="it-works-again"),
        pytest.param(
            Relaying(Stage.TRIED), REFUSED, OK, Relaying(Stage.TRIED, 1, 7, "refused: nothing listens"), id="failed-once"
        ),
        pytest.param(
            Relaying(Stage.GIVEN, 2), REFUSED, OK, Relaying(Stage.FAILED, 3, 7, "refused: nothing listens"),
            id="failed-three-times",
        ),
        pytest.param(
            Relaying(Stage.GIVEN, 2), REFUSED, REFUSED, Relaying(Stage.GIVEN, 2, 7, "refused: nothing listens"),
            id="the-upstream-fails-as-well",
        ),
        pytest.param(
            Relaying(Stage.GIVEN), FULL, OK,
            Relaying(Stage.GIVEN, 0, 7, f"proxy-down: {FULL.evidence}", is_soft=True, is_full=True),
            id="others-keep-it-busy",
        ),
        pytest.param(
            Relaying(Stage.GIVEN), Verdict(Outcome.PROXY_DOWN, f"[fd00::1]:443: {FULL.evidence}"), OK,
            Relaying(
                Stage.GIVEN, 0, 7, f"proxy-down: [fd00::1]:443: {FULL.evidence}", is_soft=True, is_full=True
            ),
            id="of-more-than-one-registry",
        ),
        pytest.param(
            Relaying(Stage.GIVEN), Verdict(Outcome.PROXY_DOWN, "503 Service Unavailable, not from a registry"), OK,
            Relaying(Stage.GIVEN, 1, 7, "proxy-down: 503 Service Unavailable, not from a registry", is_soft=True),
            id="a-503-of-the-upstream",
        ),
        pytest.param(
            Relaying(Stage.GIVEN), TIMEOUT, OK, Relaying(Stage.GIVEN, 1, 7, "timeout", is_soft=True), id="it-may-pass"
        ),
        pytest.param(
            Relaying(Stage.GIVEN), REFUSED, None, Relaying(Stage.GIVEN, 0, 7, "refused: nothing listens"),
            id="nothing-is-known-of-the-upstream",
        ),
    ],
)  # fmt: skip
def test_what_a_probe_says(before: Relaying, through: Verdict, without: Verdict | None, expected: Relaying) -> None:
    assert after(before, through, without, 7) == expected


BEFORE = Backlog(cookie=1, waiting=0, most=4096)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        pytest.param(BEFORE, BEFORE, "", id="nobody"),
        pytest.param(BEFORE, Backlog(1, CROWD - 1, 4096), "", id="a-few"),
        pytest.param(BEFORE, Backlog(1, CROWD, 4096), "64 connections waited for it to accept them", id="many"),
        pytest.param(BEFORE, Backlog(1, 3, 2), "3 connections waited for it to accept them", id="all-that-may"),
        pytest.param(None, Backlog(1, CROWD, 4096), "64 connections waited for it to accept them", id="not-seen-before"),
        pytest.param(
            BEFORE, Backlog(1, 0, 4096, dropped=5), "5 connections to it were dropped, because so many came", id="in-between"
        ),
        pytest.param(Backlog(1, 0, 4096, dropped=5), Backlog(1, 0, 4096, dropped=5), "", id="dropped-long-ago"),
        pytest.param(BEFORE, Backlog(2, 0, 4096, dropped=5), "", id="another-socket"),
        pytest.param(BEFORE, None, "", id="nobody-listens"),
    ],
)  # fmt: skip
def test_whether_others_were_in_the_way(before: Backlog | None, now: Backlog | None, said: str) -> None:
    assert crowd_at(before, now) == said


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_crowd_excuses_a_probe_that_had_no_answer_and_no_other(outcome: Outcome) -> None:
    relaying = Relaying(Stage.GIVEN, MOST_FAILURES - 1)

    now = after(relaying, Verdict(outcome), OK, 7, crowd="99 waited")

    is_excused = outcome in (Outcome.TIMEOUT, Outcome.ERROR)
    assert (now.stage is not Stage.FAILED) is (is_excused or outcome is Outcome.OK)
    assert now.is_full is is_excused
    assert ("99 waited" in now.because) is is_excused
    said = "".join(one.text for one in conditions(now, is_enabled=True))
    assert said.startswith("while many connect to the relay") is is_excused
    assert not is_excused or next_at(now, RECHECK_S) == 7 + SOFT_AGAIN_S


@given(
    st.sampled_from([Stage.TRIED, Stage.GIVEN]),
    st.lists(st.tuples(st.sampled_from([OK, REFUSED]), st.sampled_from([OK, REFUSED, None])), max_size=30),
)
def test_it_does_not_go_back_and_forth_by_itself(stage: Stage, probes: list[tuple[Verdict, Verdict | None]]) -> None:
    """So Docker is restarted twice at most, whatever happens: when it is given the relay, and when that is taken back."""
    relaying, stages, in_a_row = Relaying(stage), [stage], 0
    for now, (through, without) in enumerate(probes):
        if not is_due(relaying, 100.0 * now, RECHECK_S):
            assert relaying.stage is Stage.FAILED
            break
        relaying = after(relaying, through, without, 100.0 * now)
        in_a_row = 0 if through.is_ok else in_a_row + (without is OK)
        assert (relaying.stage is Stage.FAILED) == (in_a_row >= MOST_FAILURES)
        stages += [] if relaying.stage is stages[-1] else [relaying.stage]

    order = [Stage.TRIED, Stage.GIVEN, Stage.FAILED]
    assert stages == sorted(set(stages), key=order.index)


def test_what_was_given_up_is_tried_again_when_a_person_asks() -> None:
    assert anew(Relaying(Stage.FAILED, 3, 7, "refused")) == Relaying(Stage.TRIED)
    assert anew(Relaying(Stage.GIVEN, asked=7)) == Relaying(Stage.GIVEN, asked=7)


@pytest.mark.parametrize(
    ("relaying", "recheck_s", "at"),
    [
        pytest.param(Relaying(Stage.OFF), 60, None, id="off"),
        pytest.param(Relaying(Stage.FAILED, 3, 7), 60, None, id="given-up"),
        pytest.param(Relaying(Stage.GIVEN), 60, None, id="in-the-next-pass"),
        pytest.param(Relaying(Stage.GIVEN, asked=7), 60, 67, id="as-often-as-the-upstreams"),
        pytest.param(Relaying(Stage.GIVEN, asked=7), 0, 7 + PROVES_S, id="without-a-recheck"),
        pytest.param(Relaying(Stage.GIVEN, 1, 7), 60, 7 + AGAIN_S, id="soon-after-a-failure"),
        pytest.param(Relaying(Stage.TRIED, 1, 7), 60, 7 + AGAIN_S, id="soon-after-a-failure-at-the-beginning"),
        pytest.param(
            Relaying(Stage.GIVEN, 1, 7, is_soft=True), 60, 7 + SOFT_AGAIN_S, id="later-after-one-that-may-pass"
        ),
        pytest.param(
            Relaying(Stage.GIVEN, 0, 7, is_soft=True, is_full=True), 60, 7 + SOFT_AGAIN_S, id="whether-it-is-still-full"
        ),
    ],
)
def test_when_it_is_probed(relaying: Relaying, recheck_s: float, at: float | None) -> None:
    assert next_at(relaying, recheck_s) == at
    if at is not None:
        assert is_due(relaying, at, recheck_s)
        assert not is_due(relaying, relaying.asked or 0, recheck_s)


def test_it_is_probed_with_the_upstreams_which_were_asked_a_moment_before_it() -> None:
    given_a_moment_later = Relaying(Stage.GIVEN, asked=7.05)

    assert is_due(given_a_moment_later, 67, RECHECK_S)
    assert not is_due(given_a_moment_later, 37, RECHECK_S)
    assert not is_due(Relaying(Stage.GIVEN, 1, 7), 7 + AGAIN_S / 2, RECHECK_S)


def test_a_storm_of_passes_is_none_of_probes() -> None:
    tried = Relaying(Stage.TRIED, asked=7)

    assert not is_due(tried, 7 + AGAIN_S / 2, RECHECK_S)
    assert is_due(tried, 7 + AGAIN_S, RECHECK_S)  # the next pass that comes, for the network may be another by then


@pytest.mark.parametrize(
    ("told_at", "state", "is_deaf"),
    [
        pytest.param(0, RelayState(2), False, id="it-has-heard"),
        pytest.param(0, RelayState(1), True, id="it-has-not"),
        pytest.param(96, RelayState(1), False, id="it-may-yet"),
        pytest.param(0, RelayState(0, problem="\x1b[31m"), True, id="it-cannot-read-them"),
        pytest.param(0, None, False, id="it-says-nothing"),
        pytest.param(None, RelayState(1), False, id="it-was-told-nothing"),
    ],
)
def test_who_does_not_go_by_what_it_was_told(told_at: float | None, state: RelayState | None, *, is_deaf: bool) -> None:
    said = deaf(Orders(2), told_at, state, 100)

    assert bool(said) is is_deaf
    assert "\x1b" not in said


def codes(relaying: Relaying) -> list[Code]:
    return [one.code for one in conditions(relaying, is_enabled=True)]


def test_what_a_person_is_told() -> None:
    assert codes(Relaying(Stage.GIVEN, 0, 7, "503", is_full=True)) == [Code.RELAY_FAILED]
    assert codes(Relaying(Stage.OFF, because="rootless")) == [Code.BLOCKED]
    assert codes(Relaying(Stage.OFF)) == codes(Relaying(Stage.TRIED)) == codes(Relaying(Stage.GIVEN)) == []
    assert codes(Relaying(Stage.GIVEN, 1, 7, "refused")) == [Code.RELAY_FAILED]
    (gave_up,) = conditions(Relaying(Stage.FAILED, 3, 7, "refused: nothing listens"), is_enabled=True)
    assert "refused: nothing listens" in gave_up.text
    assert "docker-proxy-agent reload" in gave_up.remedy
    assert conditions(Relaying(Stage.OFF, because="rootless"), is_enabled=False) == ()


# What Docker and clients are given.


def test_docker_is_given_the_same_for_ever() -> None:
    wanted = for_docker(ON)

    assert wanted.http == wanted.https == proxy("http://127.0.0.1:3130")
    assert wanted.no_proxy == ("127.0.0.0/8", "::1", "localhost")


def test_clients_are_given_it_where_it_listens_for_them() -> None:
    given_to_them = for_clients(ON)

    assert given_to_them is not None
    assert given_to_them.http == proxy("http://127.0.0.1:3130")  # which is the bridge's address to containers
    assert for_clients(Relay(enable=True, listen=(Listen.LOOPBACK,))) is None


@pytest.mark.parametrize("private_networks", [True, False])
def test_clients_are_told_what_the_policy_always_excludes_and_never_the_relay_as_a_way_to_loopback(
    *, private_networks: bool
) -> None:
    """A service of Compose: the relay does not know its name, and would lead no container there."""
    policy = NoProxy(always=(Exclusion("db"), Exclusion("::1")), private_networks=private_networks)

    told = exclusions_of_clients(policy)

    assert told == NoProxy((*NoProxy().always, Exclusion("db")), private_networks)
    assert exclusions_of_clients(NoProxy()) == NoProxy()


@pytest.mark.parametrize(
    ("relay", "bridge", "has_ipv6", "listens"),
    [
        (ON, "172.17.0.1", True, ("127.0.0.1:3130", "[::1]:3130", "172.17.0.1:3130")),
        (ON, "172.17.0.1", False, ("127.0.0.1:3130", "172.17.0.1:3130")),
        (ON, None, True, ("127.0.0.1:3130", "[::1]:3130")),
        (Relay(enable=True, port=8118, listen=(Listen.LOOPBACK,)), "172.17.0.1", True, ("127.0.0.1:8118", "[::1]:8118")),
    ],
)  # fmt: skip
def test_where_it_listens(relay: Relay, bridge: str | None, has_ipv6: bool, listens: tuple[str, ...]) -> None:
    assert addresses(relay, bridge, has_ipv6=has_ipv6) == listens
    assert listened(listening(listens)) == listens
    assert ports_of(listens) == (relay.port,)
    assert bridge_of(listens) == (bridge if Listen.BRIDGE in relay.listen else None)


@pytest.mark.parametrize(
    ("through", "settled", "is_other"),
    [
        (Outcome.PROXY_DOWN, ("hub.test:443",), True),
        (Outcome.PROXY_DOWN, ("hub.test:443", "own.test:5000"), False),
        (Outcome.PROXY_DENIED, (), True),
        (Outcome.TIMEOUT, ("hub.test:443",), True),
        (Outcome.TIMEOUT, (), False),
        (Outcome.REFUSED, ("hub.test:443",), False),
        (Outcome.ERROR, ("hub.test:443",), False),
    ],
)
def test_what_a_pac_says_of_a_host_is_no_failure_of_the_relay(
    through: Outcome, settled: tuple[str, ...], is_other: bool
) -> None:
    registries = map(RegistryUrl.parse, ("https://hub.test", "https://own.test:5000"))
    said = Said(tuple(Answered(one, read_answer("PROXY a:1")) for one in registries))

    pac = RelayPac("corp", "", settled=settled)
    assert may_be_by_another(Verdict(through), pac, said) is is_other
    assert not may_be_by_another(FULL, pac, said)


def test_what_nobody_can_tell_from_the_pac_is_said_and_does_not_count() -> None:
    down = Verdict(Outcome.PROXY_DOWN, "502 Bad Gateway to CONNECT")
    hub, own = map(RegistryUrl.parse, ("https://hub.test", "https://own.test:5000"))
    said = Said(tuple(Answered(one, read_answer("PROXY a:1")) for one in (hub, own)))
    assert settled_in(RelayPac("corp", "", settled=("hub.test:443",)), said) == (hub,)

    relaying = by_a_pac(Relaying(Stage.GIVEN), down, 7)
    assert (relaying.stage, relaying.failures) == (Stage.GIVEN, 0)
    (one,) = conditions(relaying, is_enabled=True)
    assert (one.code, one.text) == (
        Code.RELAY_FAILED,
        "a probe through the relay failed, perhaps at a proxy that only the PAC names: "
        "proxy-down: 502 Bad Gateway to CONNECT",
    )
    full = msgspec.structs.replace(relaying, is_full=True)
    assert conditions(full, is_enabled=True) == (one,)
    assert not after(relaying, down, OK, 9).is_by_pac
    assert codes(after(relaying, OK, OK, 9)) == []


# What the relay is told.

OFFICE = Network("office", ("corp", "backup", "direct"))


def chosen(name: str, *, is_pinned: bool = False) -> Choice:
    return Choice(Ending.CHOSEN, "first that works", name, is_pinned=is_pinned)


@pytest.mark.parametrize(
    ("choice", "verdicts", "names"),
    [
        pytest.param(chosen("corp"), {}, ("corp", "backup", "direct"), id="the-next-are-those-behind-it"),
        pytest.param(chosen("backup"), {}, ("backup", "direct", "corp"), id="and-then-those-before-it"),
        pytest.param(chosen("corp", is_pinned=True), {}, ("corp",), id="a-pin-leaves-no-other"),
        pytest.param(chosen("vpn", is_pinned=True), {}, ("vpn",), id="a-pin-of-one-that-is-not-in-use"),
        pytest.param(
            chosen("corp"), {"backup": Verdict(Outcome.PROXY_AUTH)}, ("corp", "direct"), id="no-password-is-sent-again"
        ),
        pytest.param(
            chosen("corp"), {"direct": Verdict(Outcome.PORTAL)}, ("corp", "backup"), id="a-portal-answers-anything"
        ),
        pytest.param(chosen("corp"), {"backup": REFUSED}, ("corp", "backup", "direct"), id="it-may-work-by-then"),
        pytest.param(Choice(Ending.PORTAL, "a portal answers"), {}, (), id="nothing-is-chosen"),
    ],
)
def test_the_ways_out(choice: Choice, verdicts: dict[str, Verdict], names: tuple[str, ...]) -> None:
    assert ways_out(OFFICE, choice, verdicts) == names


def test_what_it_is_told() -> None:
    corp = Upstream(
        "corp", url("http://proxy:3128"), url("http://proxy:3128"), username="alice", password=Secret("pass"),
        no_proxy=(".corp",), owner="bob",
    )  # fmt: skip
    policy = Policy(
        relay=Relay(enable=True, log=LogMode.NONE, max_connections=64, listen=(Listen.LOOPBACK,)),
        no_proxy=NoProxy(always=(Exclusion("localhost"), Exclusion(".lan"))),
        upstreams={"direct": DIRECT, "corp": corp},
    )

    told = orders(policy, ("corp", "direct"), {"bob": 1001}, ca_file="/ca.pem", internal=("br-1",))

    there = url("http://alice:pass@proxy:3128")
    assert there.credentials == Credentials("alice", Secret("pass"))
    assert told == Orders(
        generation=0,
        upstreams=(
            RelayUpstream("corp", there, there, no_proxy=(".corp",), owner="bob", owner_uid=1001),
            RelayUpstream("direct"),
        ),
        no_proxy=("localhost", ".lan"),
        sources=(Source.LOOPBACK,),
        log=LogMode.NONE,
        max_connections=64,
        internal=("br-1",),
        ca_file="/ca.pem",
    )


@pytest.mark.parametrize("outcome", [Outcome.PROXY_AUTH, Outcome.PORTAL])
def test_it_gets_no_password_that_was_refused_also_where_there_is_no_other_way(outcome: Outcome) -> None:
    without = url("http://proxy:3128")
    corp = Upstream("corp", without, without, username="alice", password=Secret("pass"))
    policy = Policy(relay=ON, upstreams={"corp": corp})

    (told,) = orders(policy, ("corp",), {}, verdicts={"corp": Verdict(outcome)}).upstreams

    assert (told.http, told.https) == (without, without)
    assert told.https is not None
    assert told.https.credentials is None


def test_what_this_network_uses_keeps_its_password() -> None:
    there = url("http://alice:pass@proxy:3128")
    home, corp = RelayUpstream("home", there, there), RelayUpstream("corp", there, there, no_proxy=(".corp",))
    told = Orders(3, (home, corp, RelayUpstream("direct")), pac=RelayPac("pac", "", "", known=(home, corp)))

    withheld = without_passwords(told, OFFICE)

    bare = RelayUpstream("home", url("http://proxy:3128"), url("http://proxy:3128"))
    assert withheld.upstreams == (bare, corp, RelayUpstream("direct"))
    assert withheld.pac is not None
    assert withheld.pac.known == (bare, corp)
    assert without_passwords(withheld, OFFICE) == withheld


def test_another_generation_is_a_later_one_and_the_same_is_not_written_again() -> None:
    wanted = Orders(0, (RelayUpstream("direct"),))

    first = follows(None, wanted)

    assert first is not None
    assert first.generation == 1
    assert follows(first, wanted) is None
    again = follows(None, wanted, latest=7)  # somebody has removed the file
    assert again is not None
    assert again.generation == 8
    second = follows(first, Orders(0))
    assert second is not None
    assert second.generation == 2


def test_the_upstream_in_use_is_the_first_of_them() -> None:
    told = Orders(1, (RelayUpstream("corp"), RelayUpstream("direct")))

    assert first_of(told, {"corp", "direct"}) == "corp"
    assert first_of(told, {"direct"}) is None  # of another policy
    assert first_of(Orders(1), {"direct"}) is None
    assert first_of(None, {"direct"}) is None


def test_at_which_port_docker_has_it() -> None:
    def has(*ports: int) -> list[Settings]:
        return [for_docker(Relay(port=port)) for port in ports]

    assert port_had(has(3140, 3130), (3130, 3140)) == 3130
    assert port_had(has(3140), (3130, 3140)) == 3140
    assert port_had([DOCKER_DIRECT], (3130, 3140)) is None
    assert Relayed(Relay(port=3150), earlier=(3140,)).port_in(*has(3140)) == 3140
    assert Relayed(Relay(port=3150)).port_in(*has(3140)) is None


@pytest.mark.parametrize("stage", list(Stage))
def test_docker_and_clients_have_its_address_only_once_it_has_worked(stage: Stage) -> None:
    relayed = Relayed(ON, Relaying(stage))

    assert (relayed.for_docker is not None) is (stage is Stage.GIVEN)
    assert (relayed.for_clients is not None) is (stage is Stage.GIVEN)
