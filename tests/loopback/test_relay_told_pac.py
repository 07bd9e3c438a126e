"""What the relay is told where the upstream in use is a PAC's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.clients.users import ThisSystem
from agent.one_pass.pac import LocalPacs, PacMemory
from agent.one_pass.relay import LocalRelay
from agent.one_pass.relay_bridges import Bridges
from agent.one_pass.sockets import LocalSockets
from agent.service.requests import Command
from agent.values.pac import PacFault
from agent.values.paths import Paths
from agent.values.policy import Policy, RegistryUrl
from agent.values.reason import Reason
from agent.values.relay import RelayState, UpstreamFailed, state_file
from agent.values.settings import settings

from .test_pac_pass import DOWN, HUB, OWN, Server
from .test_reconcile import Place, at
from .test_relay_kept import HOME, PASSWORD, RELAY, WITH_RELAY, Relayed, names

PAC = '[upstream.corp]\npac = "http://wpad.corp.example/wpad.dat"\nno_proxy = [".corp.example"]\n'
POLICY = PAC + WITH_RELAY.replace('use = ["office"', 'use = ["corp", "office"')
A, B = "corp → a:8080", "corp → b:8080"
CAFE = at("192.168.7.1")
OF_CAFE = '[[network]]\nname = "cafe"\nmatch.gateway = ["192.168.7.1"]\nuse = ["corp", "direct"]\n'
AT_CAFE = POLICY.replace("[[network]]", OF_CAFE + "[[network]]", 1)


class WithPac(Relayed):
    """Its PAC is what the test says."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.server = Server("PROXY a:8080; PROXY b:8080")
        self.pacs = PacMemory()
        self.registries: tuple[RegistryUrl, ...] = (HUB,)
        self.place.becomes(**{A: "ok", B: "ok", "corp": "refused"})

    def world(self, paths: Paths, policy: Policy) -> Place:
        place = super().world(paths, policy)
        local = LocalPacs(
            policy,
            paths.state,
            self.server,
            registries=lambda: self.registries,
            told=self.hand.request,
            memory=self.pacs,
        )
        place.pacs = local
        place.relay = LocalRelay(
            self.paths,
            policy,
            prober=place,
            sockets=LocalSockets(ThisSystem(paths.root)),
            bridge=self.bridge_now,
            bridges=Bridges(self.bridges, lambda: self.there),
            memory=self.memory,
            units=self.units,
            unfolded=lambda: local.known(policy),
            script_of=local.script_of,
            pacs=local.seen,
            clock=self.clock,
        )
        return place


@pytest.fixture
def laptop(tmp_path: Path) -> WithPac:
    return WithPac(tmp_path)


def with_a_login(laptop: WithPac, text: str, trusted: str = '["a", "b"]') -> None:
    secret = laptop.paths.policy.parent / "corp.password"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    login = f'username = "alice"\npassword_file = "/{secret.relative_to(laptop.paths.root)}"\ntrusted = {trusted}\n'
    laptop.policy(text.replace("no_proxy =", f"{login}no_proxy =", 1))


def has_password(laptop: WithPac) -> bool:
    return PASSWORD in laptop.paths.relay_orders.read_text()


async def test_it_is_told_the_script_where_the_pac_is_in_use_and_nowhere_else(laptop: WithPac) -> None:
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        told = laptop.orders
        assert names(told) == [A, B, "office", "direct"]
        assert told.pac is not None
        assert (told.pac.name, told.pac.script, told.pac.my_ip) == ("corp", laptop.server.text, "10.10.0.7")
        assert told.pac.no_proxy == (".corp.example",)
        assert told.pac.settled == (f"{HUB.host}:443",)
        assert [one.name for one in told.pac.known] == [A, B]
        assert laptop.status()["relay"]["upstream"] == A

        laptop.place.snapshot = HOME
        await hand.wake()

        assert laptop.orders.pac is None
        assert names(laptop.orders) == ["direct"]


async def test_a_password_that_was_refused_is_not_told_also_where_nobody_has_asked_again(laptop: WithPac) -> None:
    with_a_login(laptop, POLICY, trusted='["b"]')
    laptop.place.becomes(**{A: "refused", B: "proxy-auth", "office": "ok"})
    async with laptop.running():
        assert names(laptop.orders)[0] == "office"

    laptop.place.becomes(**{A: "ok"})
    laptop.place.asked.clear()
    laptop.paths.relay_orders.unlink()  # or office would be in use, and stay so for a while
    async with laptop.running() as hand:
        await hand.wake()
        told = laptop.orders
        assert B not in laptop.place.asked
        assert names(told) == [A, "office", "direct"]
        assert told.pac is not None
        assert [one.name for one in told.pac.known] == [A, B]
        assert PASSWORD not in laptop.paths.relay_orders.read_text()


async def test_what_a_pac_named_elsewhere_has_no_password_here_while_the_pac_is_asked_and_the_agent_chooses(
    laptop: WithPac,
) -> None:
    """In a portal that swallows what is asked, both take seconds: and whoever runs the café's DNS may be the proxy."""
    with_a_login(laptop, AT_CAFE)
    seen: list[bool] = []
    async with laptop.running() as hand:
        laptop.server.asked = laptop.place.will_ask = lambda: seen.append(has_password(laptop))
        await laptop.asks(Command.RELOAD)
        await hand.wake()
        assert len(seen) > 1
        assert all(seen)  # here it is what the PAC has named, which is asked anew
        assert has_password(laptop)

        seen.clear()
        laptop.server.text = DOWN
        laptop.place.snapshot = CAFE
        laptop.place.becomes(**{A: "portal", B: "portal", "direct": "portal"})
        await hand.wake()
        assert len(seen) > 1
        assert not any(seen)
        assert names(laptop.orders) == [A, B, "office", "direct"]

        laptop.place.snapshot = at("10.10.0.1")
        laptop.place.becomes(**{A: "ok", B: "ok"})
        await hand.wake()  # by the copy of this place
        assert has_password(laptop)

        seen.clear()
        laptop.restarted()
    async with laptop.running() as hand:
        await hand.wake()
        assert len(seen) > 1
        assert all(seen)


async def test_in_a_pause_a_password_is_given_back_where_the_pac_has_named_its_proxy(laptop: WithPac) -> None:
    with_a_login(laptop, AT_CAFE)
    async with laptop.running() as hand:
        laptop.server.text = DOWN
        laptop.place.snapshot = CAFE
        laptop.place.becomes(**{A: "portal", B: "portal", "direct": "portal"})
        await hand.wake()
        await laptop.asks(Command.PAUSE)
        await hand.wake(Reason.TIMER)
        assert not has_password(laptop)

        laptop.place.snapshot = at("10.10.0.1")
        laptop.place.becomes(**{A: "ok", B: "ok"})
        await hand.wake()
        assert has_password(laptop)


async def test_what_a_pinned_pac_names_keeps_its_password_where_only_the_pin_uses_it(laptop: WithPac) -> None:
    with_a_login(laptop, POLICY.replace('use = ["corp", "office"', 'use = ["office"'))
    seen: list[bool] = []
    async with laptop.running() as hand:
        await laptop.asks(Command.PIN, upstream="corp")
        assert names(laptop.orders)[0] == A
        laptop.place.will_ask = lambda: seen.append(has_password(laptop))
        await laptop.asks(Command.RELOAD)
        await hand.wake()
        assert seen
        assert all(seen)


async def test_a_pac_that_cannot_be_had_is_no_way_out(laptop: WithPac) -> None:
    """It has no proxy, and what has none goes directly."""
    laptop.server.text = PacFault(DOWN.outcome, DOWN.evidence)
    laptop.policy(POLICY)
    async with laptop.running():
        assert laptop.status()["upstream"]["name"] == "office"
        assert names(laptop.orders) == ["office", "direct"]
        assert laptop.orders.pac is None


@pytest.mark.parametrize(("upstream", "is_news"), [("corp", False), (A, True)])
async def test_a_proxy_that_is_no_upstream_is_no_reason_to_probe_them(
    laptop: WithPac, upstream: str, is_news: bool
) -> None:
    laptop.policy(POLICY)
    async with laptop.running():
        generation = laptop.orders.generation
        failed = UpstreamFailed(1, upstream, "refused", generation=generation)
        laptop.paths.relay_state.parent.mkdir(parents=True, exist_ok=True)
        laptop.paths.relay_state.write_bytes(state_file(RelayState(generation, pid=1, failed=failed)))

        assert laptop.place.relay.take_failure() is is_news


@pytest.mark.parametrize("other", ["PROXY other:8080", "nonsense"])
async def test_a_relay_that_answers_502_for_everything_is_given_up_also_where_a_pac_sends_registries_two_ways(
    laptop: WithPac, other: str
) -> None:
    laptop.registries, laptop.server.by_host = (HUB, OWN), {"registry": other}
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        assert laptop.dockerd.runs_with == RELAY

        laptop.place.becomes(relay="proxy-down")
        for again in range(1, 4):
            assert laptop.dockerd.runs_with == RELAY
            laptop.clock.ahead_s = 61 * again
            await hand.wake(Reason.TIMER)
            assert "relay-failed" in laptop.conditions()
        assert laptop.dockerd.runs_with == settings("http://a:8080", "http://a:8080", laptop.dockerd.runs_with.no_proxy)


@pytest.mark.parametrize("how", ["timeout", "proxy-denied", "tls", "proxy-auth"])
async def test_a_proxy_that_a_pac_names_for_one_registry_does_not_cost_the_relay_however_it_fails(
    laptop: WithPac, how: str
) -> None:
    laptop.registries, laptop.server.by_host = (HUB, OWN), {"registry": "PROXY other:8080"}
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        laptop.place.becomes(relay=how, **{"relay by registry-1.docker.io": "ok"})
        for again in range(1, 5):
            laptop.clock.ahead_s = 61 * again
            await hand.wake(Reason.TIMER)
        assert laptop.dockerd.runs_with == RELAY
        assert "relay-failed" not in laptop.conditions()


@pytest.mark.parametrize("other", ["PROXY other:8080", "nonsense"])
async def test_a_relay_that_hangs_is_given_up_whatever_a_pac_says(laptop: WithPac, other: str) -> None:
    laptop.registries, laptop.server.by_host = (HUB, OWN), {"registry": other}
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        laptop.place.becomes(relay="timeout")
        for again in range(1, 4):
            assert laptop.dockerd.runs_with == RELAY
            laptop.clock.ahead_s = 61 * again
            await hand.wake(Reason.TIMER)
        assert laptop.dockerd.runs_with != RELAY


@pytest.mark.parametrize("name", ["relay", A])
async def test_nor_is_it_where_the_other_way_or_the_upstream_fails(laptop: WithPac, name: str) -> None:
    """The relay is asked for what goes by the upstream, and that for the same."""
    hub = "by registry-1.docker.io"
    laptop.registries, laptop.server.by_host = (HUB, OWN), {"registry": "PROXY other:8080"}
    laptop.policy(POLICY)
    async with laptop.running() as hand:
        outcomes = {f"relay {hub}": "ok"} if name == "relay" else {f"{A} {hub}": "proxy-down"}
        laptop.place.becomes(relay="proxy-down", **outcomes)
        for again in range(1, 6):
            laptop.clock.ahead_s = 61 * again
            await hand.wake(Reason.TIMER)
        assert f"relay {hub}" in laptop.place.asked
        assert laptop.dockerd.runs_with == RELAY
        assert "relay-failed" not in laptop.conditions()


async def test_what_a_pause_kept_by_a_name_that_is_a_pacs_by_now_is_no_way(laptop: WithPac) -> None:
    """It would be one without a proxy, past the company's."""
    laptop.policy(POLICY.replace(PAC, '[upstream.corp]\nurl = "http://corp:3128"\n'))
    laptop.place.becomes(corp="ok")
    async with laptop.running():
        await laptop.asks(Command.PAUSE)
        assert [(one.name, one.https is None) for one in laptop.orders.upstreams][:1] == [("corp", False)]
    laptop.policy(POLICY)
    laptop.place.becomes(corp="refused")
    laptop.restarted()
    laptop.paths.relay_orders.unlink()
    async with laptop.running() as hand:
        assert "corp" not in [one.name for one in laptop.orders.upstreams]
        await hand.wake()
        assert "corp" not in [one.name for one in laptop.orders.upstreams]
        assert laptop.orders.pac is not None


async def test_after_a_boot_a_paused_agent_has_the_pac_asked_before_it_tells_of_a_way(laptop: WithPac) -> None:
    """What a PAC says for each host is more than the names of upstreams."""
    laptop.policy(POLICY)
    async with laptop.running():
        await laptop.asks(Command.PAUSE)
        before = laptop.orders
    laptop.restarted()
    laptop.paths.relay_orders.unlink()
    async with laptop.running() as hand:
        await hand.wake()
        told = laptop.orders
        assert msgspec.structs.replace(told, generation=1) == msgspec.structs.replace(before, generation=1)
        assert told.pac is not None

        laptop.place.snapshot = HOME
        await hand.wake()
        assert laptop.orders == told


async def test_a_dead_proxy_that_the_pac_names_now_is_no_outage_while_the_relay_has_the_one_before(
    laptop: WithPac,
) -> None:
    laptop.policy(POLICY)
    async with laptop.running():
        assert names(laptop.orders)[0] == A
    told = laptop.orders

    laptop.restarted()
    laptop.pacs = PacMemory()
    laptop.server.text = "PROXY c:8080"
    laptop.place.becomes(**{"corp → c:8080": "refused", "office": "refused", "direct": "refused"})
    async with laptop.running() as hand:
        for _ in range(3):
            await hand.wake(Reason.RESUME)

        docker = laptop.status()["docker"]
        assert (laptop.conditions(), docker["works"]) == (["unreachable"], "ok")
        assert "unreachable-began" not in laptop.events()
        assert laptop.orders.upstreams == told.upstreams
