"""`restore` on real files: what was there is there again, and what others wrote since stays."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from agent.audit.record import Record
from agent.cli.restore import lines
from agent.clients.homes import Homes
from agent.clients.originals import client_originals
from agent.clients.users import Account
from agent.decide.plan import Plan, plan
from agent.decide.relay import for_docker
from agent.docker.originals import OriginalFile, daemon_originals
from agent.docker.transaction import Applied
from agent.one_pass.restore import Restored, Restoring
from agent.targets import daemon_json
from agent.values.dockerd import Reality
from agent.values.policy import Docker, Method, Relay, Restart
from agent.values.secret import Secret
from agent.values.settings import DIRECT, Settings, Texts, settings
from tests.in_memory import in_memory
from tests.share import fewer
from tests.upstreams import upstream

from .dockerd import Dockerd
from .installation import DAEMON_JSON, Installation, is_offline, proxy
from .test_clients import LOGGED_IN, TELLS_ALL, WITH_PASSWORD, People, as_an_earlier_version_kept_it
from .test_homes import counting

REPOSITORY = Path(__file__).parents[2]
needs_a_network = pytest.mark.skipif(is_offline(), reason="offline, a pass does nothing")

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
SECRET = settings("http://u:hunter2@office:3128", "http://u:hunter2@office:3128", "localhost")
FOREIGN = '{\n\t"proxies": {"http-proxy": "http://foreign:1"},   "debug":true\n}\n'


def restoring(
    dockerd: Dockerd,
    people: People | None = None,
    docker: Docker = Docker(),
    relay_ports: tuple[int, ...] = (),
    homes: Homes | None = None,
) -> Restoring:
    def accounts(files: Iterable[str]) -> tuple[Account, ...]:
        wanted = set(files)
        return tuple(one for one in (people.accounts if people else ()) if str(one.config) in wanted)

    return Restoring(dockerd.root / "state", docker, dockerd, homes or Homes(), accounts, relay_ports=relay_ports)


async def restored(dockerd: Dockerd, *, is_asked_now: bool = False) -> Restored:
    return await restoring(dockerd).restore(dockerd.record(), is_asked_now=is_asked_now)


async def applied(dockerd: Dockerd, wanted: Settings, method: Method = Method.AUTO) -> None:
    reality = await dockerd.reality(wanted)
    made = plan(
        wanted, reality, Docker(method=method, restart=Restart.ALWAYS), dockerd.owned(reality), is_asked_now=False
    )
    await dockerd.transaction().carry_out(made, reality)


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    (tmp_path / "docker").mkdir()
    return Dockerd(tmp_path / "docker")


@pytest.mark.parametrize("method", [Method.DROP_IN, Method.DAEMON_JSON])
async def test_nothing_is_left_where_nothing_was(dockerd: Dockerd, method: Method) -> None:
    await applied(dockerd, OFFICE, method)
    assert dockerd.runs_with == OFFICE

    done = await restored(dockerd)

    assert not done.is_failed
    assert dockerd.files() == {}
    assert dockerd.runs_with == DIRECT
    assert dockerd.is_running
    assert dockerd.events()[-4:] == ["settings-written", "docker-started", "docker-restarted", "restored"]
    assert set(done.removed) == set(done.targets)
    assert {line.split()[0] for line in lines(done)} == {"removed", "docker"}


async def test_the_files_own_bytes_and_mode(dockerd: Dockerd) -> None:
    file = dockerd.root / "etc/daemon.json"
    file.write_text(FOREIGN)
    file.chmod(0o640)
    dockerd._boot()
    await applied(dockerd, SECRET)
    assert file.stat().st_mode & 0o777 == 0o600

    await restored(dockerd)

    assert dockerd.files() == {"daemon.json": FOREIGN.encode()}
    assert file.stat().st_mode & 0o777 == 0o640
    assert "hunter2" not in dockerd.audit.read_text()


async def test_again_there_is_nothing_to_do_and_a_later_pass_adopts_anew(dockerd: Dockerd) -> None:
    await applied(dockerd, OFFICE)
    await restored(dockerd)
    starts, events = dockerd.starts, dockerd.events()

    done = await restored(dockerd)

    assert done == Restored()
    assert (dockerd.starts, dockerd.events()) == (starts, events)
    assert daemon_originals(dockerd.root / "state").all() == {}
    (dockerd.root / "etc/daemon.json").write_text(FOREIGN)
    await applied(dockerd, OFFICE)
    await restored(dockerd)
    assert dockerd.text("etc/daemon.json") == FOREIGN


async def test_a_container_that_runs_defers_the_restart_and_now_does_it(dockerd: Dockerd) -> None:
    await applied(dockerd, OFFICE)
    dockerd.containers = 1
    starts = dockerd.starts

    done = await restored(dockerd)

    assert dockerd.files() == {}
    assert dockerd.starts == starts
    assert done.outcome.deferred == "1 container runs"
    assert done.by_hand == (
        "systemctl restart docker.service, which stops 1 container. To keep it, first set"
        f' "live-restore": true in {dockerd.root}/etc/daemon.json, and run: systemctl reload docker.service'
    )
    await restored(dockerd, is_asked_now=True)
    assert dockerd.runs_with == DIRECT


async def test_of_a_relay_that_ends_docker_is_restarted_and_the_container_goes_on(dockerd: Dockerd) -> None:
    await applied(dockerd, for_docker(Relay()))
    dockerd.containers = 1
    assert (await restored(dockerd)).outcome.deferred == "1 container runs"  # the relay goes on

    done = await restoring(dockerd, relay_ports=(Relay().port,)).restore(dockerd.record(), is_asked_now=False)

    assert done.outcome.deferred == ""
    assert not done.is_failed
    assert dockerd.runs_with == DIRECT
    assert (dockerd.containers, dockerd.killed) == (1, 0)
    assert dockerd.files() == {}


@pytest.mark.parametrize("theirs", [None, FOREIGN])
async def test_a_restart_that_containers_survive_leaves_no_file_where_there_was_none(
    dockerd: Dockerd, theirs: str | None
) -> None:
    """live-restore is written where ours has just been removed."""
    if theirs is not None:
        (dockerd.root / "etc/daemon.json").write_text(theirs)
    await applied(dockerd, for_docker(Relay()), Method.DAEMON_JSON)
    dockerd.containers = 1

    done = await restoring(dockerd, relay_ports=(Relay().port,)).restore(dockerd.record(), is_asked_now=False)

    assert not done.is_failed
    assert (dockerd.containers, dockerd.killed) == (1, 0)
    assert dockerd.text("etc/daemon.json") == theirs


@pytest.mark.parametrize("late", ["a-container", "a-unit", "silence"])
async def test_what_starts_at_the_last_moment_within_the_minute_of_a_restart_defers_it_alone(
    dockerd: Dockerd, late: str
) -> None:
    await applied(dockerd, OFFICE)
    assert dockerd.under_way().trial is not None
    busy_now = dockerd.busy_now

    async def met(found: Reality) -> Reality:
        dockerd.containers = int(late == "a-container")
        dockerd.units = {"stack.service": True} if late == "a-unit" else {}
        dockerd.is_silent = late == "silence"
        return await busy_now(found)

    dockerd.busy_now = met  # type: ignore[method-assign]
    starts = dockerd.starts

    done = await restored(dockerd)

    assert done.outcome.deferred
    assert not done.is_failed
    assert dockerd.files() == {}
    assert dockerd.starts == starts
    assert len(done.targets) == 2
    assert daemon_originals(dockerd.root / "state").all() == {}


async def test_what_a_file_was_stays_known_as_long_as_it_is_not_put_back(dockerd: Dockerd) -> None:
    await applied(dockerd, OFFICE)
    kept, ours = daemon_originals(dockerd.root / "state").all(), dockerd.files()

    async def writes_nothing(made: Plan, reality: Reality, record: Record) -> Applied:
        del made, reality, record
        return Applied(deferred="not now")

    carry_out = dockerd.carry_out
    dockerd.carry_out = writes_nothing  # type: ignore[method-assign]
    done = await restored(dockerd)
    assert done.is_failed
    assert {said.partition(": ")[2] for said in done.left} == {"not restored: not now"}
    assert daemon_originals(dockerd.root / "state").all() == kept
    assert dockerd.files() == ours

    dockerd.carry_out = carry_out  # type: ignore[method-assign]
    assert not (await restored(dockerd)).is_failed
    assert dockerd.files() == {}


async def test_live_restore_that_is_not_off_again_is_left_and_a_second_try_goes_on(dockerd: Dockerd) -> None:
    """Else `uninstall` would forget that it was not there before."""
    await applied(dockerd, OFFICE)
    dockerd.containers = 1

    async def cannot_reload() -> None:
        dockerd.can_reload = False

    dockerd.after_it_started = cannot_reload
    done = await restored(dockerd, is_asked_now=True)
    assert dockerd.runs_with == DIRECT
    assert done.is_failed
    assert "daemon.json: live-restore is not as it was" in done.left[0]

    dockerd.can_reload = True
    await dockerd.recover(dockerd.record(), may_restart=True)
    assert not (await restored(dockerd)).is_failed
    assert dockerd.files() == {}
    assert (dockerd.containers, dockerd.killed) == (1, 0)


async def test_a_unit_that_hangs_on_docker_defers_it_too(dockerd: Dockerd) -> None:
    await applied(dockerd, OFFICE)
    dockerd.units = {"stack.service": True}
    starts = dockerd.starts

    done = await restored(dockerd)

    assert "stack.service depends on Docker" in done.outcome.deferred
    assert done.by_hand == "systemctl restart docker.service, which stops stack.service"
    assert (dockerd.starts, dockerd.units["stack.service"]) == (starts, True)


async def test_a_container_that_did_not_run_on_is_no_reason_to_put_back_again(dockerd: Dockerd) -> None:
    (dockerd.root / "etc/daemon.json").write_text('{"live-restore": true}')
    await applied(dockerd, OFFICE)
    dockerd.containers, dockerd.loses = 2, 1

    done = await restoring(dockerd, docker=Docker(restart=Restart.ALWAYS)).restore(dockerd.record(), is_asked_now=True)

    assert done.outcome.containers_lost == ("container-1",)
    assert not done.is_failed
    assert daemon_originals(dockerd.root / "state").all() == {}


async def test_a_docker_that_does_not_start_without_us_keeps_ours_and_what_restore_needs(dockerd: Dockerd) -> None:
    await applied(dockerd, OFFICE)
    before = dockerd.files()
    dockerd.refuses = DIRECT

    done = await restored(dockerd)

    assert done.is_failed
    assert dockerd.files() == before
    assert dockerd.is_running
    dockerd.refuses = None
    assert not (await restored(dockerd)).is_failed
    assert dockerd.files() == {}


async def test_a_broken_daemon_json_is_left_and_said_and_what_it_was_stays_known(dockerd: Dockerd) -> None:
    file = dockerd.root / "etc/daemon.json"
    file.write_text(FOREIGN)
    dockerd._boot()
    await applied(dockerd, OFFICE)
    right = file.read_text()
    file.write_text("{")

    done = await restoring(dockerd).restore(dockerd.record(), is_asked_now=False)

    assert done.is_failed
    assert "not JSON" in done.left[0]
    assert done.left[0].endswith("Fix it, then run: docker-proxy-agent restore")
    assert file.read_text() == "{"
    file.write_text(right)
    await restored(dockerd)
    assert file.read_text() == FOREIGN


async def test_a_drop_in_that_a_person_added_to_stays(dockerd: Dockerd) -> None:
    await applied(dockerd, OFFICE)
    drop_in = dockerd.root / "unit/drop-in.conf"
    theirs = drop_in.read_text() + "LimitNOFILE=1000\n"
    drop_in.write_text(theirs)

    await restored(dockerd)

    assert dockerd.files() == {"drop-in.conf": theirs.encode()}


# What is no proxy's URL.

NOT_PARSED = "http://alice:p@ss:w#rd@proxy.example.net:3128"
NOT_PARSED_JSON = f'{{"proxies": {{"http-proxy": "{NOT_PARSED}"}}}}\n'


@pytest.mark.parametrize("theirs", [NOT_PARSED, ":proxy", "http://xxxxx:xxxxx@proxy:3128"])
async def test_a_unit_with_a_foreign_value_that_nobody_can_read_is_as_before(dockerd: Dockerd, theirs: str) -> None:
    dockerd.environment = Texts(theirs)
    dockerd._boot()
    await applied(dockerd, OFFICE)
    assert dockerd.runs_with == OFFICE

    done = await restored(dockerd, is_asked_now=True)

    assert not done.is_failed
    assert dockerd.files() == {}
    assert dockerd.runs_with == Texts(theirs).meaning()


async def test_where_docker_does_not_start_with_it_ours_stay_and_a_second_try_goes_on(dockerd: Dockerd) -> None:
    file = dockerd.root / "etc/daemon.json"
    file.write_text(NOT_PARSED_JSON)
    dockerd._boot()
    await applied(dockerd, OFFICE, Method.DAEMON_JSON)
    ours = dockerd.files()
    dockerd.refuses = Texts(NOT_PARSED).meaning()

    assert (await restored(dockerd)).is_failed
    assert dockerd.files() == ours
    dockerd.refuses = None

    assert not (await restored(dockerd)).is_failed
    assert file.read_text() == NOT_PARSED_JSON
    assert dockerd.runs_with == Texts(NOT_PARSED).meaning()


class Left(Dockerd):
    """One that is not served any more: the values stay, for the one that is, and its drop-in alone leads to them."""

    def _environment(self) -> Texts:
        return self.environment if self.text("unit/drop-in.conf") is None else super()._environment()


async def test_of_a_docker_that_was_left_its_own_files_go_and_it_runs_without_ours(tmp_path: Path) -> None:
    dockerd = Left(tmp_path)
    await applied(dockerd, OFFICE)
    drop_in = dockerd.root / "unit/drop-in.conf"
    others = str(tmp_path / "etc/daemon.json")
    kept = daemon_originals(dockerd.agent_state)
    kept.keep(others, OriginalFile(existed=False))

    behind = msgspec.structs.replace(restoring(dockerd), files=(str(drop_in),))
    done = await behind.restore(dockerd.record(), is_asked_now=False)

    assert (done.targets, done.left) == ((str(drop_in),), ())
    assert list(dockerd.files()) == ["dockerd.env"]
    assert dockerd.runs_with == DIRECT
    assert str(drop_in) not in kept.all()
    assert others in kept.all()


async def test_a_docker_that_cannot_be_heard_is_not_restarted_and_that_is_said(dockerd: Dockerd) -> None:
    await applied(dockerd, OFFICE)
    dockerd.is_silent = True

    done = await restored(dockerd)

    assert dockerd.files() == {}
    assert dockerd.runs_with == OFFICE
    assert any("still runs with the settings that the agent gave it" in line for line in lines(done))
    assert lines(done)[-1].endswith("systemctl restart docker.service")


def test_each_docker_says_what_became_of_it() -> None:
    snap = Restored(("a",), ("a",), Applied(deferred="1 container runs"), by_hand="restart it", unit="snap.service")
    done = Restored(("b",), outcome=Applied(restarted_s=1.23)).with_beside([snap])

    assert lines(done) == [
        "removed      a",
        "restored     b",
        "docker       snap.service still runs with the settings that the agent gave it: 1 container runs",
        "next         the agent will not restart it any more. Run: restart it",
        "docker       restarted, 1.2 s",
    ]
    assert not done.is_failed
    broken = msgspec.structs.replace(snap, outcome=Applied(rolled_back="did not come up"))
    assert done.with_beside([broken]).is_failed


@needs_a_network
def test_by_the_commands_the_bytes_are_back_and_in_force(tmp_path: Path) -> None:
    with proxy() as port:
        machine = Installation(tmp_path, port)
        machine.write(machine.daemon_json, NOT_PARSED_JSON, 0o644)
        with machine:
            before = machine.targets(), machine.runs_with()
            assert said_by(machine, "apply")[0] == 0
            assert machine.targets() != before[0]

            status, said = said_by(machine, "restore", "--now")

            assert (status, "Traceback" in said) == (0, False), said
            assert (machine.targets(), machine.runs_with()) == before
            assert "p@ss" not in said + machine.paths.audit_log.read_text()
            assert said_by(machine, "restore", "--now")[1].startswith("nothing to restore\n")


@needs_a_network
def test_what_was_there_can_be_read_without_the_agent(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        assert said_by(machine, "apply")[0] == 0

        shown = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _by_hand(), str(machine.paths.state)],
            capture_output=True, text=True, check=True,
            timeout=60,
        ).stdout  # fmt: skip

    assert f"=== {machine.daemon_json} was, with mode 644:\n{DAEMON_JSON}" in shown
    assert f"=== {machine.config_json} was there\n" in shown
    assert "proxies.default.httpProxy was not there\n" in shown


def _by_hand() -> str:
    """The program that the documentation has for the day when nothing runs."""
    text = (REPOSITORY / "docs/troubleshooting.md").read_text()
    return textwrap.dedent(text.partition("<<'END'\n")[2].partition("   END\n")[0])


def said_by(machine: Installation, *words: str) -> tuple[int, str]:
    done = machine.ran(*words)
    return done.returncode, done.stdout + done.stderr


# Clients.


async def test_clients_files_and_folders(dockerd: Dockerd, tmp_path: Path) -> None:
    people = People(tmp_path, "[clients]\ncredentials = true")
    people.state = dockerd.root / "state"
    alice, bob = people.add("alice", may_create=True), people.add("bob", LOGGED_IN)
    carol = people.add("carol", may_create=True)
    carol.parent.mkdir()
    bob.chmod(0o640)
    await people.passed(upstream("http://office:3128", username="u", password=Secret("hunter2")))
    assert bob.stat().st_mode & 0o777 == 0o600

    homes = counting(starts := tmp_path / "starts")
    done = await restoring(dockerd, people, homes=homes).restore(dockerd.record(), is_asked_now=False)

    assert starts.read_text() == "+"  # for all that are one user's
    assert set(done.targets) == {str(alice), str(bob), str(carol)}
    assert not alice.parent.exists()
    assert carol.parent.is_dir()
    assert not carol.exists()
    assert bob.read_text() == LOGGED_IN
    assert bob.stat().st_mode & 0o777 == 0o640
    assert set(done.removed) == {str(alice), str(carol)}
    assert client_originals(people.state).all() == {}


async def test_what_nobody_expected_of_docker_costs_the_clients_nothing(dockerd: Dockerd, tmp_path: Path) -> None:
    people = People(tmp_path)
    people.state = dockerd.root / "state"
    bob = people.add("bob", LOGGED_IN)
    await people.passed(upstream("http://office:3128"))
    (dockerd.root / "etc/daemon.json").write_text(FOREIGN)
    await applied(dockerd, OFFICE)

    def breaks() -> None:
        raise ZeroDivisionError

    dockerd.before_it_starts = breaks

    done = await restoring(dockerd, people).restore(dockerd.record(), is_asked_now=True)

    assert done.is_failed
    assert done.left[0].startswith("Docker: ended by an unexpected error: ZeroDivisionError at ")
    assert bob.read_text() == LOGGED_IN
    assert daemon_originals(people.state).all() != {}
    assert dockerd.events()[-1] == "restored"


async def test_clients_files_by_what_an_earlier_version_kept(dockerd: Dockerd, tmp_path: Path) -> None:
    people = People(tmp_path, TELLS_ALL)
    people.state = dockerd.root / "state"
    bob = people.add("bob", LOGGED_IN)
    await people.passed(WITH_PASSWORD)
    as_an_earlier_version_kept_it(people, bob)

    done = await restoring(dockerd, people).restore(dockerd.record(), is_asked_now=False)

    assert done.targets == (str(bob),)
    assert bob.read_text() == LOGGED_IN


async def test_a_login_since_stays_in_a_file_that_was_made_for_us(dockerd: Dockerd, tmp_path: Path) -> None:
    people = People(tmp_path)
    people.state = dockerd.root / "state"
    alice = people.add("alice", may_create=True)
    await people.passed(upstream("http://office:3128"))
    alice.write_text(json.dumps({**json.loads(alice.read_text()), "auths": {"registry.example": {}}}))

    await restoring(dockerd, people).restore(dockerd.record(), is_asked_now=False)

    assert json.loads(alice.read_text()) == {"auths": {"registry.example": {}}}


# Whatever stood there, whatever was written.

NAMES = st.sampled_from(["debug", "labels", "a b", "log-driver"])
VALUES = st.sampled_from(["true", "[ ]", '["x"]', "{}", '{ "a":1}', '"\\u00e9"', "1.50"])
SPACES = st.sampled_from(["", " ", "\n", "\n\t", "\r\n    "])
PROXIES = st.sampled_from(
    ["", "{}", '{"http-proxy":"http://foreign:1"}', '{ "no-proxy" : "x" , "https-proxy": "http://foreign:2" }']
)
CLIENT_PROXIES = st.sampled_from(
    ["", "{}", '{"default": {}}', '{"default":{"httpProxy" : "http://foreign:1","ftpProxy":"x"}}', '{ "other":{} }']
)
WANTED = st.sampled_from([OFFICE, SECRET, DIRECT, settings("http://b:1", "", "x"), settings("", "socks5://c:2", "*.y")])
UPSTREAMS = st.sampled_from(["http://office:3128", "socks5://office:1080", "http://10.0.0.1:8"])


@st.composite
def objects(draw: st.DrawFn, proxies: st.SearchStrategy[str]) -> str | None:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([None, "", "\n", "{}", "{ \n}\n"]))
    members = [(name, draw(VALUES)) for name in draw(st.lists(NAMES, unique=True, max_size=3))]
    if said := draw(proxies):
        members.insert(draw(st.integers(0, len(members))), ("proxies", said))
    space = draw(SPACES)
    inside = ("," + space).join(f'"{name}"{draw(SPACES)}:{draw(SPACES)}{value}' for name, value in members)
    return "{" + space + inside + draw(SPACES) + "}" + draw(SPACES)


@pytest.mark.long
@examples(deadline=None, max_examples=fewer(100))
@given(objects(PROXIES), st.lists(WANTED, min_size=1, max_size=3), st.sampled_from(list(Method)), st.booleans())
def test_any_daemon_json_comes_back(text: str | None, wanted: list[Settings], method: Method, is_edited: bool) -> None:
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        dockerd = Dockerd(Path(folder))
        file = dockerd.root / "etc/daemon.json"
        if text is not None:
            file.write_bytes(text.encode())
            dockerd._boot()
        before = dockerd.files()

        async def there_and_back() -> None:
            for one in wanted:
                await applied(dockerd, one, method)
            if is_edited:
                file.write_text(_with(dockerd.text("etc/daemon.json")))
            done = await restored(dockerd)
            assert not done.is_failed, done

        asyncio.run(there_and_back())

        if not is_edited:
            assert dockerd.files() == before
        else:
            assert json.loads(file.read_text()) == {**json.loads((text or "").strip() or "{}"), "theirs": 1}
        assert dockerd.runs_with == daemon_json.texts(text).meaning()


@examples(deadline=None, max_examples=fewer(15, at_least=3))
@given(objects(CLIENT_PROXIES), st.lists(UPSTREAMS, min_size=1, max_size=2), st.booleans())
def test_any_clients_file_comes_back(text: str | None, urls: list[str], is_edited: bool) -> None:
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        (Path(folder) / "docker").mkdir()
        dockerd = Dockerd(Path(folder) / "docker")
        people = People(Path(folder))
        people.state = dockerd.root / "state"
        file = people.add("alice", may_create=True)
        if text is not None:
            file.parent.mkdir()
            file.write_bytes(text.encode())

        async def there_and_back() -> None:
            for url in urls:
                await people.passed(upstream(url))
            if is_edited:
                file.write_text(_with(file.read_text()))
            done = await restoring(dockerd, people).restore(dockerd.record(), is_asked_now=False)
            assert not done.is_failed, done

        asyncio.run(there_and_back())

        if is_edited:
            assert json.loads(file.read_text()) == {**json.loads((text or "").strip() or "{}"), "theirs": 1}
        elif text is None:
            assert not file.parent.exists()
        else:
            assert file.read_bytes() == text.encode()


def _with(text: str | None) -> str:
    """What somebody else makes of the file: another key, and the formatting of their tool."""
    return json.dumps({**json.loads((text or "").strip() or "{}"), "theirs": 1}, indent=3)
