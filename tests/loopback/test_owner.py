"""A proxy on loopback that has an owner: with real listeners, nobody else is told anything."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.clients.users import ThisSystem
from agent.one_pass.registries import Registries
from agent.one_pass.sockets import LocalSockets
from agent.probe.guard import is_the_owners
from agent.probe.probe import Question, probe
from agent.values.listening import Listener, LocalProxy
from agent.values.paths import Paths
from agent.values.policy import RegistryUrl, Upstream
from agent.values.secret import Secret
from agent.values.settings import ProxyUrl, Scheme
from agent.values.verdict import Outcome, Verdict
from tests.loopback.certificates import server_tls, trust
from tests.loopback.listeners import ME, SOMEBODY, listening, needs_root
from tests.loopback.servers import HOST, HttpProxy, Registry, closed_port
from tests.policies import policy_of

PASSWORD = "hunter2"


def via(url: ProxyUrl, owner: str) -> Upstream:
    return Upstream(
        "local", url, url, username="alice", password_file="/p", password=Secret(PASSWORD), owner=owner
    )  # fmt: skip


async def probed(
    upstream: Upstream, tmp_path: Path, registry: str = "https://registry.test", sockets: LocalSockets | None = None
) -> Verdict:
    sockets = sockets or LocalSockets(ThisSystem())
    question = Question((RegistryUrl.parse(registry),), True, trust(tmp_path), 8.0, sockets=sockets)
    return await probe(upstream, question)


async def test_the_owners_proxy_is_asked(tmp_path: Path) -> None:
    async with (
        Registry(server_tls("registry.test")) as registry,
        HttpProxy({f"registry.test:{registry.port}": registry}, login=("alice", PASSWORD)) as proxy,
    ):
        verdict = await probed(via(proxy.url(), ME), tmp_path, f"https://registry.test:{registry.port}")

    assert verdict.outcome is Outcome.OK


@pytest.mark.parametrize("host", [HOST, "localhost", "0.0.0.0"])
@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("registry", ["https://registry.test", "http://registry.test"])
async def test_somebody_elses_hears_nothing(tmp_path: Path, host: str, scheme: Scheme, registry: str) -> None:
    with listening(ME, HOST) as stranger:
        verdict = await probed(via(ProxyUrl(scheme, host, stranger.port), SOMEBODY), tmp_path, registry)

        assert verdict.outcome is Outcome.REFUSED
        assert verdict.evidence == f"connecting to {host}:{stranger.port}: {SOMEBODY}'s is expected; {ME} listens"
        assert stranger.heard() == []


@needs_root
async def test_nor_one_of_an_account_without_rights(tmp_path: Path) -> None:
    with listening(SOMEBODY, HOST) as stranger:
        verdict = await probed(via(ProxyUrl(Scheme.HTTP, HOST, stranger.port), "root"), tmp_path)

        assert verdict.outcome is Outcome.REFUSED
        assert verdict.evidence.endswith(f"root's is expected; {SOMEBODY} listens")
        assert stranger.heard() == []


class Restless(LocalSockets):
    """Where the listener at each look is another than at the one before."""

    looks = 0

    def listeners(self, port: int, addresses: Iterable[str]) -> Sequence[Listener]:
        self.looks += 1
        return [msgspec.structs.replace(one, cookie=self.looks) for one in super().listeners(port, addresses)]


async def test_who_may_have_come_while_connecting_hears_nothing(tmp_path: Path) -> None:
    with listening(ME, HOST) as stranger:
        upstream = via(ProxyUrl(Scheme.HTTP, HOST, stranger.port), ME)
        verdict = await probed(upstream, tmp_path, sockets=Restless(ThisSystem()))

        assert verdict.outcome is Outcome.ERROR
        assert verdict.evidence.endswith(f"{ME} began to listen while connecting; nothing was sent")
        assert stranger.heard() in ([], ["came"])


async def test_without_an_owner_whoever_listens_is_asked(tmp_path: Path) -> None:
    upstream = msgspec.structs.replace(via(ProxyUrl(Scheme.HTTP, HOST, closed_port()), ""), owner="")

    assert (await probed(upstream, tmp_path)).evidence.endswith("nothing listens there")


@needs_root
async def test_nor_is_somebody_elses_held(tmp_path: Path) -> None:
    """What holds a connection to the proxy in use makes none to who has come in its place."""
    sockets = LocalSockets(ThisSystem())
    with listening(SOMEBODY, HOST) as stranger:
        assert await is_the_owners(LocalProxy(HOST, stranger.port, SOMEBODY), sockets)
        assert not await is_the_owners(LocalProxy(HOST, stranger.port, "root"), sockets)
        assert stranger.heard() == []

    assert not await is_the_owners(LocalProxy(HOST, closed_port(), SOMEBODY), sockets)


# An app that is waited for.


def waiting(tmp_path: Path, port: int, owner: str) -> tuple[Registries, Upstream]:
    (tmp_path / "etc").mkdir()
    entries = (pwd.getpwnam(SOMEBODY), pwd.getpwuid(os.geteuid()))
    lines = [f"{one.pw_name}:x:{one.pw_uid}:{one.pw_gid}::{one.pw_dir}:{one.pw_shell}\n" for one in entries]
    (tmp_path / "etc/passwd").write_text("".join(lines))
    policy = policy_of(f'[upstream.local]\nurl = "http://{HOST}:{port}"\nowner = "{owner}"\n')
    return Registries(Paths(tmp_path), policy), policy.upstreams["local"]


@pytest.mark.parametrize(
    ("owner", "silence"),
    [
        pytest.param("", "", id="anybodys"),
        pytest.param(ME, "", id="the-owners"),
        pytest.param(SOMEBODY, f"{SOMEBODY}'s is expected; {ME} listens", id="somebody-elses"),
        pytest.param("eve", f"eve's is expected (there is no such user); {ME} listens", id="no-such-user"),
    ],
)
async def test_it_has_come_when_its_owner_listens(tmp_path: Path, owner: str, silence: str) -> None:
    with listening(ME, HOST) as app:
        registries, upstream = waiting(tmp_path, app.port, owner)

        assert await registries.silence(upstream) == (silence and f"{HOST}:{app.port}: {silence}")
        assert app.heard() == ([] if owner else ["came"])


@pytest.mark.parametrize("owner", ["", ME])
async def test_it_has_not_come_while_nobody_listens(tmp_path: Path, owner: str) -> None:
    registries, upstream = waiting(tmp_path, closed_port(), owner)

    assert "nothing listens there" in await registries.silence(upstream)
