"""One whole pass: real files and a real transaction, in a place that the test chooses."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest

from agent.audit.record import Record
from agent.clients.clients import ClientFile, ClientsSeen
from agent.decide.choose import PATIENCE_S
from agent.decide.clients import Intent, Wanted
from agent.decide.plan import Plan
from agent.decide.relay import is_the_relay
from agent.docker.transaction import Applied
from agent.one_pass.look import look
from agent.one_pass.memory import Memory
from agent.one_pass.no_relay import NoRelay
from agent.one_pass.pac import NoPacs
from agent.one_pass.patiently import Patiently, only_looking
from agent.one_pass.ports import Maker, Pacs, Relays
from agent.one_pass.reconcile import Alone, reconcile
from agent.one_pass.seen import Offline, Pass, Planned, Undecided
from agent.probe.side_by_side import probe_all
from agent.system.files import Changed
from agent.system.state_file import StateFile
from agent.values.condition import Code, Condition
from agent.values.dockerd import Reality, Running
from agent.values.errors import AgentError, UnitFailed
from agent.values.listening import loopback_addresses
from agent.values.policy import Policy, RegistryUrl, Upstream
from agent.values.policy_text import parse
from agent.values.reason import Reason
from agent.values.settings import DIRECT, Settings, settings
from agent.values.snapshot import Interface, Snapshot
from agent.values.vantage import HOST, Vantage
from agent.values.verdict import Outcome, Verdict
from tests.upstreams import upstream as through

from .dockerd import Dockerd
from .listeners import needs_root
from .servers import Says
from .test_clients import People
from .test_homes import counting, house

__all__ = ["house"]  # the fixture

POLICY = """
[upstream.office]
url = "http://office:3128"
[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = ["office", "direct"]
"""
OFFICE = settings("http://office:3128", "http://office:3128", "localhost,127.0.0.0/8,::1")


def policy(text: str) -> Policy:
    read = parse(text)
    assert isinstance(read, Policy)
    return read


def at(gateway: str) -> Snapshot:
    return Snapshot((Interface("wlan0", ipv4=("10.10.0.7/16",), gateways=(gateway,)),))


ALONE = Alone()


class NoClients:
    """Nobody has a config.json here."""

    def one_pass(self) -> AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()

    async def recover(self) -> None:
        """There is nothing to clear away."""

    async def let_go(self) -> None:
        """Nothing is under way."""

    async def look(self, upstream: Upstream, relay: Upstream | None = None) -> ClientsSeen:
        return ClientsSeen(Wanted(Intent.SET, ""))

    async def carry_out(self, seen: ClientsSeen, record: Record) -> Sequence[ClientFile]:
        raise AssertionError("there is nothing to write")


class SomeClients(NoClients):
    """What they have leads to somebody else's listener by now, or not."""

    def __init__(self, is_somebody_elses: bool) -> None:
        self._wanted = Wanted(Intent.WITHDRAW, "as it is", is_somebody_elses=is_somebody_elses)

    async def look(self, upstream: Upstream, relay: Upstream | None = None) -> ClientsSeen:
        return ClientsSeen(self._wanted)


def called(upstream: Upstream) -> str:
    """As a test calls it: `becomes(relay="refused")`."""
    return "relay" if is_the_relay(upstream) else upstream.name


class Place:
    """Where the laptop is, and how its upstreams do there: each as often as it is asked, its last answer for ever."""

    def __init__(self, snapshot: Snapshot, dockerd: Dockerd, **outcomes: str) -> None:
        self.snapshot = snapshot
        self.daemon = dockerd
        self.clients: NoClients = NoClients()
        self.relay: Relays = NoRelay()
        self.pacs: Pacs = NoPacs()
        self.asked: list[str] = []
        self.connected: list[str] = []
        self.here: dict[str, tuple[str, ...]] = {}
        self.asked_beside: list[str] = []
        self.fails_beside: tuple[Condition, ...] = ()
        self.vantage = HOST
        self.is_password_out = False
        self.hears: dict[str, Verdict] = {}
        self.will_ask: Callable[[], object] = lambda: None
        self._outcomes = {name: [Outcome(word) for word in words.split()] for name, words in outcomes.items()}
        self.policy = policy(POLICY)

    def becomes(self, **outcomes: str) -> None:
        """From now on."""
        self._outcomes |= {name: [Outcome(word) for word in words.split()] for name, words in outcomes.items()}

    @property
    def host(self) -> Place:
        return self

    @property
    def prober(self) -> Place:
        return self

    async def see(self) -> Snapshot:
        return self.snapshot

    def dns_elsewhere(self) -> tuple[str, ...]:
        return self.snapshot.dns_elsewhere

    async def verdicts(
        self, upstreams: Sequence[Upstream], is_enough: Callable[[Mapping[str, Verdict]], bool]
    ) -> Mapping[str, Verdict]:
        self.will_ask()
        found: dict[str, Verdict] = {}
        for upstream in upstreams:
            left = self._outcomes[called(upstream)]
            found[upstream.name] = Verdict(left.pop(0) if len(left) > 1 else left[0])
            self.asked.append(called(upstream))
            if is_enough(found):
                break
        return found

    async def verdict_by(self, registries: Sequence[RegistryUrl], upstream: Upstream) -> Verdict:
        """As of the outcome `upstream by host`, where there is one."""
        name = f"{called(upstream)} by {' '.join(one.host for one in registries)}"
        self.asked.append(name)
        return Verdict(self._outcomes.get(name, self._outcomes[called(upstream)])[0])

    async def silence(self, upstream: Upstream) -> str:
        self.connected.append(upstream.name)
        return "nothing listens there yet" if self._outcomes[upstream.name][0] is Outcome.REFUSED else ""

    async def beside(self, upstream: Upstream) -> tuple[Condition, ...]:
        self.asked_beside.append(upstream.name)
        return self.fails_beside

    def take_heard(self) -> Mapping[str, Verdict]:
        heard, self.hears = self.hears, {}
        return heard

    def loopback(self, host: str) -> tuple[str, ...]:
        """A name is known from the first probe on."""
        return loopback_addresses(host) or (self.here.get(host, ()) if self.asked else ())

    async def passed(self, maker: Maker = ALONE) -> Pass:
        return await reconcile(self.policy, self, self.daemon.record(), choosing=self.choosing(), maker=maker)

    def choosing(self) -> Patiently:
        return only_looking(self.policy, self, self.daemon.root / "state")


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    return Dockerd(tmp_path)


async def test_a_pass_tells_its_story_and_the_intent_comes_before_the_first_write(dockerd: Dockerd) -> None:
    done = await Place(at("10.10.0.1"), dockerd, office="ok", direct="ok").passed()

    assert dockerd.runs_with == OFFICE
    assert done.outcome is not None
    assert dockerd.seen_at_reload == ["network-changed", "upstream-chosen", "apply-started"]
    assert dockerd.events()[3:] == ["settings-written", "docker-started", "docker-restarted"]


async def test_a_pass_that_finds_nothing_to_do_records_nothing(dockerd: Dockerd) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    await place.passed()
    before = dockerd.events(), dockerd.files(), dockerd.starts

    await place.passed()

    assert (dockerd.events(), dockerd.files(), dockerd.starts) == before


class Counting(Dockerd):
    """Notes each time that its containers are asked for one by one."""

    counted = 0

    async def running(self) -> frozenset[Running]:
        self.counted += 1
        return await super().running()


@pytest.mark.parametrize(
    ("version", "auto_removed", "direct", "counted"),
    [
        pytest.param(20, 1, "timeout", 1, id="waits-for-the-one-that-would-end"),
        pytest.param(20, 0, "timeout", 4, id="all-go-on"),
        pytest.param(26, 1, "timeout", 2, id="this-docker-keeps-it"),
        pytest.param(20, 1, "ok", 0, id="waits-anyway-and-is-not-asked"),
    ],
)
async def test_a_container_that_docker_would_end_whatever_live_restore_says_is_waited_for(
    tmp_path: Path, version: int, auto_removed: int, direct: str, counted: int
) -> None:
    dockerd = Counting(tmp_path)
    dockerd.version, dockerd.containers, dockerd.auto_removed = version, 2, auto_removed

    done = await Place(at("10.10.0.1"), dockerd, office="ok", direct=direct).passed()

    is_made = counted > 1  # once more just before, and before and after it
    assert (dockerd.killed, dockerd.starts) == (0, 2 if is_made else 1)
    assert dockerd.counted == counted
    assert done.outcome is not None
    assert ("would not survive: Docker 20 removes" in done.outcome.deferred) is (auto_removed == 1 and counted == 1)


def written(folder: Path) -> dict[Path, tuple[int, ...]]:
    """What tells a file that was written; a look may read, which a file's access time shows."""
    found = {path: path.stat() for path in folder.iterdir()}
    return {path: (one.st_ino, one.st_mode, one.st_size, one.st_mtime_ns) for path, one in found.items()}


async def test_a_look_changes_nothing(dockerd: Dockerd) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    before = written(dockerd.agent_state)

    seen = await look(place.policy, place, place.choosing())

    assert seen.acts
    assert written(dockerd.agent_state) == before
    assert dockerd.files() == {}


class Moved(Dockerd):
    """Known from the last look, and found in a network of its own by the next."""

    seen: Reality | None = None
    place: Place | None = None

    def known(self) -> Reality | None:
        return self.seen

    async def reality(self, *desired: Settings) -> Reality:
        if self.place is not None:
            self.place.vantage = Vantage(is_host=False, gateway="10.0.2.2")
        return await super().reality(*desired)


async def test_a_docker_that_came_up_elsewhere_since_the_last_look_is_written_as_it_is_reached_from_there(
    tmp_path: Path,
) -> None:
    moved = Moved(tmp_path)
    moved.seen = await moved.reality()
    place = Place(at("10.10.0.1"), moved, office="ok", direct="ok")
    place.policy = policy(POLICY.replace("http://office:3128", "http://127.0.0.1:3128"))
    moved.place = place

    await place.passed()

    assert moved.runs_with == settings("http://10.0.2.2:3128", "http://10.0.2.2:3128", "localhost,127.0.0.0/8,::1")


async def test_what_may_still_come_is_asked_again_until_it_does(dockerd: Dockerd) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="dns no-route ok", direct="ok")

    done = await place.passed()

    assert isinstance(done.seen, Planned)
    assert done.seen.upstream.name == "office"
    assert place.asked.count("office") == 3
    assert place.asked.count("direct") == 1


@pytest.mark.parametrize("is_somebody_elses", [True, False])
@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://127.0.0.1:3128", True),
        ("http://localhost:3128", True),
        ("http://laptop:3128", True),  # a name may be loopback here, as in Debian's /etc/hosts: it is looked up
        ("http://10.0.0.9:3128", False),
    ],
)
async def test_where_nothing_works_clients_keep_all_but_the_way_to_somebody_elses_listener(
    dockerd: Dockerd, url: str, is_local: bool, is_somebody_elses: bool
) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok refused", direct="refused")
    place.policy = policy(POLICY.replace("http://office:3128", url))
    await place.passed()
    place.clients = SomeClients(is_somebody_elses)

    seen = (await place.passed()).seen

    assert isinstance(seen, Undecided)
    assert (seen.clients is not None) is (is_local and is_somebody_elses)


async def test_a_hard_failure_is_not_waited_for(dockerd: Dockerd) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="refused", direct="ok")

    done = await place.passed()

    assert isinstance(done.seen, Planned)
    assert done.seen.upstream.name == "direct"
    assert place.asked == ["office", "direct"]


async def test_elsewhere_is_direct(dockerd: Dockerd) -> None:
    await Place(at("10.10.0.1"), dockerd, office="ok", direct="ok").passed()

    await Place(at("10.20.0.1"), dockerd, direct="ok").passed()

    assert dockerd.runs_with == DIRECT


async def test_offline_and_behind_a_portal_nothing_is_touched(dockerd: Dockerd) -> None:
    offline = await Place(Snapshot(), dockerd).passed()
    portal = await Place(at("10.20.0.1"), dockerd, direct="portal").passed()

    assert isinstance(offline.seen, Offline)
    assert [condition.code.value for condition in portal.seen.conditions] == ["portal"]
    assert dockerd.files() == {}
    assert dockerd.events() == []


class Meddled(Dockerd):
    """Somebody else writes the drop-in between the look and the write, so often."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self.times = times

    async def carry_out(self, made: Plan, reality: Reality, record: Record) -> Applied:
        if self.times:
            self.times -= 1
            (self.root / "unit/drop-in.conf").write_text(f"theirs {self.times}\n")
        return await super().carry_out(made, reality, record)


async def test_a_file_that_changed_meanwhile_is_looked_at_again(tmp_path: Path) -> None:
    dockerd = Meddled(tmp_path, times=2)

    await Place(at("10.10.0.1"), dockerd, office="ok", direct="ok").passed()

    assert dockerd.runs_with == OFFICE


async def test_a_file_that_changes_all_the_time_is_left_to_who_writes_it(tmp_path: Path) -> None:
    dockerd = Meddled(tmp_path, times=99)

    with pytest.raises(Changed):
        await Place(at("10.10.0.1"), dockerd, office="ok", direct="ok").passed()

    assert (tmp_path / "unit/drop-in.conf").read_text() == "theirs 96\n"
    assert dockerd.starts == 1


class Racing(Place):
    """Upstreams that are really probed side by side: outcome and seconds, one after the other."""

    tries: dict[str, list[tuple[str, float]]]

    async def verdicts(
        self, upstreams: Sequence[Upstream], is_enough: Callable[[Mapping[str, Verdict]], bool]
    ) -> Mapping[str, Verdict]:
        async def ask(upstream: Upstream) -> Verdict:
            left = self.tries[upstream.name]
            outcome, seconds = left.pop(0) if len(left) > 1 else left[0]
            await asyncio.sleep(seconds)
            return Verdict(Outcome(outcome))

        return await probe_all(upstreams, ask, is_enough)


async def test_a_preferred_upstream_that_comes_late_is_not_cut_off_by_a_soft_one_below(dockerd: Dockerd) -> None:
    place = Racing(at("10.10.0.1"), dockerd)
    read = parse(
        POLICY.replace('["office", "direct"]', '["office", "backup", "direct"]')
        + '[upstream.backup]\nurl = "http://b"\n'
    )
    assert isinstance(read, Policy)
    place.policy = read
    place.tries = {"office": [("dns", 0.0), ("ok", 0.2)], "backup": [("dns", 0.0)], "direct": [("ok", 0.0)]}

    done = await place.passed()

    assert isinstance(done.seen, Planned)
    assert done.seen.upstream.name == "office"


@pytest.mark.waits
async def test_who_does_not_answer_at_all_is_not_waited_for_longer_than_patience(dockerd: Dockerd) -> None:
    place = Racing(at("10.10.0.1"), dockerd)
    place.tries = {"office": [("timeout", 3.0), ("timeout", 60.0)], "direct": [("ok", 0.0)]}
    loop = asyncio.get_running_loop()
    began = loop.time()

    done = await place.passed()

    assert isinstance(done.seen, Planned)
    assert done.seen.upstream.name == "direct"
    assert PATIENCE_S <= loop.time() - began < 30  # in the middle of the second time that it is asked


class Alice(NoClients):
    """Has a file to be written, and says what Docker ran with by then."""

    def __init__(self, dockerd: Dockerd, seen: ClientsSeen) -> None:
        self._dockerd, self.seen = dockerd, seen
        self.docker_ran_with: list[Settings] = []
        self.looked_at_with: list[Settings] = []

    async def look(self, upstream: Upstream, relay: Upstream | None = None) -> ClientsSeen:
        self.looked_at_with.append(self._dockerd.runs_with)
        return self.seen

    async def carry_out(self, seen: ClientsSeen, record: Record) -> Sequence[ClientFile]:
        self.docker_ran_with.append(self._dockerd.runs_with)
        return seen.edits


@pytest.fixture
async def alice(dockerd: Dockerd, tmp_path: Path) -> Alice:
    (tmp_path / "people").mkdir()
    people = People(tmp_path / "people")
    people.add("alice", "{}")
    return Alice(dockerd, await people.clients().look(through("http://office:3128")))


@needs_root
async def test_a_pass_starts_one_helper_for_each_user(dockerd: Dockerd, house: Path) -> None:
    """Whatever it asks of them: here what a crash left, two files, the contexts beside them, and the writes."""
    people, starts = People(house), house / "starts"
    for name, uid in (("alice", 12345), ("alice-too", 12345), ("bob", 12346)):
        file = people.add(name, "{}")
        for path in (file.parents[1], file.parent, file):
            os.chown(path, uid, uid)
        people.accounts[-1] = msgspec.structs.replace(people.accounts[-1], uid=uid, gid=uid)
    people.bridge = "127.0.0.1"
    StateFile(people.state / "client-writes.json", tuple[str, ...], 1).save(
        tuple(str(one.config) for one in people.accounts)
    )
    async with Says(waits=False) as proxy:
        place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
        place.policy = policy(POLICY.replace("http://office:3128", f"http://127.0.0.1:{proxy.port}"))
        place.clients = people.clients(counting(starts))  # type: ignore[assignment]

        done = await place.passed()

    assert [file.error for file in done.clients] == ["", "", ""]
    assert all(str(proxy.port) in file.config.read_text() for file in people.accounts)
    assert starts.read_text() == "++"


async def test_docker_is_right_before_any_home_is_written_to(dockerd: Dockerd, alice: Alice) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    place.clients = alice

    await place.passed()

    assert alice.docker_ran_with == [OFFICE]


async def test_a_command_that_only_withdraws_from_clients_records_that_nothing_works(
    dockerd: Dockerd, alice: Alice
) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok refused", direct="refused")
    place.policy = policy(POLICY.replace("http://office:3128", "http://127.0.0.1:3128"))
    await place.passed()
    before = len(dockerd.events())
    wanted = Wanted(Intent.WITHDRAW, "somebody else listens there", is_somebody_elses=True)
    place.clients = Alice(dockerd, msgspec.structs.replace(alice.seen, wanted=wanted))

    await place.passed()

    assert dockerd.events()[before:] == ["network-changed", "no-upstream", "apply-started"]


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_restart_by_the_service_waits_for_nobodys_home(dockerd: Dockerd, alice: Alice, refuses: bool) -> None:
    """They are looked at after it, in the same pass; where Docker could not follow, only looked at."""
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    place.clients = alice
    if refuses:
        dockerd.refuses = OFFICE

    done = await place.passed(Quiet())

    runs_with = DIRECT if refuses else OFFICE
    assert dockerd.runs_with == runs_with
    assert alice.looked_at_with == [runs_with]
    assert alice.docker_ran_with == ([] if refuses else [OFFICE])
    assert done.seen.clients is not None
    assert len(done.clients) == (0 if refuses else 1)


async def test_of_dockers_half_and_the_clients_each_is_begun_in_the_log(dockerd: Dockerd, alice: Alice) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    place.clients = alice

    await place.passed(Quiet())

    begun = [each["facts"]["targets"] for each in dockerd.records() if each["event"] == "apply-started"]
    assert [[Path(target).name for target in targets] for targets in begun] == [
        ["dockerd.env", "drop-in.conf"],
        ["config.json"],
    ]


@pytest.mark.parametrize("waits", [False, True])
async def test_of_dockers_settings_nothing_is_begun_in_the_log_where_only_clients_are_written(
    dockerd: Dockerd, alice: Alice, waits: bool
) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    place.policy = policy(f'[docker]\nrestart = "when-idle"\n{POLICY}')
    dockerd.containers = 1 if waits else 0
    await place.passed()
    place.clients = alice

    await place.passed()

    first, then = [each["facts"] for each in dockerd.records() if each["event"] == "apply-started"]
    assert first["settings"]["http"] == then["client_settings"]["http"] == "http://office:3128"
    assert not {"settings", "changes", "method", "method_because"} & {*then}
    assert [Path(target).name for target in then["targets"]] == ["config.json"]
    assert (then.get("in_force"), then.get("restart")) == ((None, "later") if waits else (True, None))
    assert ("direct" if waits else "http") in then["effective"]


class BusySystemd(Dockerd):
    async def daemon_reload(self) -> None:
        raise UnitFailed("systemctl daemon-reload", "timed out")


@pytest.mark.parametrize("is_service", [False, True])
async def test_where_dockers_half_cannot_be_written_the_clients_are(
    tmp_path: Path, alice: Alice, is_service: bool
) -> None:
    (tmp_path / "busy").mkdir()
    place = Place(at("10.10.0.1"), BusySystemd(tmp_path / "busy"), office="ok", direct="ok")
    place.clients = alice

    with pytest.raises(AgentError):
        await place.passed(Quiet() if is_service else ALONE)

    assert alice.docker_ran_with == [DIRECT]


async def test_clients_do_not_go_where_docker_could_not_follow(dockerd: Dockerd, alice: Alice) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    place.clients = alice
    dockerd.refuses = OFFICE

    done = await place.passed()

    assert done.outcome is not None
    assert done.outcome.rolled_back
    assert alice.docker_ran_with == []


async def test_clients_are_left_alone_where_docker_goes_down_with_the_system(dockerd: Dockerd, alice: Alice) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    place.clients = alice

    def down() -> None:
        dockerd.system_goes_down = True

    dockerd.refuses, dockerd.before_it_starts = OFFICE, down

    done = await place.passed(Quiet())

    assert done.outcome is not None
    assert done.outcome.goes_down
    assert not done.is_failed
    assert alice.docker_ran_with == []


class Moving(Place):
    """Looked at again, it is elsewhere."""

    def __init__(self, dockerd: Dockerd, *snapshots: Snapshot) -> None:
        super().__init__(snapshots[-1], dockerd, office="ok", direct="ok")
        self._before = list(snapshots[:-1])

    async def see(self) -> Snapshot:
        return self._before.pop(0) if self._before else self.snapshot


async def test_what_was_seen_of_a_network_that_is_left_meanwhile_is_not_carried_out(dockerd: Dockerd) -> None:
    place = Moving(dockerd, at("10.10.0.1"), at("10.20.0.1"))

    done = await place.passed()

    assert isinstance(done.seen, Planned)
    assert done.seen.upstream.name == "direct"
    assert dockerd.files() == {}
    assert dockerd.starts == 1


async def test_dns_that_comes_behind_an_upstream_that_has_answered_is_no_reason_to_ask_again(dockerd: Dockerd) -> None:
    with_dns = msgspec.structs.replace(at("10.10.0.1"), dns_servers=("10.10.0.53",))
    place = Moving(dockerd, at("10.10.0.1"), with_dns)

    done = await place.passed()

    assert place.asked == ["office"]
    assert dockerd.starts == 2
    assert done.seen.snapshot == with_dns


class Stirred(Alone):
    """The network says something while the upstreams are asked, and then no more."""

    is_hasty = True

    def __init__(self) -> None:
        super().__init__()
        self.news = 1

    async def interrupted(self) -> Reason:
        if not self.news:
            await asyncio.Event().wait()
        self.news -= 1
        return Reason.NETWORK


class Quiet(Stirred):
    """Nothing comes in between."""

    def __init__(self) -> None:
        super().__init__()
        self.news = 0


class Slow(Place):
    """The answers take so long that the news come first."""

    async def verdicts(
        self, upstreams: Sequence[Upstream], is_enough: Callable[[Mapping[str, Verdict]], bool]
    ) -> Mapping[str, Verdict]:
        await asyncio.sleep(0.2)
        return await super().verdicts(upstreams, is_enough)


@pytest.mark.parametrize(("moves", "asked"), [(False, ["office"]), (True, ["direct"])])
async def test_a_look_begins_anew_where_the_network_is_another_and_only_there(
    dockerd: Dockerd, moves: bool, asked: list[str]
) -> None:
    place = Slow(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    looks: list[Snapshot] = []

    async def see() -> Snapshot:
        looks.append(place.snapshot)
        if moves and len(looks) == 2:
            place.snapshot = at("10.20.0.1")
        return place.snapshot

    place.see = see  # type: ignore[method-assign]

    await reconcile(place.policy, place, dockerd.record(), choosing=place.choosing(), maker=Stirred())

    assert [name for name in place.asked if name in ("office", "direct")][: len(asked)] == asked
    assert ("office" in place.asked) is not moves


async def test_news_that_a_look_which_ends_had_taken_is_not_lost(dockerd: Dockerd) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    await place.passed()  # from here on there is nothing to do at the office
    looked_at_news, verdicts, sees = asyncio.Event(), place.verdicts, itertools.count(1)

    async def see() -> Snapshot:
        if next(sees) == 2:  # because of the news; the look ends meanwhile
            place.snapshot = at("10.20.0.1")
            looked_at_news.set()
            await asyncio.Event().wait()
        return place.snapshot

    async def after_the_news(
        upstreams: Sequence[Upstream], is_enough: Callable[[Mapping[str, Verdict]], bool]
    ) -> Mapping[str, Verdict]:
        await asyncio.wait_for(looked_at_news.wait(), timeout=20)
        return await verdicts(upstreams, is_enough)

    place.see = see  # type: ignore[method-assign]
    place.verdicts = after_the_news  # type: ignore[method-assign]

    done = await place.passed(Stirred())

    assert done.seen.snapshot == at("10.20.0.1")


class Nameless(Place):
    """Without a DNS server its upstreams are asked in vain, and for ever."""

    was_asked = False

    async def see(self) -> Snapshot:
        before, self.snapshot = self.snapshot, msgspec.structs.replace(self.snapshot, dns_servers=("10.10.0.53",))
        return before

    async def verdicts(
        self, upstreams: Sequence[Upstream], is_enough: Callable[[Mapping[str, Verdict]], bool]
    ) -> Mapping[str, Verdict]:
        if not self.was_asked:
            self.was_asked = True
            await asyncio.Event().wait()
        return await super().verdicts(upstreams, is_enough)


async def test_dns_that_comes_behind_the_address_is_not_missed_by_who_waits_for_an_answer(dockerd: Dockerd) -> None:
    here = msgspec.structs.replace(at("10.10.0.1"), dns_servers=("127.0.0.1",))
    place = Nameless(here, dockerd, office="ok", direct="ok")

    async with asyncio.timeout(10):
        done = await reconcile(place.policy, place, dockerd.record(), choosing=place.choosing(), maker=Quiet())

    assert done.seen.snapshot.dns_servers == ("10.10.0.53",)
    assert place.asked == ["office"]


class ItsOwnServer(Place):
    """Knows no DNS server but itself, as with dnsmasq or unbound, and its upstreams take a moment to answer."""

    looks_for_dns = 0

    def dns_elsewhere(self) -> tuple[str, ...]:
        self.looks_for_dns += 1
        return ()

    async def verdicts(
        self, upstreams: Sequence[Upstream], is_enough: Callable[[Mapping[str, Verdict]], bool]
    ) -> Mapping[str, Verdict]:
        await asyncio.sleep(0.2)
        return await super().verdicts(upstreams, is_enough)


class Settled(Patiently):
    """Arrived long ago."""

    def is_patient(self, _: Snapshot) -> bool:
        return False


async def test_who_is_its_own_dns_server_is_watched_for_another_just_after_an_arrival_and_not_later(
    dockerd: Dockerd,
) -> None:
    here = msgspec.structs.replace(at("10.10.0.1"), dns_servers=("127.0.0.1",))
    place = ItsOwnServer(here, dockerd, office="ok", direct="ok")
    memory = Memory(dockerd.agent_state)
    memory.use(place.policy, place)

    await reconcile(place.policy, place, dockerd.record(), choosing=Settled(memory), maker=Quiet())
    assert place.looks_for_dns == 0

    memory.note_offline()
    memory.ask_anew()
    await reconcile(place.policy, place, dockerd.record(), choosing=memory, maker=Quiet())
    assert place.looks_for_dns > 0
    assert place.asked == ["office", "office"]


FAILS = Condition(Code.REGISTRY_UNREACHABLE, "office does not lead to 10.1.2.3", "no_proxy")


@pytest.mark.parametrize(
    ("at_gateway", "outcomes", "asked"),
    [
        pytest.param("10.10.0.1", {"office": "ok", "direct": "ok"}, ["office"], id="where-it-is-known"),
        pytest.param("10.10.0.1", {"office": "refused", "direct": "ok"}, [], id="direct"),
        pytest.param("10.99.0.1", {"office": "ok", "direct": "ok"}, [], id="a-guest-network"),
    ],
)
async def test_private_registries_are_asked_for_only_through_a_working_proxy_where_the_policy_knows_the_network(
    dockerd: Dockerd, at_gateway: str, outcomes: dict[str, str], asked: list[str]
) -> None:
    place = Place(at(at_gateway), dockerd, **outcomes)
    place.policy = policy(POLICY + '[[network]]\nname = "guest"\nuse = ["office", "direct"]\n')
    place.fails_beside = (FAILS,)

    done = await place.passed()

    assert place.asked_beside == asked
    assert (FAILS in done.seen.conditions) is bool(asked)
    assert not done.is_failed
