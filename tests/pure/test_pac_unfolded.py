"""The upstreams that a PAC stands for, in one network."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.decide.choose import Choice, Ending
from agent.decide.desired import by_upstream
from agent.decide.pac import Answered, PacSeen, Said, candidate, in_the_order_of, is_trusted, knowing, split_of, unfold
from agent.decide.relay import fitting, orders, pac_in_force, relay_pac, settled
from agent.values.pac import PacFault, read_answer
from agent.values.policy import DIRECT, HostPattern, Network, Policy, RegistryUrl, Relay, Upstream
from agent.values.relay import LARGEST_ORDERS, RelayUpstream, orders_file, orders_in
from agent.values.secret import Secret
from agent.values.settings import proxy
from agent.values.verdict import Outcome, Verdict
from tests.policies import policy_of
from tests.share import fewer

HUB = "https://registry-1.docker.io"
TEXT = """
[upstream.corp]
pac = "http://wpad.corp.example/wpad.dat"
username = "alice"
password_file = "/p"
trusted = ["*.corp.example", "10.1.*"]
no_proxy = [".corp.example"]
[upstream.other]
pac = "file:///etc/other.pac"
[upstream.backup]
url = "http://backup:3128"
[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = ["corp", "backup", "direct"]
[[network]]
name = "home"
use = ["direct", "backup"]
"""


def policy(text: str = TEXT) -> Policy:
    return policy_of(text)


def said(answer: str = "", **others: str) -> Said:
    """What it answers for Docker Hub, and for other registries by their first label."""
    answers = {HUB: answer, **{f"https://{name}.corp.example": text for name, text in others.items()}}
    return Said(tuple(Answered(RegistryUrl.parse(url), read_answer(text)) for url, text in answers.items()))


def office(found: Policy) -> Network:
    return found.networks[0]


def at_the_office(*answers: Said) -> Policy:
    before = policy()
    return unfold(before, office(before), dict(zip(("corp", "other"), answers, strict=False)))


def partly(answer: str) -> Said:
    """For the first registry; for the other one the script throws."""
    fault = PacFault(Outcome.ERROR, "evaluating the PAC file: it throws")
    return msgspec.structs.replace(
        said(answer), fault=fault, unanswered=(RegistryUrl.parse("https://own.corp.example"),)
    )


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        ("PROXY a:1; PROXY b:1", "PROXY b:1; PROXY a:1", "PROXY a:1; PROXY b:1"),
        ("PROXY a:1; PROXY b:1; DIRECT", "DIRECT; PROXY b:1; PROXY a:1", "PROXY a:1; PROXY b:1; DIRECT"),
        ("PROXY a:1; PROXY b:1", "PROXY b:1", "PROXY b:1"),
        ("PROXY a:1", "PROXY b:1; PROXY a:1", "PROXY b:1; PROXY a:1"),
        ("", "PROXY a:1", "PROXY a:1"),
    ],
)
def test_the_same_ways_in_another_order_are_no_news(before: str, now: str, after: str) -> None:
    assert in_the_order_of(said(before), said(now)) == said(after)


@pytest.mark.parametrize(
    ("answer", "use"),
    [
        ("PROXY a:8080", ("corp → a:8080", "backup", "direct")),
        ("PROXY a:8080; PROXY b:8080", ("corp → a:8080", "corp → b:8080", "backup", "direct")),
        ("PROXY a:8080; HTTPS a:8080; SOCKS5 a:8080", ("corp → a:8080", "corp → https://a:8080", "corp → socks5://a:8080", "backup", "direct")),
        ("PROXY a:8080; PROXY A:8080; HTTP a:8080", ("corp → a:8080", "backup", "direct")),
        ("PROXY a:8080; DIRECT", ("corp → a:8080", "direct", "backup")),
        ("DIRECT; PROXY a:8080", ("direct", "corp → a:8080", "backup")),
        ("DIRECT", ("direct", "backup")),
        ("PROXY null:1; PROXY a:8080", ("corp → a:8080", "backup", "direct")),
        ("PROXY null:1", ("corp", "backup", "direct")),
        ("", ("corp", "backup", "direct")),
    ],
)  # fmt: skip
def test_a_network_uses_what_the_pac_names(answer: str, use: tuple[str, ...]) -> None:
    found = at_the_office(said(answer))

    assert office(found).use == use
    assert found.networks[1] == policy().networks[1]


def test_what_it_names_is_never_the_relay_itself() -> None:
    before = msgspec.structs.replace(policy(), relay=Relay(enable=True))
    answer = said("PROXY 127.0.0.1:3130; PROXY [::1]:3130; PROXY localhost:3130; PROXY 127.0.0.1:8080; PROXY a:3130")

    found = unfold(before, office(before), {"corp": answer})

    assert office(found).use == ("corp → 127.0.0.1:8080", "corp → a:3130", "backup", "direct")
    alone = unfold(before, office(before), {"corp": said("PROXY 127.0.0.1:3130")})
    assert alone.upstreams["corp"].fault == Verdict(Outcome.ERROR, "its PAC: names nothing but the relay of this host")


def test_a_candidate_is_an_upstream_of_its_own() -> None:
    found = at_the_office(said("HTTPS Proxy.corp.example:443; PROXY elsewhere:8080; DIRECT"))

    trusted, other = found.upstreams["corp → https://proxy.corp.example:443"], found.upstreams["corp → elsewhere:8080"]
    assert trusted.http == trusted.https == proxy("https://proxy.corp.example:443")
    assert (trusted.username, trusted.password_file, trusted.named_by) == ("alice", "/p", "corp")
    assert trusted.no_proxy == (".corp.example",)
    assert (other.username, other.password_file, other.credentials) == ("", "", None)
    assert found.upstreams["direct"] == DIRECT
    assert found.upstreams["corp"].candidates == (trusted.name, other.name, "direct")
    assert found.upstreams["corp"].fault is None


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Said(fault=PacFault(Outcome.DNS, "wpad.corp.example: unknown")), Verdict(Outcome.DNS, "its PAC: wpad.corp.example: unknown")),
        (Said(fault=PacFault(Outcome.PORTAL, "a page")), Verdict(Outcome.PORTAL, "its PAC: a page")),
        (said("PROXY null:1; GOPHER x:1"), Verdict(Outcome.ERROR, "its PAC names no way out: PROXY null:1: not a valid host and port; GOPHER x:1")),
        (said(""), Verdict(Outcome.ERROR, "its PAC names no way out: an empty answer")),
        (Said(), Verdict(Outcome.ERROR, "its PAC names no way out: it was not asked")),
    ],
)  # fmt: skip
def test_a_pac_that_says_nothing_stays_in_its_place_with_the_reason(found: Said, verdict: Verdict) -> None:
    unfolded = at_the_office(found)

    assert office(unfolded).use == ("corp", "backup", "direct")
    assert unfolded.upstreams["corp"].fault == verdict
    assert unfolded.upstreams["corp"].candidates == ()


@pytest.mark.parametrize(
    ("found", "use", "excepted"),
    [
        (said("PROXY a:1", own="PROXY a:1"), "corp → a:1", ()),
        (said("PROXY a:1", own="DIRECT"), "corp → a:1", ("own.corp.example",)),
        (said("PROXY a:1", own="DIRECT; PROXY a:1"), "corp → a:1", ("own.corp.example",)),
        (said("PROXY a:1", own="DIRECT", more="DIRECT"), "corp → a:1", ("own.corp.example", "more.corp.example")),
        # What goes directly can be excepted from a proxy, and not the other way round.
        (said("DIRECT", own="PROXY a:1"), "corp → a:1", ("registry-1.docker.io",)),
        (said("DIRECT", own="DIRECT"), "direct", ()),
        # Of one that it says nothing for, nobody knows that it may go directly.
        (said("", own="DIRECT"), "corp", ()),
        (said("DIRECT", own="PROXY null:1"), "corp", ()),
        (partly("DIRECT"), "corp", ()),
        (said("", own="PROXY a:1"), "corp → a:1", ()),
        (partly("PROXY a:1"), "corp → a:1", ()),
    ],
)  # fmt: skip
def test_registries_that_go_directly_are_excepted_from_the_proxy(
    found: Said, use: str, excepted: tuple[str, ...]
) -> None:
    unfolded = at_the_office(found)

    assert office(unfolded).use[0] == use
    if use not in ("direct", "corp"):
        assert unfolded.upstreams[use].no_proxy == (".corp.example", *excepted)


@pytest.mark.parametrize(
    ("found", "texts"),
    [
        (said("PROXY a:1", own="DIRECT"), []),
        (said("PROXY a:1; DIRECT", own="PROXY a:1; DIRECT"), []),
        (said("PROXY a:1", own="PROXY b:1"), ["the PAC of corp sends own.corp.example by b:1, but Docker can use only one proxy and is given a:1"]),
        (said("PROXY a:1", own="PROXY b:1", more="SOCKS c:1"), ["the PAC of corp sends own.corp.example by b:1, more.corp.example by socks5://c:1, but Docker can use only one proxy and is given a:1"]),
        (said("PROXY a:1", **{f"r{n}": f"PROXY p{n}:1" for n in range(9)}), ["the PAC of corp sends r0.corp.example by p0:1, r1.corp.example by p1:1, r2.corp.example by p2:1, r3.corp.example by p3:1 and 5 more, but Docker can use only one proxy and is given a:1"]),
        (Said(fault=PacFault(Outcome.DNS, "no")), []),
        (partly("PROXY a:1"), ["the PAC of corp names no proxy for own.corp.example (evaluating the PAC file: it throws); Docker is given a:1 for it as well"]),
        (said("", own="PROXY a:1"), ["the PAC of corp names no proxy for registry-1.docker.io; Docker is given a:1 for it as well"]),
        (partly("DIRECT"), []),
    ],
)  # fmt: skip
def test_what_one_proxy_cannot_have_is_said(found: Said, texts: list[str]) -> None:
    assert [one.text for one in split_of(PacSeen(name="corp", url="", said=found))] == texts


def test_what_a_pac_named_elsewhere_is_recognised_and_not_used() -> None:
    here = unfold(policy(), office(policy()), {"corp": said("PROXY a.corp.example:1")})

    found = knowing(
        here, [("corp", said("PROXY b:1", own="DIRECT")), ("corp", said("PROXY a.corp.example:1", own="DIRECT"))]
    )

    assert found.networks == here.networks
    assert found.upstreams["corp → a.corp.example:1"] == here.upstreams["corp → a.corp.example:1"]
    assert found.upstreams["corp → b:1"].no_proxy == (".corp.example", "own.corp.example")
    meant = by_upstream(found)
    assert meant["corp → b:1"].https == proxy("http://b:1")
    assert "corp" not in meant  # by itself it means nothing, least of all direct


def test_one_that_is_known_by_its_name_alone() -> None:
    found = at_the_office(said("HTTPS a.corp.example:1; PROXY b:1", own="DIRECT"))

    for name in ("corp → https://a.corp.example:1", "corp → b:1"):
        assert candidate(policy(), name, ["own.corp.example"]) == found.upstreams[name]
    for name in ("corp", "direct", "backup → b:1", "gone → b:1", "corp → ", "corp → http://u:p@b:1"):
        assert candidate(policy(), name) is None


@pytest.mark.parametrize(
    ("host", "trusted", "answer"),
    [
        ("proxy.corp.example", ("*.corp.example",), True),
        ("PROXY.corp.example", ("*.CORP.example",), True),
        ("corp.example", ("*.corp.example",), False),
        ("proxy.corp.example.evil", ("*.corp.example",), False),
        ("evilcorp.example", ("*.corp.example", "corp.example"), False),
        ("proxy.corp.example.", ("proxy.corp.example",), True),
        ("proxy.corp.example", ("proxy.corp.example.",), True),
        ("10.1.0.3", ("10.1.*",), True),
        ("10.1.0.3", ("10.1.0.0/24",), True),
        ("10.1.1.3", ("10.1.0.0/24", "fd00::/8", "proxy", "*.3"), True),
        ("10.1.1.3", ("10.1.0.0/24", "fd00::/8", "10.1.0.?", "*.example"), False),
        ("10.1.0.evil.example", ("10.1.*", "10.1.0.0/24", "*1.*", "?0.1.0.*"), False),
        ("fd00::1", ("[fd00::1]",), True),
        ("fd00::1", ("FD00:0::1",), True),
        ("fd00::1", ("fd00:*",), True),
        ("fd00::1", ("fd*", "fd01::/16"), False),
        ("fd00.evil.example", ("fd00:*", "fd00::/16"), False),
        ("anything", ("*",), True),
        ("anything", (), False),
    ],
)
def test_whom_the_password_may_go_to(host: str, trusted: tuple[str, ...], answer: bool) -> None:
    assert is_trusted(host, map(HostPattern.parse, trusted)) is answer


WAYS = st.sampled_from(["a.corp.example", "b.corp.example", "c", "10.1.0.3", "10.2.0.3"]).flatmap(
    lambda host: st.sampled_from([f"PROXY {host}:1", f"HTTPS {host}:1", f"SOCKS {host}:2"])
)
ANSWERS = st.lists(WAYS | st.sampled_from(["DIRECT", "PROXY null:1", "", "🙂"]), max_size=20).map("; ".join)


@settings(max_examples=fewer(100), deadline=None)
@given(st.lists(ANSWERS, max_size=4), ANSWERS, st.permutations(["corp", "other", "backup", "direct"]))
def test_whatever_a_pac_says_the_password_goes_to_the_trusted_alone(
    answers: list[str], of_other: str, use: list[str]
) -> None:
    secret = Secret("hunter2")
    before = policy(TEXT.replace('["corp", "backup", "direct"]', str(use).replace("'", '"')))
    upstreams = {**before.upstreams, "corp": with_password(before.upstreams["corp"], secret)}
    before = Policy(upstreams=upstreams, networks=before.networks)
    found_said = {"corp": said("", **{f"r{n}": text for n, text in enumerate(answers)}), "other": said(of_other)}

    found = unfold(before, office(before), found_said)

    names = office(found).use
    assert names
    assert len(set(names)) == len(names)
    assert all(name in found.upstreams for name in names)
    expected = [one for name in use for one in found.upstreams[name].candidates or (name,)]
    assert list(names) == list(dict.fromkeys(expected))
    assert all(found.upstreams[name] == before.upstreams[name] for name in ("backup", "direct"))
    for upstream in found.upstreams.values():
        if upstream.named_by:
            assert upstream.http is not None
            assert upstream.http == upstream.https
            is_theirs = upstream.named_by == "corp" and is_trusted(upstream.http.host, before.upstreams["corp"].trusted)
            assert (upstream.password == secret) is is_theirs
            assert bool(upstream.credentials) is is_theirs
    for name in ("corp", "other"):
        assert (found.upstreams[name].fault is None) is bool(found.upstreams[name].candidates)


def with_password(upstream: Upstream, password: Secret) -> Upstream:
    return Upstream(
        upstream.name, username=upstream.username, password=password, no_proxy=upstream.no_proxy, pac=upstream.pac,
        trusted=upstream.trusted,
    )  # fmt: skip


def chosen(upstream: str | None, *, is_pinned: bool = False) -> Choice:
    return Choice(Ending.CHOSEN if upstream else Ending.UNREACHABLE, "", upstream, is_pinned=is_pinned)


@pytest.mark.parametrize(
    ("answer", "choice", "pac"),
    [
        ("PROXY a:1; DIRECT", chosen("corp → a:1"), "corp"),
        ("PROXY a:1; DIRECT", chosen("corp → a:1", is_pinned=True), "corp"),
        ("PROXY a:1; DIRECT", chosen("direct"), "corp"),
        ("PROXY a:1; DIRECT", chosen("direct", is_pinned=True), None),
        ("PROXY a:1", chosen("direct"), None),  # `use` says it, for when the PAC's fails
        ("PROXY a:1", chosen("backup"), None),
        ("PROXY a:1", chosen(None), None),
    ],
)
def test_by_the_relay_the_pac_decides_where_it_names_what_is_chosen(
    answer: str, choice: Choice, pac: str | None
) -> None:
    found = pac_in_force(at_the_office(said(answer)), choice)

    assert (found.name if found is not None else None) == pac


def test_the_relay_is_told_the_script_and_what_it_may_name() -> None:
    found = knowing(at_the_office(said("PROXY a:1")), [("corp", said("PROXY b.corp.example:1"))])

    told = relay_pac(found, found.upstreams["corp"], "script", "10.0.0.1")

    assert told is not None
    assert (told.name, told.script, told.my_ip, told.no_proxy) == ("corp", "script", "10.0.0.1", (".corp.example",))
    assert [one.name for one in told.known] == ["corp → a:1"]  # nobody has asked the other one here
    assert relay_pac(found, found.upstreams["corp"], "x" * 500_000, "") is None


@pytest.mark.parametrize(
    ("read", "hosts"),
    [
        pytest.param(said("PROXY a:1", b="PROXY a:1"), (HUB, "b"), id="all-alike"),
        pytest.param(said("PROXY a:1", b="DIRECT"), (HUB, "b"), id="one-is-excepted"),
        pytest.param(said("DIRECT", b="DIRECT; PROXY a:1"), (HUB, "b"), id="all-directly"),
        pytest.param(said("PROXY a:1", b="PROXY b:1"), (HUB,), id="one-goes-another-way"),
        pytest.param(said("PROXY a:1", b="PROXY null:1"), (HUB,), id="one-has-none"),
        pytest.param(said("PROXY null:1"), (), id="none"),
    ],
)
def test_of_which_registries_the_relay_asks_nobody_again(read: Said, hosts: tuple[str, ...]) -> None:
    names = {HUB: "registry-1.docker.io:443", "b": "b.corp.example:443"}

    assert settled(read) == tuple(names[host] for host in hosts)


@pytest.mark.parametrize(
    ("script", "is_told"), [("x" * 390_000, True), ("\u0001" * 170_000, True), ("\u0001" * 200_000, False)]
)
def test_a_script_is_told_only_if_all_fits(script: str, is_told: bool) -> None:
    here = at_the_office(said("PROXY a:1"))
    wanted = orders(here, ["corp → a:1"], {}, pac=relay_pac(here, here.upstreams["corp"], script, ""))
    assert wanted.pac is not None

    written = fitting(wanted)

    assert (written.pac is not None) is is_told
    assert written.upstreams == wanted.upstreams
    assert len(orders_file(msgspec.structs.replace(written, generation=2**63 - 1))) <= LARGEST_ORDERS


@pytest.mark.parametrize("outcome", list(Outcome))
def test_no_password_that_was_refused_is_told_the_relay(outcome: Outcome) -> None:
    """Not of the chosen one, either, as where it is pinned: whoever asks the relay would send it again and again."""
    one, other = "corp → a.corp.example:1", "corp → b.corp.example:1"
    read = at_the_office(said("PROXY a.corp.example:1; PROXY b.corp.example:1"))
    with_password = {
        name: msgspec.structs.replace(upstream, password=Secret("hunter2")) for name, upstream in read.upstreams.items()
    }
    here = msgspec.structs.replace(read, upstreams=with_password)
    verdicts = {one: Verdict(Outcome.OK), other: Verdict(outcome)}

    told = relay_pac(here, here.upstreams["corp"], "script", "", verdicts=verdicts)
    written = orders(here, [other], {}, verdicts=verdicts, pac=told)

    assert told is not None
    is_told = outcome not in (Outcome.PROXY_AUTH, Outcome.PORTAL)
    assert [_has_password(each) for each in (*told.known, *written.upstreams)] == [True, is_told, is_told]


def _has_password(upstream: RelayUpstream) -> bool:
    assert upstream.http is not None
    assert upstream.https is not None
    assert bool(upstream.http.credentials) is bool(upstream.https.credentials)
    return bool(upstream.https.credentials)


def test_the_relay_is_told_which_of_them_works() -> None:
    """The others may be anything: a container is led to none of them on this host."""
    here = at_the_office(said("PROXY a:1; PROXY 127.0.0.1:22; PROXY b:1"))
    verdicts = {
        "corp → a:1": Verdict(Outcome.OK),
        "corp → b:1": Verdict(Outcome.REFUSED),
        "backup": Verdict(Outcome.OK),
    }
    seen = [("corp → a:1", "corp", True), ("corp → 127.0.0.1:22", "corp", None), ("corp → b:1", "corp", False)]

    told = relay_pac(here, here.upstreams["corp"], "script", "", verdicts=verdicts)
    written = orders(here, [*(name for name, _, _ in seen), "backup"], {}, verdicts=verdicts, pac=told)

    assert told is not None
    assert [(one.name, one.named_by, one.works) for one in told.known] == seen
    assert [(one.name, one.named_by, one.works) for one in written.upstreams] == [*seen, ("backup", "", None)]
    assert orders_in(orders_file(written), "relay.json") == written
