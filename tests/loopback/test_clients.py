"""The clients' files of a machine in one pass: real files, real helpers, and an audit log."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.clients.clients import ClientFile, ClientsSeen, LocalClients
from agent.clients.from_containers import FromContainers
from agent.clients.homes import HomeFile, HomeOwner, Homes, Written
from agent.clients.originals import client_originals
from agent.clients.users import Account, FoundBy, Skipped, ThisSystem, Threshold, Who
from agent.decide.bridge import Bridge
from agent.decide.client_file import Change, OwnedConfig
from agent.decide.relay import as_upstream
from agent.one_pass.sockets import LocalSockets
from agent.probe.dial import Address
from agent.see.name_servers import ContainerDns
from agent.see.netlink import NetlinkFailed
from agent.service.watch.homes import HomeWatch
from agent.service.watch.wakeups import Wakeups
from agent.system.state_file import StateFile
from agent.targets.json_splice import Original
from agent.values.condition import Code
from agent.values.errors import TargetFailed
from agent.values.listening import Listener, Sockets
from agent.values.paths import Paths
from agent.values.policy import Upstream
from agent.values.secret import Secret
from tests.loopback.installation import Installation, is_offline
from tests.loopback.installation import proxy as reached
from tests.loopback.listeners import ME, SOMEBODY, listening, needs_root
from tests.loopback.servers import Says
from tests.loopback.test_name_servers import server
from tests.policies import policy_of
from tests.upstreams import upstream

LOGGED_IN = '{\n\t"auths": {"registry.example": {"auth": "aHVudGVyMg=="}}\n}'


OFFICE = upstream("http://office:3128")
CAFE = upstream("http://cafe:8080")
DIRECT = Upstream("direct")


class People:
    """Accounts that are all the caller's, each with a home of its own below a folder."""

    def __init__(self, folder: Path, policy: str = "") -> None:
        self.folder = folder
        self.accounts: list[Account] = []
        self.left: list[Account] = []  # whom the policy means no longer
        self.bridge: str | None = None
        self.of_relay: Bridge | None = None  # how it is reached, if not as everything else
        self.sockets: Sockets = LocalSockets(ThisSystem())
        self.names: dict[str, str] = {}
        self.client_drops_all = ""
        self.container_dns = ContainerDns((), (), "")
        self.audit = folder / "log/audit.jsonl"
        self.state = folder / "state"
        (folder / "log").mkdir()
        read = policy_of(policy)
        docker = msgspec.structs.replace(read.docker, socket=Paths().socket(read.docker.socket))
        self.policy = msgspec.structs.replace(read, docker=docker)

    def add(self, name: str, text: str | None = None, *, may_create: bool = False) -> Path:
        home = self.folder / "home" / name
        home.mkdir(parents=True)
        file = home / ".docker/config.json"
        source = FoundBy.DOCKER if may_create else FoundBy.HAS_CONFIG
        status = home.stat()
        threshold = Threshold(home, (status.st_dev, status.st_ino), (".docker", "config.json"))
        self.accounts.append(Account(name, os.geteuid(), os.getegid(), (), home, file, may_create, source, threshold))
        if text is not None:
            file.parent.mkdir()
            file.write_text(text)
            file.chmod(0o600)
        return file

    def clients(
        self,
        homes: Homes | None = None,
        told: Callable[[], None] | None = None,
        who: Callable[[], Who] | None = None,
    ) -> LocalClients:
        return LocalClients(
            policy=self.policy,
            state=self.state,
            who=who or (lambda: Who(tuple(self.accounts), (Skipped("dave", "its home is not mounted"),))),
            accounts=lambda files: tuple(one for one in self.accounts + self.left if str(one.config) in set(files)),
            homes=homes or Homes(),
            from_containers=FromContainers(
                way_to_host=self.way_to_host,
                sockets=self.sockets,
                resolve=self.resolve,
                drops_all=self.drops_all,
                container_dns=lambda: self.container_dns,
                way_to_relay=self.way_to_relay,
            ),
            waits_s=None if told is None else 0.3,
            told=told or (lambda: None),
        )

    async def way_to_host(self) -> Bridge:
        return Bridge(self.bridge)

    async def way_to_relay(self) -> Bridge:
        return self.of_relay or Bridge(self.bridge)

    async def drops_all(self) -> str:
        return self.client_drops_all

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "not found")
        return [(socket.AF_INET, (self.names[host], port))]

    async def passed(
        self, wanted: Upstream, clients: LocalClients | None = None, relay: Upstream | None = None
    ) -> tuple[ClientsSeen, list[ClientFile]]:
        clients = clients or self.clients()
        async with clients.one_pass():
            seen = await clients.look(wanted, relay)
            record = Record(AuditLog(self.audit, self.state), "1", "test")
            return seen, list(await clients.carry_out(seen, record)) if seen.edits else []

    def leave(self, **facts: object) -> None:
        """Everybody is of no group and in no list any more."""
        gone = {"found_by": FoundBy.FILE, "may_create": False, **facts}
        self.left, self.accounts = [msgspec.structs.replace(one, **gone) for one in self.accounts], []

    def events(self) -> list[str]:
        lines = self.audit.read_text().splitlines() if self.audit.exists() else []
        return [json.loads(line)["event"] for line in lines]


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People(tmp_path)


async def test_there_and_back_again_to_the_byte(people: People) -> None:
    alice, bob = people.add("alice", may_create=True), people.add("bob", LOGGED_IN)

    await people.passed(OFFICE)
    assert json.loads(alice.read_text())["proxies"]["default"]["httpProxy"] == "http://office:3128"
    assert json.loads(bob.read_text())["auths"]["registry.example"] == {"auth": "aHVudGVyMg=="}
    assert alice.stat().st_mode & 0o777 == 0o600
    assert alice.parent.stat().st_mode & 0o777 == 0o700

    await people.passed(DIRECT)
    assert bob.read_text() == LOGGED_IN
    assert "proxies" not in json.loads(alice.read_text())


@pytest.mark.parametrize(
    ("policy", "entry", "is_beaten"),
    [
        pytest.param("", "unix:///var/run/docker.sock", True, id="the-engine-here-by-its-name"),
        pytest.param("", "ssh://elsewhere", False, id="another-engine"),
        pytest.param('[clients]\nscope = "local"\n', "unix:///var/run/docker.sock", True, id="in-a-local-scope"),
        pytest.param('[clients]\nscope = "local"\n', "default", False, id="not-of-this-engine"),
        pytest.param('[docker]\nsocket = "/srv/d.sock"\n', "unix:///srv/d.sock", True, id="another-socket"),
    ],
)
async def test_an_entry_that_counts_instead_of_ours_is_said_at_every_look(
    tmp_path: Path, policy: str, entry: str, is_beaten: bool
) -> None:
    people = People(tmp_path, policy)
    alice = people.add("alice", json.dumps({"proxies": {entry: {"httpProxy": "http://their.own:1"}}}))
    clients = people.clients()

    for _ in range(3):  # before the write, after it, and where nothing is read any more
        seen, _ = await people.passed(OFFICE, clients)
        assert [condition.code.value for condition in seen.conditions] == ["client-not-effective"] * is_beaten
        assert all(condition.target == str(alice) for condition in seen.conditions)


async def test_what_an_older_client_drops_is_not_fought_for(people: People) -> None:
    bob = people.add("bob", LOGGED_IN)
    clients = people.clients()
    socks = upstream("socks5://office:1080")
    await people.passed(socks, clients)
    assert "allProxy" in bob.read_text()
    people.client_drops_all = "20.10.24"

    seen, _ = await people.passed(socks, clients)
    assert bob.read_text() == LOGGED_IN
    assert [condition.code.value for condition in seen.conditions] == ["client-not-effective"]
    assert "20.10.24 does not support allProxy" in seen.conditions[0].text
    for _ in range(3):
        seen, _ = await people.passed(socks, clients)
        assert seen.edits == ()
        assert len(seen.conditions) == 1
    await people.passed(OFFICE, clients)
    assert json.loads(bob.read_text())["proxies"]["default"]["httpProxy"] == "http://office:3128"


async def test_direct_makes_no_file(people: People) -> None:
    alice = people.add("alice", may_create=True)

    seen, _ = await people.passed(DIRECT)

    assert seen.edits == ()
    assert not alice.parent.exists()


async def test_what_is_kept_holds_no_token(people: People) -> None:
    people.add("bob", LOGGED_IN)

    await people.passed(OFFICE)

    for file in people.state.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"aHVudGVyMg" not in file.read_bytes()
    assert "aHVudGVyMg" not in people.audit.read_text()


WITH_PASSWORD = upstream("http://office:3128", username="u", password=Secret("zecret9"))
TELLS_ALL = "[clients]\ncredentials = true"


async def test_what_is_kept_of_what_was_written_holds_no_password(tmp_path: Path) -> None:
    people = People(tmp_path, TELLS_ALL)
    bob = people.add("bob", LOGGED_IN)

    await people.passed(WITH_PASSWORD)

    assert "zecret9" in bob.read_text()
    assert [file.name for file in people.state.iterdir() if b"zecret9" in file.read_bytes()] == []


def as_an_earlier_version_kept_it(people: People, bob: Path) -> Path:
    """With the values that were last written as they are."""
    file = people.state / "client-originals.json"
    said = json.loads(bob.read_text())["proxies"]["default"]
    last = {"http": said["httpProxy"], "https": said["httpsProxy"], "no_proxy": said["noProxy"], "all": ""}
    kept = json.loads(file.read_text())
    kept["format"], kept["state"][str(bob)]["last"] = 1, last
    file.write_text(json.dumps(kept))
    assert "zecret9" in file.read_text()
    return file


async def test_what_an_earlier_version_kept_is_taken_over_and_its_password_gone(tmp_path: Path) -> None:
    people = People(tmp_path, TELLS_ALL)
    bob = people.add("bob", LOGGED_IN)
    await people.passed(WITH_PASSWORD)
    file = as_an_earlier_version_kept_it(people, bob)

    clients = people.clients()
    await clients.recover()
    seen, _ = await people.passed(WITH_PASSWORD, clients)

    assert seen.edits == ()
    assert "zecret9" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    bob.write_text(bob.read_text().replace("zecret9", "other"))
    await people.passed(WITH_PASSWORD)
    assert people.events()[-2:] == ["drift-corrected", "settings-written"]  # it knows what it had written
    facts = json.loads(people.audit.read_text().splitlines()[-2])["facts"]
    assert facts["password_before"] != facts["password_after"]  # though no password is shown
    await people.passed(DIRECT)
    assert bob.read_text() == LOGGED_IN


async def test_a_look_changes_nothing_of_what_an_earlier_version_kept(tmp_path: Path) -> None:
    people = People(tmp_path, TELLS_ALL)
    bob = people.add("bob", LOGGED_IN)
    await people.passed(WITH_PASSWORD)
    before = as_an_earlier_version_kept_it(people, bob).read_bytes()

    assert (await people.clients().look(WITH_PASSWORD)).edits == ()

    assert (people.state / "client-originals.json").read_bytes() == before


async def test_somebody_elses_value_is_adopted_once_and_drift_is_said(people: People) -> None:
    theirs = '{"proxies": {"default": {"httpProxy": "http://u:hunter2@theirs:1", "ftpProxy": "ftp://theirs"}}}'
    bob = people.add("bob", theirs)

    await people.passed(OFFICE)
    assert people.events() == ["adopted", "settings-written"]
    assert "hunter2" not in people.audit.read_text()
    assert json.loads(bob.read_text())["proxies"]["default"]["ftpProxy"] == "ftp://theirs"

    bob.write_text(bob.read_text().replace("http://office:3128", "http://meddler:1"))
    await people.passed(OFFICE)
    assert people.events()[2:] == ["drift-corrected", "settings-written"]
    assert "meddler" not in bob.read_text()


@pytest.mark.parametrize("read_before", ["our first write", "a move"])
async def test_what_a_client_saves_as_it_read_it_before_our_write_is_nobodys_wish(
    people: People, read_before: str
) -> None:
    """`docker login` beside a move: the whole file as it was, with one more login in it."""
    bob, clients = people.add("bob", LOGGED_IN), people.clients()
    for turn, chosen in enumerate((OFFICE, DIRECT, OFFICE, DIRECT, OFFICE, DIRECT)):
        before = bob.read_text()
        await people.passed(chosen, clients)
        if turn == 0 and read_before == "a move":
            continue
        bob.write_text(before.replace('"auths": {', f'"auths": {{"new{turn}.example": {{"auth": "bmV3"}}, '))

        seen, written = await people.passed(chosen, clients)

        assert [file.edit and file.edit.change for file in seen.files] == [Change.STALE]
        assert [file.edit is not None for file in written] == [True]
        assert f"new{turn}.example" in bob.read_text()
        assert ("office" in bob.read_text()) is (chosen is OFFICE)
    assert "drift-corrected" not in people.events()

    theirs = '"proxies": {"default": {"httpProxy": "http://theirs:1"}}, "auths"'
    bob.write_text(bob.read_text().replace('"auths"', theirs))
    seen, _ = await people.passed(OFFICE, clients)
    assert [file.edit and file.edit.change for file in seen.files] == [Change.DRIFT]


async def test_one_that_fails_stops_nobody_else(people: People) -> None:
    bob, carol = people.add("bob", "{,}"), people.add("carol", "{}")

    seen, done = await people.passed(OFFICE)

    assert [file.name for file in seen.failed] == ["bob"]
    assert seen.failed[0].error.startswith(f"{bob}: line 1, column ")
    assert "docker-proxy-agent apply" in seen.failed[0].error
    assert [file.name for file in done] == ["carol"]
    assert bob.read_text() == "{,}"
    assert "proxies" in carol.read_text()
    assert seen.skipped == (Skipped("dave", "its home is not mounted"),)


async def test_one_persons_white_space_costs_nobody_else(people: People) -> None:
    mine = "{" + "\n" * 600_000 + '"proxies":{"default":{"httpProxy":"http://x:1"}}}'
    mallory, carol = people.add("mallory", mine), people.add("carol", "{}")

    seen, done = await people.passed(OFFICE)

    assert [file.name for file in seen.failed] == ["mallory"]
    assert seen.failed[0].error.startswith(f"{mallory}: more than 16 KiB of white space, names and values at our keys")
    assert mallory.read_text() == mine
    assert [(file.name, file.error) for file in done] == [("carol", "")]
    assert "proxies" in carol.read_text()
    assert (people.state / "client-originals.json").stat().st_size < 4096


def kept_already(people: People, kib: float) -> None:
    """Of others, so much."""
    others = OwnedConfig((Original(("a",), (), "1" * int(kib * 1024), None, None),))
    StateFile(people.state / "client-originals.json", dict[str, OwnedConfig], 2).save(
        {"/home/gone/config.json": others}
    )


@pytest.mark.parametrize(
    ("kib", "why"),
    [
        pytest.param(510, "has no room left for more than 2 KiB of one file", id="little-is-kept-of-everybody-else"),
        pytest.param(1018, "has no room left for more than 2 KiB of one file", id="up-to-the-end"),
    ],
)
async def test_what_cannot_be_kept_of_one_file_costs_that_file(people: People, kib: int, why: str) -> None:
    """64 accounts with as much each as one may have would fill what all share."""
    kept_already(people, kib)
    theirs = json.dumps({"proxies": {"default": {"noProxy": "a" * 10_000}}})
    bob, carol = people.add("bob", theirs), people.add("carol", "{}")

    _, done = await people.passed(OFFICE)

    assert {file.name: file.edit is not None for file in done} == {"bob": False, "carol": True}
    errors = {file.name: file.error for file in done}
    assert errors["carol"] == ""
    assert errors["bob"] == f"{bob}: left as it is, for {people.state}/client-originals.json: {why}"
    assert bob.read_text() == theirs
    assert "proxies" in carol.read_text()
    assert people.events() == ["target-failed", "settings-written"]


async def test_where_nothing_more_can_be_kept_it_is_said_and_nothing_is_written(people: People) -> None:
    kept_already(people, 1023.8)
    bob = people.add("bob", "{}")

    _, (done,) = await people.passed(OFFICE)

    assert done.error.startswith(f"{bob}: left as it is, for {people.state}/client-originals.json: would be larger")
    assert bob.read_text() == "{}"


async def test_what_may_be_left_in_a_home_that_cannot_be_looked_at_is_swept_the_next_time(people: People) -> None:
    file = StateFile(people.state / "client-writes.json", tuple[str, ...], 1)
    gone, not_told = f"{people.folder}/gone/config.json", f"/{'x' * 300}/config.json"
    file.save((gone, not_told))

    await people.clients().recover()

    assert file.load() == (not_told,)


def test_what_threads_change_at_once_is_all_kept(people: People) -> None:
    """What is looked after in a thread, and what a late file takes out meanwhile."""
    file = StateFile(people.state / "client-writes.json", tuple[str, ...], 1)
    file.change(lambda _: tuple(f"there {number}" for number in range(100)))

    def adds(who: int) -> None:
        for number in range(25):
            file.change(lambda known, one=f"{who} {number}": (*(known or ()), one))  # type: ignore[misc]
            file.change(lambda known, gone=f"there {who * 25 + number}": tuple(x for x in known or () if x != gone))  # type: ignore[misc]

    with ThreadPoolExecutor() as threads:
        list(threads.map(adds, range(4)))

    assert set(file.load() or ()) == {f"{who} {number}" for who in range(4) for number in range(25)}


# Who leaves.

THEIRS = '{"proxies": {"default": {"httpProxy": "http://theirs:1"}}}'


async def test_who_is_kept_no_longer_gets_everything_back_and_is_forgotten(people: People) -> None:
    alice, bob = people.add("alice", may_create=True), people.add("bob", THEIRS)
    bob.chmod(0o640)
    await people.passed(OFFICE)
    assert "office" in alice.read_text()
    assert "office" in bob.read_text()
    people.leave()

    await people.passed(OFFICE)

    assert not alice.parent.exists()
    assert (bob.read_text(), bob.stat().st_mode & 0o777) == (THEIRS, 0o640)
    assert client_originals(people.state).all() == {}
    assert people.events()[-1] == "restored"
    record = json.loads(people.audit.read_text().splitlines()[-1])["facts"]
    assert (set(record["targets"]), record["because"]) == ({str(alice), str(bob)}, "the policy no longer covers it")
    seen, _ = await people.passed(OFFICE)
    assert (seen.files, seen.edits) == ((), ())


async def test_what_they_wrote_since_stays(people: People) -> None:
    alice = people.add("alice", may_create=True)
    await people.passed(OFFICE)
    alice.write_text(json.dumps({**json.loads(alice.read_text()), "auths": {}}))
    people.leave()

    await people.passed(OFFICE)

    assert json.loads(alice.read_text()) == {"auths": {}}


async def test_who_leaves_group_docker_has_no_file_but_ours(people: People) -> None:
    alice, carol = people.add("alice", may_create=True), people.add("carol", may_create=True)
    await people.passed(OFFICE)
    carol.write_text(json.dumps({**json.loads(carol.read_text()), "auths": {}}))
    replaced(people, found_by=FoundBy.HAS_CONFIG, may_create=False)

    seen, _ = await people.passed(OFFICE)

    assert [file.name for file in seen.edits] == ["alice"]
    assert not alice.exists()
    assert "office" in carol.read_text()  # who has a config.json of her own
    assert (await people.passed(OFFICE))[0].edits == ()


async def test_what_cannot_be_put_back_is_said_and_tried_again(people: People) -> None:
    alice, bob = people.add("alice", LOGGED_IN), people.add("bob", LOGGED_IN)
    await people.passed(OFFICE)
    written = bob.read_text()
    bob.write_text("{,}")
    people.leave()

    seen, _ = await people.passed(OFFICE)

    assert alice.read_text() == LOGGED_IN
    assert [file.name for file in seen.failed] == ["bob"]
    assert str(bob) in client_originals(people.state).all()
    bob.write_text(written)
    await people.passed(OFFICE)
    assert bob.read_text() == LOGGED_IN
    assert client_originals(people.state).all() == {}


async def test_an_account_of_a_directory_that_does_not_answer_has_not_left(people: People) -> None:
    bob = people.add("bob", LOGGED_IN)
    await people.passed(OFFICE)
    people.leave(name=str(os.geteuid()))

    seen, _ = await people.passed(OFFICE)

    assert seen.edits == ()
    assert "office" in bob.read_text()
    assert [one.name for one in seen.skipped] == ["dave", str(bob)]


async def test_where_nothing_is_any_more_what_was_stays_known(people: People) -> None:
    bob = people.add("bob", LOGGED_IN)
    await people.passed(OFFICE)
    written, home = bob.read_text(), bob.parent.parent
    home.rename(home.with_name("closed"))
    people.leave()
    left, people.left = people.left, []

    seen, _ = await people.passed(OFFICE)

    assert (seen.edits, [one.name for one in seen.skipped]) == ((), ["dave"])
    home.with_name("closed").rename(home)
    people.left = left
    assert bob.read_text() == written
    await people.passed(OFFICE)
    assert bob.read_text() == LOGGED_IN


async def test_what_cannot_be_put_back_is_not_read_again_by_an_idle_pass(people: People, homes: Once) -> None:
    bob = people.add("bob", LOGGED_IN)
    await people.passed(OFFICE)
    people.leave()
    bob.write_text("{,}")
    clients = people.clients(homes)

    for _ in range(3):
        assert [file.name for file in (await clients.look(OFFICE)).failed] == ["bob"]


async def test_a_look_alone_forgets_nothing(people: People) -> None:
    bob = people.add("bob", LOGGED_IN)
    await people.passed(OFFICE)
    people.leave()
    bob.write_text(LOGGED_IN)

    for _ in range(2):
        assert len((await people.clients().look(OFFICE)).edits) == 1
    await people.passed(OFFICE)

    assert people.events()[-1] != "restored"  # it was so already
    assert client_originals(people.state).all() == {}


@pytest.mark.skipif(is_offline(), reason="offline, a pass does nothing")
def test_by_the_commands_who_leaves_the_policy_gets_everything_back(tmp_path: Path) -> None:
    with reached() as port, Installation(tmp_path, port) as machine:
        before = machine.targets()["config.json"]
        assert machine.ran("apply").returncode == 0
        assert machine.targets()["config.json"] != before
        policy = machine.paths.policy
        policy.write_text(policy.read_text().replace('users = ["alice"]', "users = []"))

        planned = machine.ran("plan")
        assert machine.ran("apply").returncode == 0

        assert planned.returncode == 2
        assert "restore      clients of alice" in planned.stdout
        assert machine.targets()["config.json"] == before
        assert machine.events()[-1] == "restored"
        assert client_originals(machine.paths.state).all() == {}


class Once(Homes):
    """Homes that may be read only so often: an idle pass starts no helper."""

    reads_left = 1

    async def read(self, account: object, path: Path) -> HomeFile | None:
        assert self.reads_left, f"{path} is read again"
        self.reads_left -= 1
        return await super().read(account, path)  # type: ignore[arg-type]


@pytest.fixture
async def homes() -> AsyncIterator[Once]:
    """Of a service, which watches them."""
    watch = HomeWatch(Wakeups().wake)
    yield Once(watch=watch)
    watch.close()


async def test_an_idle_pass_starts_no_helper_and_a_change_is_seen(people: People, homes: Once) -> None:
    bob = people.add("bob", LOGGED_IN)
    clients = people.clients(homes)

    for _ in range(3):
        assert (await clients.look(DIRECT)).edits == ()

    homes.reads_left = 1
    bob.write_text('{"proxies": {"default": {"httpProxy": "http://x"}}}')
    assert [file.name for file in (await clients.look(DIRECT)).edits] == ["bob"]
    homes.reads_left = 1
    assert len((await clients.look(OFFICE)).edits) == 1


async def test_who_has_no_file_is_asked_once_and_again_when_something_appears(people: People, homes: Once) -> None:
    bob = people.add("bob")
    clients = people.clients(homes)

    for _ in range(3):
        seen = await clients.look(OFFICE)
        assert (seen.files, seen.skipped) == ((), (Skipped("dave", "its home is not mounted"),))

    homes.reads_left = 1
    bob.parent.mkdir()
    bob.write_text("{}")
    assert [file.name for file in (await clients.look(OFFICE)).edits] == ["bob"]


async def test_without_a_watch_every_look_reads(people: People) -> None:
    people.add("bob", LOGGED_IN)
    homes = Once()
    clients = people.clients(homes)
    homes.reads_left = 3

    for _ in range(3):
        assert (await clients.look(DIRECT)).failed == ()

    assert homes.reads_left == 0


def replaced(people: People, **facts: object) -> None:
    people.accounts = [msgspec.structs.replace(one, **facts) for one in people.accounts]


@needs_root
async def test_a_file_that_is_not_its_writers_is_left_alone(people: People) -> None:
    """As where a link on the way to it is another's than the file: root's, and to be led to by that other."""
    file = people.add("bob", "{}")
    replaced(people, found_by=FoundBy.FILE)
    os.chown(file, 4321, -1)

    seen = await people.clients().look(OFFICE)

    why = "belongs to uid 4321, but uid 0 can change the way to it; left as it is"
    assert [file.error for file in seen.files] == [f"{file}: {why}"]
    assert seen.edits == ()


async def test_a_named_file_that_is_not_there_is_said(people: People) -> None:
    file = people.add("bob")
    replaced(people, found_by=FoundBy.FILE)

    seen = await people.clients().look(OFFICE)

    assert seen.files == ()
    assert Skipped(str(file), "does not exist, so it has no owner; create it as its future owner") in seen.skipped


async def test_an_encrypted_home_that_is_not_open_is_left_out(people: People) -> None:
    alice = people.add("alice", may_create=True)
    (alice.parent.parent / ".ecryptfs").symlink_to("/home/.ecryptfs/alice/.ecryptfs")

    seen = await people.clients().look(OFFICE)

    assert seen.files == ()
    assert Skipped("alice", "its home is encrypted and locked") in seen.skipped


@pytest.mark.parametrize(("may_create", "shown"), [(False, []), (True, ["bob"])])
async def test_a_pipe_for_a_folder_is_no_config(people: People, may_create: bool, shown: list[str]) -> None:
    file = people.add("bob", may_create=may_create)
    os.mkfifo(file.parent)

    seen = await people.clients().look(OFFICE)

    assert [file.name for file in seen.failed] == shown
    assert len(seen.files) == len(shown)


def log_in(path: Path) -> None:
    path.write_text('{"auths": {"new.example": {}}}')


class Disturbed(Homes):
    """Something happens between the look and the write."""

    def __init__(self, happens: Callable[[Path], None]) -> None:
        super().__init__()
        self._happens = happens

    async def edit(
        self,
        account: HomeOwner,
        path: Path,
        change: Callable[[str | None], str | None],
        *,
        may_create: bool = False,
        mode: int | None = None,
        folder_was_there: bool = True,
    ) -> Written:
        self._happens(path)
        return await super().edit(
            account, path, change, may_create=may_create, mode=mode, folder_was_there=folder_was_there
        )


async def test_a_login_between_look_and_write_is_kept(people: People) -> None:
    bob = people.add("bob", LOGGED_IN)

    await people.passed(OFFICE, people.clients(Disturbed(log_in)))

    written = json.loads(bob.read_text())
    assert written["auths"] == {"new.example": {}}
    assert written["proxies"]["default"]["httpsProxy"] == "http://office:3128"


async def test_a_loopback_proxy_is_written_as_the_bridge_only_where_it_answers(people: People) -> None:
    bob = people.add("bob", "{}")
    people.bridge = "127.0.0.1"  # the one local address that is always there stands for the bridge's
    async with Says(waits=False) as proxy:
        local = upstream(f"http://localhost:{proxy.port}")
        seen, _ = await people.passed(local)
        assert json.loads(bob.read_text())["proxies"]["default"]["httpProxy"] == f"http://127.0.0.1:{proxy.port}"
        assert seen.fact == "office answers on 127.0.0.1, seen from the host"

    seen, _ = await people.passed(local)

    assert [condition.code.value for condition in seen.conditions] == ["client-unreachable"]
    assert json.loads(bob.read_text()) == {}


BRIDGE = "127.0.0.2"  # another local address that is always there stands for the bridge's


def given_proxy(file: Path) -> str | None:
    """The proxy that this client's containers are given."""
    entry = json.loads(file.read_text()).get("proxies", {}).get("default", {})
    proxy: str | None = entry.get("httpProxy")
    return proxy


async def test_a_proxy_of_the_same_user_on_the_bridge_is_given_to_containers_and_is_not_connected_to(
    people: People,
) -> None:
    bob = people.add("bob", "{}")
    people.bridge = BRIDGE
    with listening(ME, "127.0.0.1") as one, listening(ME, BRIDGE, one.port) as other:
        await people.passed(upstream(f"http://127.0.0.1:{one.port}"))

        assert given_proxy(bob) == f"http://{BRIDGE}:{one.port}"
        assert (one.heard(), other.heard()) == ([], [])


@needs_root
async def test_somebody_elses_on_the_bridge_is_never_given_to_containers_and_leaves_when_it_comes(
    people: People,
) -> None:
    bob = people.add("bob", "{}")
    people.bridge = BRIDGE
    with listening(ME, "127.0.0.1") as one:
        local = upstream(f"http://127.0.0.1:{one.port}")
        with listening(ME, BRIDGE, one.port):
            await people.passed(local)
            assert given_proxy(bob) == f"http://{BRIDGE}:{one.port}"

        with listening(SOMEBODY, BRIDGE, one.port):
            seen, _ = await people.passed(local)

    assert given_proxy(bob) is None
    assert [condition.code.value for condition in seen.conditions] == ["client-unreachable"]
    said = f"office: 127.0.0.1:{one.port} is {ME}'s, {BRIDGE}:{one.port} is {SOMEBODY}'s"
    assert seen.conditions[0].text.startswith(said)


@pytest.mark.parametrize(
    ("owner", "is_given"), [pytest.param(ME, True, id="the-owners"), pytest.param(SOMEBODY, False, id="not-the-owners")]
)
async def test_with_an_owner_it_must_be_the_owners(people: People, owner: str, is_given: bool) -> None:
    bob = people.add("bob", "{}")
    people.bridge = BRIDGE
    with listening(ME, "0.0.0.0") as one:
        seen, _ = await people.passed(upstream(f"http://127.0.0.1:{one.port}", owner=owner))

    assert (given_proxy(bob) is not None) is is_given
    assert (not seen.conditions) is is_given


async def test_a_name_that_is_loopback_here_is_loopback(people: People) -> None:
    bob = people.add("bob", "{}")
    people.bridge, people.names = BRIDGE, {"laptop": "127.0.1.1", "office": "10.10.0.2"}
    with listening(ME, "0.0.0.0") as one:
        await people.passed(upstream(f"http://laptop:{one.port}"))
        assert given_proxy(bob) == f"http://{BRIDGE}:{one.port}"

        await people.passed(upstream(f"http://office:{one.port}"))
        assert given_proxy(bob) == f"http://office:{one.port}"


async def test_a_name_that_is_loopback_stays_so_while_it_cannot_be_looked_up(people: People) -> None:
    bob = people.add("bob", "{}")
    people.bridge, people.names = BRIDGE, {"laptop": "127.0.1.1"}
    clients = people.clients()
    with listening(ME, "0.0.0.0") as one:
        await people.passed(upstream(f"http://laptop:{one.port}"), clients)
        people.names = {}
        await people.passed(upstream(f"http://laptop:{one.port}"), clients)

        assert given_proxy(bob) == f"http://{BRIDGE}:{one.port}"


class Deaf(LocalSockets):
    """Where the kernel does not tell who listens."""

    def listeners(self, _port: int, _addresses: Iterable[str]) -> Sequence[Listener]:
        raise NetlinkFailed("the kernel refused: No such file or directory")


@needs_root
async def test_a_name_that_only_another_resolver_knows_is_said_and_is_no_news_of_other_names(people: People) -> None:
    """A VPN's, say: the server that containers ask is not the one that told this host."""
    people.add("bob", "{}")
    people.names = {"office": "10.10.0.2", "proxy.corp": "10.10.0.2"}
    people.container_dns = ContainerDns(("127.0.0.77",), (), "of this host's resolv.conf")
    clients = people.clients()

    async with server("127.0.0.77", 53):
        hidden, _ = await people.passed(OFFICE, clients)
        known, _ = await people.passed(upstream("http://proxy.corp:3128"), clients)
        people.container_dns = ContainerDns(("127.0.0.77",), ("elsewhere", "corp"), "of this host's resolv.conf")
        found, _ = await people.passed(upstream("http://proxy:3128"), clients)

    assert [condition.code for condition in hidden.conditions] == [Code.CLIENT_UNREACHABLE]
    said = "containers ask 127.0.0.77 (of this host's resolv.conf), where office is not known"
    assert said in hidden.conditions[0].text
    assert (known.conditions, found.conditions) == ((), ())


async def test_who_asks_for_it_has_the_address_of_the_proxy_also_while_it_cannot_be_looked_up(tmp_path: Path) -> None:
    people = People(tmp_path, "[clients]\nresolve = true\n")
    bob = people.add("bob", "{}")
    clients = people.clients()
    people.names["office"] = "10.0.0.9"

    for _ in range(2):
        await people.passed(OFFICE, clients)
        assert given_proxy(bob) == "http://10.0.0.9:3128"
        people.names.clear()


async def test_where_it_cannot_be_told_whose_it_is_containers_are_not_sent_there(people: People) -> None:
    bob = people.add("bob", "{}")
    people.bridge, people.sockets = BRIDGE, Deaf(ThisSystem())
    with listening(ME, "0.0.0.0") as one:
        seen, _ = await people.passed(upstream(f"http://127.0.0.1:{one.port}"))

    assert bob.read_text() == "{}"
    assert "netlink: the kernel refused" in seen.conditions[0].text


def context(bob: Path, host: str, name: str = "far") -> Path:
    meta = bob.parent / "contexts/meta" / name / "meta.json"
    meta.parent.mkdir(parents=True, exist_ok=True)
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}))
    return meta


HERE = {"unix:///var/run/docker.sock", "unix:///run/docker.sock"}


@pytest.mark.parametrize("other", ["ssh://far", "unix:///run/user/1000/docker.sock"])
async def test_where_a_context_leads_elsewhere_it_is_not_given_an_address_of_this_laptop(
    people: People, other: str
) -> None:
    bob, carol = people.add("bob", LOGGED_IN), people.add("carol", LOGGED_IN)
    people.bridge = BRIDGE
    with listening(ME, "0.0.0.0") as proxy:
        await people.passed(upstream(f"http://127.0.0.1:{proxy.port}"))
        assert set(json.loads(bob.read_text())["proxies"]) == {"default"}
        context(bob, other)

        seen, done = await people.passed(upstream(f"http://127.0.0.1:{proxy.port}"))

    assert [file.error for file in done] == [""]
    assert seen.conditions == ()
    proxies = json.loads(bob.read_text())["proxies"]
    assert set(proxies) == HERE
    assert {entry["httpProxy"] for entry in proxies.values()} == {f"http://{BRIDGE}:{proxy.port}"}
    assert set(json.loads(carol.read_text())["proxies"]) == {"default"}
    await people.passed(OFFICE)
    assert set(json.loads(bob.read_text())["proxies"]) == {"default"}
    await people.passed(DIRECT)
    assert bob.read_text() == LOGGED_IN


@pytest.mark.parametrize(
    ("of_relay", "why"),
    [
        pytest.param(Bridge(is_none=True), "Docker has no default bridge", id="no-bridge"),
        pytest.param(Bridge(BRIDGE, is_left=True), "this host's network is on Docker's bridge, too", id="it-left-it"),
    ],
)
async def test_where_containers_have_no_address_of_the_relay_they_get_the_upstream_as_without_it(
    people: People, of_relay: Bridge, why: str
) -> None:
    bob, carol = people.add("bob", LOGGED_IN), people.add("carol", LOGGED_IN)
    context(bob, "unix:///run/user/1000/docker.sock")
    people.bridge, people.of_relay = BRIDGE, of_relay
    clients, relay = people.clients(), as_upstream(3130)
    await people.passed(OFFICE, clients)
    without = bob.read_text(), carol.read_text()
    assert "office" in without[0]

    seen, written = await people.passed(OFFICE, clients, relay)

    assert written == []
    assert (bob.read_text(), carol.read_text()) == without
    (said,) = seen.conditions
    assert said.code is Code.CLIENT_UNREACHABLE
    assert why in said.text
    assert said.text.endswith("containers get the upstreams themselves")
    assert 'set relay.listen = ["loopback"]' in said.remedy

    await people.passed(DIRECT, clients, relay)
    assert (bob.read_text(), carol.read_text()) == (LOGGED_IN, LOGGED_IN)

    seen, _ = await people.passed(WITH_PASSWORD, clients, relay)
    assert "zecret9" not in bob.read_text()
    (said,) = seen.conditions
    assert said.code is Code.CLIENT_NO_CREDENTIALS
    assert why in said.text


async def test_where_a_context_leads_elsewhere_that_engine_keeps_the_upstream_beside_the_relay(people: People) -> None:
    """Its containers cannot reach the relay, and had the upstream before."""
    bob, carol = people.add("bob", LOGGED_IN), people.add("carol", LOGGED_IN)
    context(bob, "unix:///run/user/1000/docker.sock")
    people.bridge = BRIDGE
    clients = people.clients()

    def given(file: Path) -> dict[str, str]:
        return {entry: said["httpProxy"] for entry, said in json.loads(file.read_text()).get("proxies", {}).items()}

    with listening(ME, "0.0.0.0") as listens:
        relay, here = as_upstream(listens.port), dict.fromkeys(HERE, f"http://{BRIDGE}:{listens.port}")
        await people.passed(OFFICE, clients)
        for wanted, others in ((OFFICE, "http://office:3128"), (CAFE, "http://cafe:8080"), (DIRECT, "")):
            await people.passed(wanted, clients, relay)
            assert given(bob) == here | ({"default": others} if others else {})
            assert set(given(carol).values()) == {f"http://{BRIDGE}:{listens.port}"}
            seen, written = await people.passed(wanted, clients, relay)
            assert written == []
            assert [file.is_local for file in seen.files] == [True, False]
        # No address of this host's loopback is good for them.
        await people.passed(upstream(f"http://127.0.0.1:{listens.port}"), clients, relay)
        assert given(bob) == here

    await people.passed(OFFICE, clients, relay)  # it does not listen there any more
    assert json.loads(bob.read_text())["proxies"]["default"]["httpProxy"] == "http://office:3128"
    assert {entry: json.loads(bob.read_text())["proxies"][entry] for entry in HERE} == {entry: {} for entry in HERE}
    await people.passed(OFFICE, clients)
    assert given(bob) == {"default": "http://office:3128"}
    await people.passed(DIRECT, clients)
    assert (bob.read_text(), carol.read_text()) == (LOGGED_IN, LOGGED_IN)


async def test_in_a_local_scope_no_other_engine_is_told_anything(tmp_path: Path) -> None:
    people = People(tmp_path, '[clients]\nscope = "local"\n')
    bob = people.add("bob", LOGGED_IN)

    await people.passed(OFFICE)
    assert set(json.loads(bob.read_text())["proxies"]) == HERE

    people.leave()
    await people.passed(OFFICE)
    assert bob.read_text() == LOGGED_IN


async def test_direct_in_a_local_scope_hides_what_default_says(tmp_path: Path) -> None:
    people = People(tmp_path, '[clients]\nscope = "local"\n')
    theirs = '{"proxies": {"default": {"httpProxy": "http://theirs:1"}}}'
    bob, clients = people.add("bob", theirs), people.clients()

    await people.passed(DIRECT, clients)
    assert json.loads(bob.read_text())["proxies"] == {
        "default": {"httpProxy": "http://theirs:1"},
        **{entry: {} for entry in HERE},
    }
    assert (await people.passed(DIRECT, clients))[1] == []
    await people.passed(OFFICE, clients)
    await people.passed(DIRECT, clients)

    people.leave()
    await people.passed(DIRECT, clients)
    assert bob.read_text() == theirs


OWN_SOCKET = "/run/user/1000/docker.sock"
OWN = f"unix://{OWN_SOCKET}"


def logins(file: Path, ends: threading.Event) -> int:
    """`docker login` again and again, as the client saves: what it has read, by a rename. How many there were."""
    made = 0
    while not ends.is_set():
        said = json.loads(file.read_text())
        ends.wait(0.01)  # what is written meanwhile is lost
        said["auths"][f"r{made}.example"] = {"auth": "bmV3"}
        new = file.with_name("config.json1234")
        new.write_text(json.dumps(said, indent="\t"))
        new.replace(file)
        made += 1
        ends.wait(0.1)
    return made


async def test_two_agents_keep_an_entry_each_in_one_file_while_somebody_logs_in(tmp_path: Path) -> None:
    """The system's keeps `default`, the user's own that of her engine."""
    folders = [tmp_path / name for name in ("system", "hers")]
    for folder in folders:
        folder.mkdir()
    system = People(folders[0])
    hers = People(folders[1], f'[docker]\nsocket = "{OWN_SOCKET}"\n[clients]\nscope = "local"\n')
    file = system.add("alice", LOGGED_IN)
    hers.accounts = system.accounts
    agents = [(system, system.clients()), (hers, hers.clients())]
    ends = threading.Event()
    logging_in = asyncio.create_task(asyncio.to_thread(logins, file, ends))
    try:
        for both in ((OFFICE, OFFICE), (OFFICE, DIRECT), (DIRECT, OFFICE), (OFFICE, CAFE), (CAFE, DIRECT)):
            await asyncio.gather(
                *(one.passed(wanted, clients) for (one, clients), wanted in zip(agents, both, strict=True))
            )
    finally:
        ends.set()
        made = await logging_in

    for wanted, (one, clients) in zip((CAFE, DIRECT), agents, strict=True):
        await one.passed(wanted, clients)
    said = json.loads(file.read_text())
    assert said["auths"].keys() == {"registry.example", *(f"r{number}.example" for number in range(made))}
    assert said["proxies"]["default"]["httpsProxy"] == "http://cafe:8080"
    assert said["proxies"][OWN] == {}
    for wanted, (one, clients) in zip((CAFE, DIRECT), agents, strict=True):
        assert (await clients.look(wanted)).edits == ()
        assert "gave-up" not in one.events()
    hers.leave()
    system.leave()
    await system.passed(CAFE)
    await hers.passed(DIRECT)
    assert "proxies" not in json.loads(file.read_text())


@pytest.mark.parametrize(
    ("host", "is_another"),
    [
        pytest.param("ssh://far", True, id="ssh"),
        pytest.param("tcp://10.0.0.1:2376", True, id="tcp"),
        pytest.param(OWN, True, id="one-of-the-users-own"),
        pytest.param("unix:///var/run/docker.sock", False, id="this-one"),
        pytest.param("unix:///run/docker.sock", False, id="this-one-by-another-name"),
        pytest.param("", False, id="none"),
    ],
)
async def test_which_context_leads_to_another_engine(people: People, host: str, is_another: bool) -> None:
    bob = people.add("bob", "{}")
    context(bob, host)

    assert await Homes().has_other_engine(people.accounts[0], bob, sorted(HERE)) == is_another


async def test_whatever_lies_among_the_contexts_holds_nobody_up(people: People) -> None:
    bob = people.add("bob", "{}")
    pipe = context(bob, "", "a-pipe")
    pipe.unlink()
    os.mkfifo(pipe)
    for number, text in enumerate(
        ("", "[" * 100_000, '{"Endpoints": 7}', '{"Endpoints": {"docker": {"Host": 1}}}', "\0")
    ):
        context(bob, "", f"broken-{number}").write_text(text)
    (bob.parent / "contexts/meta/a-file").write_text("")
    assert not await Homes().has_other_engine(people.accounts[0], bob, sorted(HERE))

    context(bob, "ssh://far")
    assert await Homes().has_other_engine(people.accounts[0], bob, sorted(HERE))


async def test_without_a_known_bridge_the_files_stay_as_they_are(people: People) -> None:
    people.add("bob", "{}")

    seen, _ = await people.passed(upstream("http://127.0.0.1:7890"))

    assert seen.edits == ()


async def test_passwords_are_for_those_who_ask_for_them(tmp_path: Path) -> None:
    with_password = upstream("http://office:3128", username="alice", password=Secret("hunter2"))
    for folder, policy in (("no", ""), ("yes", "[clients]\ncredentials = true\n")):
        (tmp_path / folder).mkdir()
        people = People(tmp_path / folder, policy)
        bob = people.add("bob", "{}")
        bob.chmod(0o644)
        seen, _ = await people.passed(with_password)
        assert ("hunter2" in bob.read_text()) is (folder == "yes")
        assert (not seen.conditions) is (folder == "yes")
        assert bob.stat().st_mode & 0o777 == (0o600 if folder == "yes" else 0o644)
        assert "hunter2" not in people.audit.read_text()


def killed(path: Path) -> None:
    """The helper, in the middle of a write: half of it lies beside the file."""
    path.with_name(f".{path.name}.0123abcd.docker-proxy-agent").write_text("a secret on its w")
    raise TargetFailed(str(path), "its helper process was ended by signal 9 without an answer", "")


async def test_what_a_helper_that_was_killed_left_is_gone_after_the_next_start(people: People) -> None:
    alice, bob = people.add("alice", LOGGED_IN), people.add("bob", LOGGED_IN)
    await people.passed(OFFICE, people.clients(Disturbed(killed)))
    theirs = bob.with_name(".config.json.0123abcd.of-somebody-else")
    theirs.write_text("")

    await people.clients().recover()

    assert sorted(alice.parent.iterdir()) == [alice]
    assert sorted(bob.parent.iterdir()) == sorted([bob, theirs])


async def test_a_home_where_nothing_was_being_written_is_not_looked_at_again(people: People) -> None:
    alice = people.add("alice", LOGGED_IN)
    await people.passed(OFFICE)
    left = alice.with_name(f".{alice.name}.0123abcd.docker-proxy-agent")
    left.write_text("")

    await people.clients().recover()

    assert left.exists()


async def test_a_name_service_that_gives_no_answer_holds_no_look_up(people: People) -> None:
    """And what it says in the end counts."""
    people.add("alice", LOGGED_IN)
    may_answer = threading.Event()
    may_answer.set()

    def whose() -> Who:
        assert may_answer.wait(60)
        return Who(tuple(people.accounts))

    clients = people.clients(told=lambda: None, who=whose)
    assert {file.name for file in (await clients.look(OFFICE)).files} == {"alice"}
    may_answer.clear()
    people.add("bob", LOGGED_IN)

    for _ in range(2):
        assert {file.name for file in (await clients.look(OFFICE)).files} == {"alice"}
    may_answer.set()
    async with asyncio.timeout(60):
        while {file.name for file in (await clients.look(OFFICE)).files} != {"alice", "bob"}:
            pass  # each look waits


async def test_a_look_that_is_cut_short_leaves_its_question_to_the_next(people: People) -> None:
    people.add("alice", LOGGED_IN)
    asked: list[str] = []
    may_answer = threading.Event()

    def whose() -> Who:
        asked.append(threading.current_thread().name)
        assert may_answer.wait(60)
        return Who(tuple(people.accounts))

    clients = people.clients(told=lambda: None, who=whose)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await clients.look(OFFICE)
    may_answer.set()
    seen = await clients.look(OFFICE)

    assert {file.name for file in seen.files} == {"alice"}
    assert len(asked) == 1
