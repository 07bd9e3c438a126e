"""A pass in a network whose upstream is a PAC: real files and a real transaction; what the PAC says is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.decide.pac import PacSeen
from agent.one_pass.memory import Memory
from agent.one_pass.overrides import Overrides
from agent.one_pass.pac import LocalPacs, PacMemory
from agent.one_pass.pac_source import HostPacs
from agent.one_pass.reconcile import reconcile
from agent.one_pass.seen import Pass, Planned, Undecided
from agent.probe.dial import HERE
from agent.service.requests import Command
from agent.system.state_file import StateFile
from agent.values.pac import PacAnswer, PacFault, PacQuestion, PacScript, read_answer
from agent.values.paths import Paths
from agent.values.policy import PacUrl, Policy, RegistryUrl
from agent.values.reason import Reason
from agent.values.settings import DIRECT, settings
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome

from .dockerd import Dockerd
from .servers import HOST
from .test_pac_fetch import Wpad, answer
from .test_reconcile import ALONE, Place, Settled, at, policy
from .test_reconcile import POLICY as OF_A_PROXY
from .test_service import Laptop

HUB, OWN = map(RegistryUrl.parse, ("https://registry-1.docker.io", "https://registry.corp.example"))
POLICY = """
[upstream.corp]
pac = "http://wpad.corp.example/wpad.dat"
[[network]]
name = "office"
match.gateway = ["10.10.0.1", "10.10.0.2"]
use = ["corp", "direct"]
[[network]]
name = "anywhere"
use = ["corp", "direct"]
"""
OFFICE, BRANCH, HOME = at("10.10.0.1"), at("10.10.0.2"), at("192.168.0.1")
DOWN = PacFault(Outcome.TIMEOUT, "connecting to wpad.corp.example:80")
A, B = "corp → a:8080", "corp → b:8080"


class Server:
    """A PAC server, and what its script says: for every registry the text, or by the registry's host."""

    def __init__(self, text: str | PacFault, **by_host: str) -> None:
        self.text = text
        self.by_host = by_host
        self.fetched = 0
        self.evaluated = 0
        self.answers = asyncio.Event()  # cleared: it is slow
        self.answers.set()
        self.my_ips: list[str] = []
        self.left = 0
        self.is_broken = False
        self.silent_for = ""  # a host
        self.marked = ""  # what a file looks like
        self.is_read_before = False  # before it answers
        self.asked: Callable[[], object] = lambda: None

    def mark(self, pac: PacUrl) -> object:
        return self.marked

    async def fetch(self, pac: str, earlier: PacScript | None, search: Sequence[str]) -> PacScript | PacFault:
        self.fetched += 1
        self.asked()
        before = self.text
        await asyncio.wait_for(self.answers.wait(), 30)
        text = before if self.is_read_before else self.text
        return text if isinstance(text, PacFault) else PacScript(text, pac, 1.7e9 + self.fetched)

    async def ask(
        self, script: PacScript, my_ip: str, questions: Sequence[PacQuestion]
    ) -> Sequence[PacAnswer | PacFault]:
        self.evaluated += 1
        self.my_ips.append(my_ip)
        if script.text == "broken" or self.is_broken:
            return [PacFault(Outcome.ERROR, "evaluating the PAC file: not JavaScript")] * len(questions)
        return [
            PacFault(Outcome.TIMEOUT, "evaluating the PAC file: it hangs")
            if one.host == self.silent_for
            else read_answer(self.by_host.get(one.host.split(".")[0], script.text))
            for one in questions
        ]

    async def leave(self) -> None:
        self.left += 1


class Ticks:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def boottime_s(self) -> float:
        return self.now

    def monotonic_s(self) -> float:
        return self.now


class Office(Place):
    """Its agent may be started anew, which forgets all but what is on disk."""

    def __init__(self, snapshot: Snapshot, dockerd: Dockerd, server: Server, **outcomes: str) -> None:
        super().__init__(snapshot, dockerd, **outcomes)
        self.becomes(**{A: "ok", B: "ok", "corp": "error", "direct": "ok", **outcomes})
        self.server, self.clock = server, Ticks()
        self.policy = policy(POLICY)
        self.registries: tuple[RegistryUrl, ...] = (HUB,)
        self.told = 0
        self.is_told = asyncio.Event()
        self.start()

    def start(self, *, is_service: bool = False) -> None:
        self.memory = PacMemory()
        self.use(self.policy, is_service=is_service)

    def use(self, policy: Policy, *, is_service: bool = False) -> None:
        self.policy = policy
        self.local = LocalPacs(
            policy,
            self.daemon.root / "state",
            self.server,
            registries=lambda: self.registries,
            told=self._tell if is_service else None,
            memory=self.memory,
            clock=self.clock,
        )
        self.pacs = self.local

    def _tell(self) -> None:
        self.told += 1
        self.is_told.set()

    async def chosen(self) -> str | None:
        seen = (await self.passed()).seen
        return seen.upstream.name if isinstance(seen, Planned) else None

    async def said(self) -> PacSeen:
        return one_pac(await self.passed())


def one_pac(done: Pass) -> PacSeen:
    assert isinstance(done.seen, Planned | Undecided)
    (found,) = done.seen.pacs
    return found


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    return Dockerd(tmp_path)


async def test_docker_is_given_what_the_pac_names(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080; DIRECT"))

    assert await office.chosen() == A
    assert dockerd.runs_with == settings("http://a:8080", "http://a:8080", "localhost,127.0.0.0/8,::1")
    assert office.server.my_ips == ["10.10.0.7"]


@pytest.mark.parametrize(
    ("answer", "outcomes", "chosen"),
    [
        ("PROXY a:8080; PROXY b:8080", {A: "refused"}, B),
        ("PROXY a:8080; PROXY b:8080", {A: "refused", B: "refused"}, "direct"),
        ("PROXY a:8080; DIRECT; PROXY b:8080", {A: "refused"}, "direct"),
        ("DIRECT", {}, "direct"),
        ("PROXY null:1", {}, "direct"),
    ],
)
async def test_the_first_that_works_is_chosen(
    dockerd: Dockerd, answer: str, outcomes: Mapping[str, str], chosen: str
) -> None:
    assert await Office(OFFICE, dockerd, Server(answer), **{"corp": "refused", **outcomes}).chosen() == chosen


async def test_while_nothing_changes_nothing_is_asked(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"))
    await office.passed()
    before = {path: path.stat().st_mtime_ns for path in (dockerd.root / "state").rglob("*")}

    for _ in range(5):
        office.clock.now += 700.0
        await office.passed()

    assert (office.server.fetched, office.server.evaluated) == (1, 1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert office.local.next_at == 1000.0 + 3600.0
    office.clock.now = 1000.0 + 3600.0
    await office.passed()
    assert (office.server.fetched, office.server.evaluated) == (2, 2)


async def test_a_file_that_is_watched_is_asked_again_as_soon_as_it_has_changed(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"))
    await office.said()
    office.server.text, office.server.marked = "PROXY b:8080", "changed"
    await office.said()
    await office.said()

    assert office.server.fetched == 2
    assert dockerd.runs_with == settings("http://b:8080", "http://b:8080", "localhost,127.0.0.0/8,::1")


def test_of_files_those_in_the_policys_folder_are_watched(tmp_path: Path) -> None:
    """Elsewhere, or behind a link, one may lie on a mount that hangs."""
    paths = Paths(tmp_path)
    folder = paths.policy.parent
    folder.mkdir(parents=True)
    (folder / "a corp.pac").write_text(SCRIPT)
    (folder / "link.pac").symlink_to(folder / "a corp.pac")
    (folder / "other").mkdir()
    (folder / "other" / "corp.pac").write_text(SCRIPT)
    source = HostPacs(paths, policy(POLICY), HERE)
    there, *others = (
        PacUrl.parse(f"file:///etc/docker-proxy-agent/{name}")
        for name in ("a%20corp.pac", "link.pac", "other/corp.pac")
    )

    before = source.mark(there)
    (folder / "a corp.pac").write_text(f"// changed\n{SCRIPT}")

    assert before is not None
    assert source.mark(there) not in (before, None)
    assert [source.mark(one) for one in (*others, PacUrl.parse("http://wpad.corp.example/"), PacUrl(PacUrl.AUTO))] == [
        None
    ] * 4


async def test_it_is_asked_again_in_another_network_and_when_a_person_asks(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"))
    await office.passed()

    office.snapshot = BRANCH
    await office.passed()
    office.pacs.ask_anew()
    await office.passed()
    office.registries = (HUB, OWN)
    await office.passed()

    assert office.server.fetched == 4


class Agent(Laptop):
    """Its policy has a PAC."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.server, self.pacs = Server("PROXY a:8080"), PacMemory()
        self.place.becomes(**{A: "ok", B: "ok", "corp": "error"})

    def world(self, _paths: Paths, policy: Policy) -> Place:
        place = super().world(_paths, policy)
        place.pacs = LocalPacs(
            policy,
            self.paths.state,
            self.server,
            registries=lambda: (HUB,),
            told=self.hand.request,
            memory=self.pacs,
        )
        return place


@pytest.mark.parametrize("command", [Command.RELOAD, Command.APPLY])
async def test_whoever_has_a_pac_read_again_is_told_what_came_of_it(tmp_path: Path, command: Command) -> None:
    """However long it takes: he was told what was chosen by the one of before, and the pass that read it came later."""
    laptop = Agent(tmp_path)
    laptop.policy('[docker]\nmin_interval = "0s"\n' + POLICY)
    async with laptop.running():
        assert laptop.status()["upstream"]["name"] == A
        laptop.server.text = "PROXY b:8080"
        laptop.server.answers.clear()
        asyncio.get_running_loop().call_later(1.0, laptop.server.answers.set)

        answer = await laptop.asks(command)

        assert answer.facts["upstream"]["name"] == B
        assert laptop.server.fetched == 2


async def test_whoever_has_a_pac_read_again_is_not_told_of_a_reading_that_began_before(tmp_path: Path) -> None:
    laptop = Agent(tmp_path)
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        server = laptop.server
        server.answers.clear()
        server.text, server.marked, server.is_read_before = "PROXY a:8080; PROXY b:8080", "changed", True
        await hand.wake(Reason.FILES)
        server.text = "PROXY b:8080"
        asyncio.get_running_loop().call_later(0.5, server.answers.set)

        answer = await laptop.asks(Command.RELOAD)

        assert answer.facts["upstream"]["name"] == B


async def test_a_pause_waits_for_no_pac(tmp_path: Path) -> None:
    laptop = Agent(tmp_path)
    laptop.policy(POLICY)
    async with laptop.running():
        laptop.server.answers.clear()

        answer = await laptop.asks(Command.PAUSE)

        assert answer.exit == 0
        assert not laptop.server.answers.is_set()
        laptop.server.answers.set()


@pytest.mark.waits
async def test_where_no_match_holds_nobody_is_asked(dockerd: Dockerd) -> None:
    office = Office(HOME, dockerd, Server("PROXY a:8080"))

    assert await office.chosen() == "direct"
    assert office.server.fetched == 0
    assert office.local.next_at is None


async def test_a_policy_without_any_ends_what_evaluates_them(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"), office="ok")
    await office.passed()
    before = office.server.left

    office.use(policy(OF_A_PROXY))
    await office.passed()

    assert (before, office.server.left) == (0, 1)
    assert office.memory.pacs == {}


async def test_offline_nothing_is_due(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server(DOWN), corp="refused")
    await office.passed()
    assert office.local.next_at is not None

    office.snapshot = Snapshot()
    await office.passed()

    assert office.local.next_at is None


async def test_another_script_is_another_choice_in_the_same_network(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"))
    assert await office.chosen() == A

    office.server.text = "PROXY b:8080"
    office.clock.now += 3600.0

    assert await office.chosen() == B
    assert dockerd.runs_with == settings("http://b:8080", "http://b:8080", "localhost,127.0.0.0/8,::1")


async def test_the_copy_of_yesterday_serves_while_the_server_is_down(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"))
    fetched_at = (await office.said()).fetched_at
    office.server.text = DOWN
    office.start()

    seen = await office.said()

    assert await office.chosen() == A
    assert (seen.fetched_at, seen.problem) == (fetched_at, DOWN.evidence)
    assert office.local.next_at is not None  # it is asked again soon
    assert office.local.next_at < office.clock.now + 5
    office.server.text = "PROXY b:8080"
    office.clock.now = office.local.next_at
    assert await office.chosen() == B
    assert (await office.said()).problem == ""


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        pytest.param(BRANCH, DOWN, id="a copy of another place"),
        pytest.param(OFFICE, PacFault(Outcome.PORTAL, "a page"), id="somebody else answers"),
    ],
)
async def test_no_copy_serves(dockerd: Dockerd, place: Snapshot, fault: PacFault) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"))
    await office.passed()
    office.server.text, office.snapshot = fault, place
    office.becomes(corp="refused")
    office.start()

    assert await office.chosen() == "direct"
    assert (await office.said()).said.fault == fault


PAGE = PacFault(Outcome.PORTAL, "a page")


@pytest.mark.parametrize(("text", "is_broken"), [(DOWN, False), (PAGE, False), ("PROXY a:8080", True)])
async def test_what_it_has_said_here_stands_while_it_says_nothing(
    dockerd: Dockerd, text: str | PacFault, is_broken: bool
) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"), corp="refused")
    assert await office.chosen() == A

    office.server.text, office.server.is_broken = text, is_broken
    office.clock.now += 3600.0

    assert await office.chosen() == A
    assert (await office.said()).problem
    assert office.local.next_at is not None
    assert office.local.next_at < office.clock.now + 10  # it is asked again soon


async def test_a_script_that_spreads_its_load_moves_nobody_whose_proxy_works(dockerd: Dockerd) -> None:
    server = Server("Math.random()")
    server.by_host = {"registry-1": "PROXY a:8080; PROXY b:8080"}
    office = Office(OFFICE, dockerd, server)
    assert await office.chosen() == A

    for _ in range(3):
        server.by_host["registry-1"] = "PROXY b:8080; PROXY a:8080"
        office.clock.now += 3600.0
        assert await office.chosen() == A
    office.start()  # the agent's next life begins with the copy of this place
    assert await office.chosen() == A

    server.text = "another script"
    office.clock.now += 3600.0
    assert await office.chosen() == B


async def test_other_dns_in_the_same_place_takes_nothing_back(dockerd: Dockerd) -> None:
    """Also if nothing could be kept, and its server takes its time."""
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"), corp="refused")
    office.start(is_service=True)
    assert await office.chosen() == A
    for path in ("pac", "pac.json"):
        (dockerd.root / "state" / path).rename(dockerd.root / path)
    office.memory.pacs["corp"].kept = None
    office.server.answers.clear()

    office.snapshot = msgspec.structs.replace(OFFICE, dns_servers=("10.10.0.53",))

    assert await office.chosen() == A
    assert office.server.fetched == 2


async def test_a_new_script_that_cannot_be_evaluated_takes_nothing_back_and_is_no_copy(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"), corp="refused")
    await office.passed()
    office.server.text = "broken"
    office.clock.now += 3600.0
    assert await office.chosen() == A
    assert (await office.said()).problem == "evaluating the PAC file: not JavaScript"

    for text in ("broken", DOWN):
        office.server.text = text
        office.start()
        assert await office.chosen() == A

    office.server.text = "PROXY b:8080"
    office.clock.now += 5.0
    assert await office.chosen() == B
    assert (await office.said()).problem == ""


async def test_one_registry_that_it_says_nothing_for_now_goes_as_before(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080", registry="PROXY b:8080"), corp="refused")
    office.registries = (OWN, HUB)
    assert await office.chosen() == B

    office.server.silent_for = "registry.corp.example"
    office.clock.now += 3600.0

    assert await office.chosen() == B
    assert (await office.said()).problem == "evaluating the PAC file: it hangs"


@pytest.mark.waits
async def test_after_a_restart_and_elsewhere_it_is_known_what_docker_runs_with(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080", registry="DIRECT"))
    office.registries = (HUB, OWN)
    await office.passed()
    assert dockerd.runs_with == settings(
        "http://a:8080", "http://a:8080", "localhost,127.0.0.0/8,::1,registry.corp.example"
    )

    office.start()
    office.snapshot = Snapshot()

    assert (await office.passed()).seen.in_docker == A
    office.snapshot = HOME
    await office.passed()
    assert dockerd.runs_with == DIRECT


async def test_a_server_that_is_slow_is_not_waited_for_by_the_service(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"), corp="refused")
    office.start(is_service=True)
    office.server.answers.clear()
    assert await office.chosen() == "direct"

    office.server.answers.set()
    async with asyncio.timeout(10):
        await office.is_told.wait()

    assert await office.chosen() == A
    assert (office.told, office.server.fetched) == (1, 1)


@pytest.mark.parametrize(("text", "chosen"), [("PROXY a:8080", A), (DOWN, "direct")])
async def test_in_a_network_that_has_not_changed_the_first_answer_is_waited_for(
    dockerd: Dockerd, text: str | PacFault, chosen: str
) -> None:
    """Another policy, or a pin: Docker goes nowhere else meanwhile, as it would by a restart there and one back."""
    office = Office(OFFICE, dockerd, Server(text), corp="refused")
    office.start(is_service=True)
    office.server.answers.clear()
    memory = Memory(dockerd.root / "state")
    memory.use(office.policy, office)
    looking = asyncio.create_task(
        reconcile(office.policy, office, dockerd.record(), choosing=Settled(memory), maker=ALONE)
    )
    done, _ = await asyncio.wait({looking}, timeout=1)
    assert not done

    office.server.answers.set()
    seen = (await asyncio.wait_for(looking, 30)).seen

    assert isinstance(seen, Planned)
    assert seen.upstream.name == chosen
    assert office.told == 0


@pytest.mark.parametrize(("text", "again_s"), [("PROXY a:8080", 3600.0), (DOWN, 0.6)])
async def test_one_that_is_slow_and_says_the_same_is_asked_again_in_time(
    dockerd: Dockerd, text: str | PacFault, again_s: float
) -> None:
    """No pass follows such an answer, so the timer must be set before it comes."""
    office = Office(OFFICE, dockerd, Server(text), corp="refused")
    office.start(is_service=True)
    await office.passed()
    office.clock.now = at_first = office.local.next_at or 0.0
    office.server.answers.clear()
    await office.passed()
    assert office.server.fetched == 2

    next_at, asking = office.local.next_at or 0.0, office.memory.pacs["corp"].task
    assert asking is not None
    office.server.answers.set()
    await asyncio.wait({asking}, timeout=30)

    assert office.memory.pacs["corp"].task is None
    assert next_at == at_first + again_s
    assert office.told == 0
    office.clock.now = next_at
    await office.passed()
    assert office.server.fetched == 3


async def test_one_that_answers_at_once_is_no_reason_for_another_pass(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"))
    office.start(is_service=True)

    assert await office.chosen() == A
    assert office.told == 0


@pytest.mark.parametrize(
    ("place", "outcomes", "chosen"),
    [
        (OFFICE, {A: "ok", B: "ok"}, A),
        (OFFICE, {A: "refused", B: "ok"}, B),
        (OFFICE, {A: "refused", B: "refused"}, A),
    ],
)
async def test_a_pinned_pac_is_the_first_that_works_of_what_it_names(
    dockerd: Dockerd, place: Snapshot, outcomes: Mapping[str, str], chosen: str
) -> None:
    office = Office(place, dockerd, Server("PROXY a:8080; PROXY b:8080"), **outcomes)
    office.use(policy(POLICY.replace('use = ["corp", "direct"]', 'use = ["direct"]')))
    Overrides(dockerd.root / "state").pin("corp", None)

    assert await office.chosen() == chosen


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [({}, "pinned"), ({A: "refused"}, "pinned"), ({A: "refused", B: "refused"}, "pinned-but-failing")],
)
async def test_whether_a_pinned_pac_works_is_said_of_what_it_names(
    dockerd: Dockerd, outcomes: Mapping[str, str], code: str
) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080; PROXY b:8080"), **outcomes)
    Overrides(dockerd.root / "state").pin("corp", None)
    choosing = office.choosing()

    await reconcile(office.policy, office, dockerd.record(), choosing=choosing, maker=ALONE)

    assert [one.code.value for one in choosing.conditions] == [code]


async def test_a_pinned_pac_that_says_nothing_changes_nothing(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server(DOWN), corp="refused")
    Overrides(dockerd.root / "state").pin("corp", None)

    assert await office.chosen() is None
    assert dockerd.files() == {}


async def test_what_is_another_by_now_has_no_history(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080; PROXY b:8080"))
    memory = Memory(dockerd.root / "state")
    memory.use(office.policy, office)
    first = await office.local.unfold(office.policy, office.policy.networks[0], OFFICE, pinned=None)
    memory.know(first)
    _, choice = await memory.choose(first.networks[0], OFFICE, None)
    assert choice.upstream == A

    office.server.text = "PROXY b:8080"
    office.pacs.ask_anew()
    office.asked.clear()
    second = await office.local.unfold(office.policy, office.policy.networks[0], OFFICE, pinned=None)
    memory.know(second)
    _, choice = await memory.choose(second.networks[0], OFFICE, None)

    assert choice.upstream == B
    assert office.asked[0] == B
    assert A not in office.asked  # it is none of this network's any more
    assert A in second.upstreams  # but Docker's settings are still known


async def test_copies_are_bounded(dockerd: Dockerd) -> None:
    office = Office(OFFICE, dockerd, Server("PROXY a:8080"))
    for number in range(20):
        office.snapshot = Snapshot((at(f"10.10.0.{1 + number % 2}").interfaces[0],), dns_servers=(f"10.0.0.{number}",))
        await office.passed()
    assert len(list((dockerd.root / "state" / "pac").iterdir())) == 2  # DNS is no other place

    for number in range(20):
        office.use(policy(POLICY.replace("wpad.dat", f"{number}.dat")))
        await office.passed()

    assert len(list((dockerd.root / "state" / "pac").iterdir())) == 16
    assert len(StateFile(dockerd.root / "state" / "pac.json", list[object], 1).load() or []) == 16
    assert {path.stat().st_mode & 0o777 for path in (dockerd.root / "state" / "pac").iterdir()} == {0o600}


SCRIPT = """
function FindProxyForURL(url, host) {
  if (dnsDomainIs(host, ".corp.example")) return "DIRECT";
  if (isInNet(myIpAddress(), "10.10.0.0", "255.255.0.0")) return "PROXY a:8080; DIRECT";
  return "PROXY elsewhere:8080";
}
"""


async def test_a_real_server_and_a_real_evaluator(dockerd: Dockerd, tmp_path: Path) -> None:
    async with Wpad({"/wpad.dat?site=secret": answer(SCRIPT.encode())}) as wpad:
        office = Office(OFFICE, dockerd, Server(DOWN))
        text = POLICY.replace("http://wpad.corp.example/wpad.dat", f"http://{HOST}:{wpad.port}/wpad.dat?site=secret")
        source = HostPacs(Paths(tmp_path), policy(text), HERE)
        office.local = LocalPacs(
            policy(text), dockerd.root / "state", source, registries=lambda: (HUB, OWN), clock=office.clock
        )
        office.policy, office.pacs = policy(text), office.local

        seen = await office.said()

    excepted = "localhost,127.0.0.0/8,::1,registry.corp.example"
    assert dockerd.runs_with == settings("http://a:8080", "http://a:8080", excepted)
    assert (seen.url, seen.problem) == (f"http://{HOST}:{wpad.port}/wpad.dat", "")
    assert office.local.hosts == {HOST, "a"}
