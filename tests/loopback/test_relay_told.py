"""What the relay is told before anything is chosen, as after a boot, and while the agent is paused."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.audit.record import Record
from agent.docker.engine import TIMEOUT_S
from agent.docker.ports import AtLast, nothing
from agent.one_pass.at_rest import STILL_AT_LAST_S
from agent.one_pass.look import look
from agent.one_pass.no_relay import AsIfItWorked
from agent.one_pass.pac import NoPacs
from agent.one_pass.patiently import only_looking
from agent.service.requests import Command
from agent.targets.container import Carried
from agent.values.dockerd import Reality, UnitState
from agent.values.listening import Backlog
from agent.values.policy import Network, Policy
from agent.values.policy_text import parse
from agent.values.reason import Reason
from agent.values.relay import RelayState
from agent.values.settings import DIRECT, Settings
from agent.values.snapshot import Snapshot
from tests.waiting import until_awaited

from .dockerd import Dockerd
from .test_reconcile import at
from .test_relay_kept import HOME, OFF, RELAY, WITH_RELAY, Relayed, bridge, names, says, told_of
from .test_service import Hand

EXCLUDING = 'url = "http://office:3128"\nno_proxy = [".corp.example", "registry.lan"]\n'
ABROAD = at("10.30.0.1")
POLICY = WITH_RELAY.replace('url = "http://office:3128"\n', EXCLUDING) + '[no_proxy]\nalways = ["nas.lan"]\n'


class AfterBoot(Relayed):
    """Nobody has told the relay anything since the boot, and Docker has its address."""

    # For what a look at Docker takes, and a restart, where a test wants it.
    waited: Callable[[], bool] = staticmethod(lambda: True)
    restarted_after: Callable[[], bool] = staticmethod(lambda: True)
    recovered_after: Callable[[], bool] = staticmethod(lambda: True)
    listed_after: Callable[[], bool] = staticmethod(lambda: True)

    def dockerd_of(self, root: Path) -> Dockerd:
        laptop = self

        class Slow(Dockerd):
            async def reality(self, *desired: Settings) -> Reality:
                await until_awaited(TIMEOUT_S, laptop.waited, "the relay is told")
                return await super().reality(*desired)

            async def restart(self, at_last: AtLast = nothing) -> UnitState:
                await until_awaited(20, laptop.restarted_after, "the relay is told")
                return await super().restart(at_last)

            async def recover(self, record: Record, *, may_restart: bool) -> bool:
                await until_awaited(20, laptop.recovered_after, "the relay is told")
                return await super().recover(record, may_restart=may_restart)

            async def carried(self, *, anew: bool = False) -> tuple[Carried, ...] | None:
                await until_awaited(TIMEOUT_S, laptop.listed_after, "the relay is told")
                return await super().carried(anew=anew)

        return Slow(root, self.paths.state)

    def boot(self) -> None:
        self.restarted()
        self.paths.relay_orders.unlink()


class Told(Hand):
    """Of what happens in the middle of a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.news: asyncio.Queue[Reason] = asyncio.Queue()

    async def interrupted(self) -> Reason:
        return await self.news.get()


def with_password(laptop: AfterBoot, password: str) -> Path:
    secret = laptop.paths.policy.parent / "office.password"
    secret.write_text(password)
    secret.chmod(0o600)
    named = f'username = "alice"\npassword_file = "/{secret.relative_to(laptop.paths.root)}"\n'
    laptop.policy(POLICY.replace("[[network]]", f"{named}\n[[network]]", 1))
    return secret


@pytest.fixture
def laptop(tmp_path: Path) -> AfterBoot:
    return AfterBoot(tmp_path)


@pytest.mark.parametrize(
    ("place", "upstreams", "state"),
    [
        pytest.param(at("10.10.0.1"), {"office": "refused", "direct": "refused"}, "waiting", id="upstreams-down"),
        pytest.param(at("10.10.0.1"), {"office": "refused", "direct": "portal"}, "waiting", id="portal"),
        pytest.param(Snapshot(), {}, "offline", id="offline"),
    ],
)
async def test_after_a_boot_where_nothing_works_what_needs_no_upstream_goes(
    laptop: AfterBoot, place: Snapshot, upstreams: dict[str, str], state: str
) -> None:
    laptop.policy(POLICY)
    async with laptop.running():
        assert laptop.dockerd.runs_with == RELAY

    laptop.boot()
    laptop.place.snapshot = place
    laptop.place.becomes(**upstreams)
    async with laptop.running() as hand:
        await hand.wake()
        told = laptop.orders
        assert (told.upstreams, laptop.status()["state"]) == ((), state)
        assert laptop.dockerd.runs_with == RELAY
        of_this_place = () if place == Snapshot() else (".corp.example", "registry.lan")
        assert told.no_proxy == ("nas.lan", *of_this_place)
        await hand.wake()
        assert laptop.orders == told

        laptop.place.snapshot = at("10.10.0.1")
        laptop.place.becomes(office="ok", direct="ok")
        await laptop.asks(Command.RELOAD)
        assert names(laptop.orders) == ["office", "direct"]
        assert laptop.orders.no_proxy == ("nas.lan",)


class SlowPacs(NoPacs):
    """They answer once it holds."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        self._holds = holds

    async def unfold(
        self, policy: Policy, network: Network, snapshot: Snapshot, *, pinned: str | None, waits: bool = False
    ) -> Policy:
        await until_awaited(20, self._holds, "the relay is told")
        return await super().unfold(policy, network, snapshot, pinned=pinned, waits=waits)


@pytest.mark.parametrize("slow", ["pac", "docker"])
async def test_it_is_told_that_before_what_is_slow(laptop: AfterBoot, slow: str) -> None:
    laptop.policy(POLICY)
    async with laptop.running():
        pass
    laptop.boot()
    if slow == "pac":
        laptop.place.pacs = SlowPacs(laptop.paths.relay_orders.exists)
    else:
        laptop.waited = laptop.paths.relay_orders.exists
    async with laptop.running():
        assert names(laptop.orders) == ["office", "direct"]


@pytest.mark.parametrize("slow", ["pac", "docker", "restart", "relay"])
async def test_it_is_told_of_a_new_network_whatever_a_pass_waits_for(laptop: AfterBoot, slow: str) -> None:
    """Who comes by it is let in after seconds, and each of these may take longer."""
    laptop.there, laptop.listed = (bridge(3, "docker0"),), {"docker0": False}
    laptop.policy(OFF if slow == "restart" else POLICY)
    async with laptop.running() as hand:
        await hand.wake()
        there, listed = (*laptop.there, bridge(5, "br-back")), {"docker0": False, "br-back": True}

        def is_told() -> bool:
            if laptop.there != there:  # it is made while the pass waits
                laptop.there, laptop.listed = there, listed
                hand.bridges.set()
            return laptop.paths.relay_orders.exists() and laptop.orders.internal == ("br-back",)

        match slow:
            case "pac":
                laptop.place.pacs = SlowPacs(is_told)
            case "docker":
                laptop.waited = is_told
            case "restart":
                laptop.policy(POLICY)
                laptop.restarted_after = is_told
            case "relay":
                laptop.units.goes_on_when = is_told
                laptop.bridge = "10.99.0.1"
        await hand.wake(Reason.FILES)
        assert told_of(laptop.orders) == ("3 docker0", "5 br-back")
        assert laptop.dockerd.runs_with == RELAY


async def test_a_docker_that_is_waited_for_keeps_no_switch_waiting(laptop: AfterBoot) -> None:
    """It starts, stops or hangs. What may still come here is asked for again meanwhile."""
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        was = laptop.dockerd.files(), laptop.dockerd.starts
        laptop.place.snapshot = HOME
        laptop.waited = lambda: names(laptop.orders) == ["direct"]
        await hand.wake()
        assert laptop.status()["network"]["name"] == "elsewhere"

        laptop.place.snapshot = at("10.10.0.1")
        laptop.place.becomes(office="no-route ok")
        laptop.waited = lambda: names(laptop.orders) == ["office", "direct"]
        await hand.wake()
        assert names(laptop.orders) == ["office", "direct"]
        assert (laptop.dockerd.files(), laptop.dockerd.starts) == was


async def test_each_move_is_followed_while_docker_is_waited_for(laptop: AfterBoot) -> None:
    laptop.policy(POLICY)
    laptop.hand = told = Told()
    async with laptop.running() as hand:
        is_found = False
        laptop.waited = lambda: is_found
        laptop.place.snapshot = HOME
        passing = asyncio.create_task(hand.wake())
        await until_awaited(TIMEOUT_S, lambda: names(laptop.orders) == ["direct"], "direct")
        await asyncio.sleep(STILL_AT_LAST_S)  # a network that changes for so long within one look is taken as it is
        for place, way in ((at("10.10.0.1"), ["office", "direct"]), (HOME, ["direct"])):
            laptop.place.snapshot = place
            told.news.put_nowait(Reason.NETWORK)
            await until_awaited(TIMEOUT_S, lambda way=way: names(laptop.orders) == way, "the way of this place")  # type: ignore[misc]
        is_found = True
        await passing


@pytest.mark.parametrize("what", ["restart", "unfinished", "containers"])
async def test_whatever_a_pass_does_with_docker_keeps_no_switch_waiting(laptop: AfterBoot, what: str) -> None:
    """A restart, one that finishes what was begun before, a question about containers."""
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        led: list[bool] = []

        def is_led() -> bool:
            laptop.place.snapshot = HOME  # it moves in the middle of it
            led.append(names(laptop.orders) == ["direct"])
            return led[-1]

        laptop.over()
        match what:
            case "restart":
                laptop.restarted_after = is_led
                laptop.policy(POLICY.replace("enable = true", "enable = true\nport = 3140"))
            case "unfinished":
                laptop.recovered_after = is_led
            case "containers":
                laptop.listed_after = is_led
        await hand.wake(Reason.FILES)
        assert led[-1:] == [True]


async def test_docker_is_restarted_at_once_for_a_move_in_the_middle_of_its_restart(
    laptop: AfterBoot,
) -> None:
    """That restart takes the relay from Docker, and was for the place before: no `min_interval` holds for this one."""
    policy = POLICY.replace('min_interval = "0s"', 'min_interval = "30s"')
    laptop.policy(policy)
    async with laptop.running() as hand:
        laptop.place.snapshot = HOME
        await hand.wake()

        def is_led() -> bool:
            laptop.place.snapshot = at("10.10.0.1")
            return names(laptop.orders)[:1] == ["office"]

        laptop.restarted_after = is_led
        laptop.policy(policy.replace("enable = true", "enable = false"))
        await hand.wake(Reason.FILES)
        assert laptop.dockerd.runs_with == DIRECT

        laptop.restarted_after = lambda: True
        await hand.wake()
        assert "office" in str(laptop.dockerd.runs_with)
        assert "unsteady" in str(laptop.status()["conditions"])  # both were restarts by a move


async def test_in_a_pause_nothing_is_chosen_for_it_while_docker_is_waited_for(laptop: AfterBoot) -> None:
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        await laptop.asks(Command.PAUSE)
        turns = itertools.count()
        laptop.waited = lambda: next(turns) > 50  # longer than a Docker that is up or down takes
        laptop.place.snapshot = HOME
        await hand.wake()
        assert names(laptop.orders) == ["office", "direct"]


async def test_unfinished_work_with_docker_is_no_pause_for_the_relay(laptop: AfterBoot) -> None:
    """A Docker that does not start, or a damaged journal: nothing of Docker's is written until that is over."""
    with_password(laptop, "s3cret")
    async with laptop.running() as hand:
        assert b"s3cret" in laptop.paths.relay_orders.read_bytes()
        (laptop.dockerd.agent_state / "journal.json").write_text("{")
        laptop.place.snapshot = ABROAD
        laptop.place.becomes(direct="refused")
        await hand.wake()
        assert "target-failed" in laptop.conditions()
        assert b"s3cret" not in laptop.paths.relay_orders.read_bytes()

        laptop.place.snapshot = HOME
        laptop.place.becomes(direct="ok")
        await hand.wake()
        assert names(laptop.orders) == ["direct"]


async def test_somebody_who_waits_is_told_of_as_soon_as_docker_lists_the_network(laptop: AfterBoot) -> None:
    """It makes the bridge first, and while it starts it does not answer at all."""
    laptop.there, laptop.listed = (bridge(3, "docker0"),), {"docker0": False}
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        await hand.wake()
        asked = 0

        def answer() -> dict[str, bool] | None:
            nonlocal asked
            asked += 1
            return {1: None, 2: {"docker0": False}}.get(asked, {"docker0": False, "br-back": True})

        laptop.listed_now = answer
        laptop.there = (bridge(3, "docker0"), bridge(5, "br-back"))
        says(laptop, RelayState(laptop.orders.generation, untold=("5 br-back",)))
        hand.bridges.set()
        await until_awaited(20, lambda: laptop.orders.internal == ("br-back",), "the relay is told of br-back")
        assert asked == 3


async def test_after_a_boot_a_network_that_led_nowhere_does_not_lead_out_before_docker_answers(
    laptop: AfterBoot,
) -> None:
    """Its containers may be started first, and Docker may take longer than they have to wait."""
    back = bridge(5, "br-back")
    laptop.there, laptop.listed = (bridge(3, "docker0"), back), {"docker0": False, "br-back": True}
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        await hand.wake()

    laptop.boot()
    laptop.listed = None
    async with laptop.running() as hand:
        assert (laptop.orders.internal, laptop.orders.told) == (("br-back",), ())

        laptop.listed, laptop.there = {"docker0": False}, (bridge(3, "docker0"),)
        await hand.wake()
        assert (laptop.orders.internal, laptop.orders.told) == ((), ("3 docker0",))

    laptop.boot()
    laptop.listed = None
    async with laptop.running():
        assert laptop.orders.internal == ()


async def test_a_relay_that_docker_does_not_have_is_told_nothing_of_the_kind(laptop: AfterBoot) -> None:
    laptop.place.becomes(office="refused", direct="portal")
    laptop.policy(POLICY)
    async with laptop.running():
        assert not laptop.paths.relay_orders.exists()


async def test_a_boot_during_a_pause_leaves_the_relay_its_way(laptop: AfterBoot) -> None:
    """As it leaves Docker its settings where there is no relay, whatever would be chosen there."""
    laptop.there, laptop.listed = (bridge(3, "docker0"),), {"docker0": False}
    laptop.policy(POLICY)
    async with laptop.running():
        await laptop.asks(Command.PAUSE)
    laptop.restarted()  # which takes nothing of it
    async with laptop.running():
        pass
    starts, ups = laptop.dockerd.starts, len(laptop.units.ups)

    laptop.boot()
    laptop.place.snapshot = HOME
    laptop.place.becomes(office="dns", relay="proxy-down")
    laptop.waited = laptop.paths.relay_orders.exists  # nobody need be asked
    async with laptop.running() as hand:
        await hand.wake()
        told = laptop.orders
        assert (names(told), told.told) == (["office", "direct"], ("3 docker0",))
        assert (laptop.dockerd.starts, len(laptop.units.ups)) == (starts, ups)
        assert laptop.facts("relay-switched")[-1]["network"] == "office"
        (said,) = [one["text"] for one in laptop.status()["conditions"] if one["code"] == "relay-failed"]
        assert said == "while the agent is paused, the relay uses office, which does not work here: dns"

        laptop.place.snapshot = at("10.10.0.1")
        laptop.place.becomes(office="ok", relay="ok")
        await hand.wake()
        assert (laptop.orders, laptop.conditions()) == (told, ["paused"])

        laptop.place.snapshot = HOME
        await laptop.asks(Command.RESUME)
        assert names(laptop.orders) == ["direct"]

    laptop.boot()
    laptop.place.snapshot = at("10.10.0.1")
    laptop.place.becomes(office="refused", direct="portal")
    async with laptop.running():
        assert laptop.orders.upstreams == ()  # what a pause kept is not kept after it


async def test_a_pause_that_no_agent_saw_begin_tells_it_once(laptop: AfterBoot) -> None:
    """As by `pause` while the agent is stopped: nobody has kept where the relay went."""
    laptop.policy(POLICY)
    async with laptop.running():
        await laptop.asks(Command.PAUSE)
    laptop.boot()
    (laptop.paths.state / "relay-way.json").unlink()
    laptop.place.snapshot = HOME
    async with laptop.running() as hand:
        await hand.wake()
        told = laptop.orders
        assert names(told) == ["direct"]

        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        assert laptop.orders == told


async def test_a_pause_says_that_the_relay_stays_with_what_is_not_to_be_asked_here(laptop: AfterBoot) -> None:
    with_password(laptop, "s3cr3t")
    async with laptop.running() as hand:
        await laptop.asks(Command.PAUSE)
        laptop.place.asked.clear()
        laptop.place.snapshot = HOME
        await hand.wake()

        assert not {"office", "relay"} & {*laptop.place.asked}
        assert "uses office, which must not be used here" in str(laptop.status()["conditions"])
        kept = (laptop.paths.state / "relay-way.json").read_text()
        assert "s3cr3t" not in kept


async def test_a_pause_that_begins_where_passwords_are_withheld_has_them_where_they_are_used(laptop: AfterBoot) -> None:
    """As at a café: back at the office it is the pause of the office, and nothing else would give them back."""
    secret = with_password(laptop, "s3cr3t")
    async with laptop.running() as hand:
        laptop.place.snapshot = ABROAD
        laptop.place.becomes(direct="portal")
        await hand.wake()
        await laptop.asks(Command.PAUSE)
        assert b"s3cr3t" not in laptop.paths.relay_orders.read_bytes()

        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        told = laptop.orders
        assert [one.http and one.http.reveal() for one in told.upstreams] == ["http://alice:s3cr3t@office:3128", None]

        secret.write_text("another")  # a pause leaves Docker's as it is, too
        await hand.wake(Reason.FILES)
        assert laptop.orders == told


async def test_in_a_pause_a_password_that_was_refused_is_not_given_back_until_it_is_another(laptop: AfterBoot) -> None:
    secret = with_password(laptop, "wr0ng")
    laptop.place.becomes(office="proxy-auth")
    async with laptop.running() as hand:
        await laptop.asks(Command.PIN, upstream="office")
        await laptop.asks(Command.PAUSE)
        await hand.wake()
        assert b"wr0ng" not in laptop.paths.relay_orders.read_bytes()

        laptop.place.becomes(office="ok")
        secret.write_text("s3cr3t")
        await hand.wake(Reason.FILES)
        assert b"s3cr3t" in laptop.paths.relay_orders.read_bytes()


async def test_in_a_pause_a_password_that_is_refused_is_taken_from_the_relay_and_comes_with_the_next(
    laptop: AfterBoot,
) -> None:
    """Every connection of Docker and of containers would send it again, and lock the account."""
    secret = with_password(laptop, "s3cr3t")
    async with laptop.running() as hand:
        await laptop.asks(Command.PAUSE)
        await hand.wake()
        told = laptop.orders
        assert b"s3cr3t" in laptop.paths.relay_orders.read_bytes()

        laptop.place.becomes(office="portal")
        await hand.wake(Reason.RESUME)
        assert laptop.orders == told  # a pause leaves it what it has

        laptop.place.becomes(office="proxy-auth", relay="proxy-auth")
        await hand.wake(Reason.RESUME)
        bare = laptop.orders
        assert [one.http and one.http.reveal() for one in bare.upstreams] == ["http://office:3128", None]
        await hand.wake(Reason.RESUME)
        assert laptop.orders == bare

        laptop.place.becomes(office="ok", relay="ok")
        secret.write_text("another")
        await hand.wake(Reason.FILES)
        assert b"another" in laptop.paths.relay_orders.read_bytes()


@pytest.mark.parametrize("how", ["refused", "proxy-auth"])
async def test_a_pause_says_that_the_relay_leads_nowhere_also_where_its_upstream_works(
    laptop: AfterBoot, how: str
) -> None:
    """It does not listen, or goes without a password: the upstream's own verdict tells neither."""
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        await laptop.asks(Command.PAUSE)
        laptop.place.becomes(relay=how)
        for _ in range(3):
            laptop.clock.ahead_s += 60
            await hand.wake(Reason.TIMER)

        (said,) = [one["text"] for one in laptop.status()["conditions"] if one["code"] == "relay-failed"]
        assert said == f"while the agent is paused, the relay reaches no registry, although office works: {how}"
        assert laptop.status()["docker"]["works"] == how
        assert len(laptop.facts("unreachable-began")) == 1
        assert laptop.units.anew == []  # a pause restarts nothing

        laptop.place.becomes(relay="ok")
        laptop.clock.ahead_s += 60
        await hand.wake(Reason.TIMER)
        assert (laptop.conditions(), laptop.status()["docker"]["works"]) == (["paused"], "ok")
        assert len(laptop.facts("unreachable-ended")) == 1


async def test_a_pause_says_at_once_that_the_relay_does_not_listen_and_that_it_does_again(laptop: AfterBoot) -> None:
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        await laptop.asks(Command.PAUSE)
        await hand.wake()
        assert laptop.conditions() == ["paused"]

        laptop.units.silent = {"127.0.0.1:3130"}
        laptop.place.becomes(relay="refused")
        await hand.wake(Reason.RELAY)  # its state is gone
        assert laptop.conditions() == ["paused", "relay-failed"]
        asked = laptop.place.asked.count("relay")
        await hand.wake(Reason.RELAY)
        assert laptop.place.asked.count("relay") == asked  # it is not asked in each pass

        laptop.units.silent = set()
        laptop.place.becomes(relay="ok")
        await hand.wake(Reason.RELAY)
        assert laptop.conditions() == ["paused"]


async def test_a_pause_says_nothing_of_a_relay_that_others_keep_busy(laptop: AfterBoot) -> None:
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        await laptop.asks(Command.PAUSE)
        laptop.place.becomes(relay="timeout")
        laptop.backlog = Backlog(cookie=1, waiting=100, most=128, dropped=0)
        for connections in range(3):
            says(laptop, RelayState(1, connections=connections))
            laptop.clock.ahead_s += 60
            await hand.wake(Reason.TIMER)

        assert laptop.place.asked.count("relay") > 2
        assert (laptop.conditions(), laptop.status()["docker"]["works"]) == (["paused"], "ok")


async def test_where_nothing_works_but_what_the_relay_had_is_no_outage(laptop: AfterBoot) -> None:
    laptop.policy(POLICY)
    async with laptop.running():
        pass
    laptop.restarted()
    laptop.place.becomes(office="refused", direct="refused")
    laptop.place.asked.clear()
    async with laptop.running() as hand:
        for _ in range(3):
            await hand.wake(Reason.RESUME)

        docker = laptop.status()["docker"]
        assert (laptop.conditions(), docker["works"]) == (["unreachable"], "ok")
        assert "unreachable-began" not in laptop.events()
        assert laptop.place.asked.count("office") > laptop.place.asked.count("relay") == 1

        laptop.clock.ahead_s += 60
        laptop.place.becomes(relay="proxy-down")
        for _ in range(3):
            await hand.wake(Reason.RESUME)

        assert laptop.status()["docker"]["works"] == "refused"
        assert len(laptop.facts("unreachable-began")) == 1

        laptop.place.becomes(direct="portal", relay="ok")
        laptop.clock.ahead_s += 60
        laptop.place.asked.clear()
        await hand.wake(Reason.RESUME)

        assert (laptop.conditions(), laptop.status()["docker"]["works"]) == (["portal"], "refused")
        assert "relay" not in laptop.place.asked
        assert "unreachable-ended" not in laptop.events()


async def test_a_wrong_password_in_the_policy_is_no_outage_while_the_relay_has_the_right_one(laptop: AfterBoot) -> None:
    secret = with_password(laptop, "s3cr3t")
    async with laptop.running():
        pass
    laptop.place.becomes(office="proxy-auth", direct="refused")
    secret.write_text("wr0ng")
    laptop.restarted()
    async with laptop.running() as hand:
        await hand.wake()
        assert (laptop.conditions(), laptop.status()["docker"]["works"]) == (["unreachable"], "ok")
        (in_orders,) = {one.http.reveal() for one in laptop.orders.upstreams if one.http is not None}
        assert in_orders == "http://alice:s3cr3t@office:3128"


async def test_a_pause_says_nothing_of_a_way_that_fails_where_another_of_the_relays_leads_out(
    laptop: AfterBoot,
) -> None:
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        await laptop.asks(Command.PAUSE)
        laptop.place.snapshot = HOME
        laptop.place.becomes(office="dns")
        for _ in range(3):
            await hand.wake(Reason.RESUME)

        assert names(laptop.orders) == ["office", "direct"]
        assert (laptop.conditions(), laptop.status()["docker"]["works"]) == (["paused"], "ok")
        assert "unreachable-began" not in laptop.events()

    beside = parse(POLICY)  # a command's look, as doctor's
    assert isinstance(beside, Policy)
    laptop.restarted()
    place = laptop.world(laptop.paths, beside)
    place.relay = AsIfItWorked(place.relay, is_seen=True)
    assert (await look(beside, place, only_looking(beside, place, laptop.paths.state))).relayed.leads_out


async def test_a_policy_that_is_refused_takes_nothing_from_the_relay_but_at_boot(laptop: AfterBoot) -> None:
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        laptop.policy(POLICY + "[relai]\n")
        laptop.place.snapshot = HOME
        await hand.wake(Reason.FILES)
        assert names(laptop.orders) == ["direct"]  # by the last good one
        assert laptop.conditions() == ["policy-error"]
    told = laptop.orders

    laptop.restarted()
    async with laptop.running():
        assert laptop.orders == told
        assert laptop.conditions() == ["policy-error"]

    laptop.boot()
    async with laptop.running() as hand:
        assert laptop.conditions() == ["policy-error", "relay-failed"]
        assert laptop.dockerd.runs_with == RELAY

        laptop.policy(POLICY)
        await hand.wake(Reason.FILES)
        assert (names(laptop.orders), laptop.conditions()) == (["direct"], [])


@pytest.mark.parametrize("meanwhile", ["nothing", "is not recognised at once", "is started anew"])
async def test_a_password_that_was_taken_offline_is_back_where_it_is_used_though_no_registry_answers(
    laptop: AfterBoot, meanwhile: str
) -> None:
    """What else there is behind that proxy is reached by it all the same."""
    with_password(laptop, "s3cr3t")
    office, seen = at("10.10.0.1"), []

    async with laptop.running() as hand:
        laptop.place.snapshot = office
        await hand.wake()
        laptop.place.snapshot = Snapshot()
        await hand.wake()
        seen.append(b"s3cr3t" in laptop.paths.relay_orders.read_bytes())
        laptop.place.becomes(office="timeout", direct="refused")
        if meanwhile == "is not recognised at once":  # the address is there, and what the policy goes by is not yet
            laptop.place.snapshot = at("10.77.0.1")
            await hand.wake()
            seen.append(b"s3cr3t" in laptop.paths.relay_orders.read_bytes())
        if meanwhile != "is started anew":
            laptop.place.snapshot = office
            await hand.wake()
    if meanwhile == "is started anew":
        laptop.restarted()
        laptop.place.snapshot = office
        async with laptop.running() as hand:
            await hand.wake()

    assert not any(seen)
    assert b"s3cr3t" in laptop.paths.relay_orders.read_bytes()
