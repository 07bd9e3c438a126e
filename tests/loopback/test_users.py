"""Users on a real disk: this system's, and those below another root."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.clients.accounts import NameService, NamesUnknown
from agent.clients.homes import Homes
from agent.clients.root_walk import Kind
from agent.clients.users import Caller, FoundBy, Skipped, ThisSystem, who
from agent.one_pass.sockets import LocalSockets
from agent.system.clock import SystemClock
from agent.system.passwd import Login, groups_of
from agent.values.errors import TargetFailed
from agent.values.policy import Clients

ME = Caller.this()
PASSWD = "root:x:0:0::/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/bash\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system of its own, with root, alice and bob; alice is in group docker."""
    for folder in ("etc", "root", "home/alice", "home/bob"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text("docker:x:999:alice\n")
    return tmp_path


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


def config_of(root: Path, home: str) -> Path:
    config = root / home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text("{}")
    return config


def test_below_another_root_everybody_is_the_caller(root: Path) -> None:
    config = config_of(root, "home/bob")

    found = who(Clients(), ThisSystem(root), ME, str(root))

    assert [(one.name, one.found_by) for one in found.accounts] == [
        ("root", FoundBy.ROOT),
        ("alice", FoundBy.DOCKER),
        ("bob", FoundBy.HAS_CONFIG),
    ]
    assert {(one.uid, one.gid, one.groups) for one in found.accounts} == {(ME.uid, ME.gid, ME.groups)}
    assert found.accounts[2].config == config
    assert all(one.config.is_relative_to(root) for one in found.accounts)


def test_a_link_that_leads_out_of_the_root_is_not_followed(root: Path, outside: Path) -> None:
    (root / "home/alice").rmdir()
    (root / "home/alice").symlink_to(outside)
    (root / "file.json").symlink_to(outside / "file.json")
    (outside / "file.json").write_text("{}")

    found = who(Clients(users=("alice",), files=("/file.json",)), ThisSystem(root), ME, str(root))

    assert found.accounts == ()
    assert found.skipped == (
        Skipped("alice", f"{outside} is not below {root}"),
        Skipped("/file.json", f"{outside / 'file.json'} is not below {root}"),
    )


async def test_a_link_that_leads_out_at_the_last_step_is_not_followed(root: Path, outside: Path) -> None:
    (outside / "config.json").write_text("{}")
    (root / "home/bob/.docker").symlink_to(outside)
    (bob,) = who(Clients(users=("bob",)), ThisSystem(root), ME, str(root)).accounts

    for attempt in (Homes().read(bob, bob.config), Homes().write(bob, bob.config, "{}", "{1}")):
        with pytest.raises(TargetFailed, match=re.escape(f"{outside / 'config.json'} is not below {root}; left")):
            await attempt

    assert (outside / "config.json").read_text() == "{}"


@pytest.mark.needs_root  # to give a file away
async def test_what_is_not_the_callers_is_left_alone(root: Path) -> None:
    os.chown(config_of(root, "home/alice"), 1000, 1000)
    os.chown(root / "home/bob", 1001, 1001)

    found = who(Clients(users=("alice", "bob")), ThisSystem(root), ME, str(root))

    assert [(one.name, one.why.endswith("belongs to another user")) for one in found.skipped] == [("bob", True)]
    (alice,) = found.accounts
    with pytest.raises(TargetFailed, match="belongs to another user"):
        await Homes().read(alice, alice.config)


def test_a_user_that_only_this_system_knows_is_not_looked_up_for_another_root(root: Path) -> None:
    somebody = next(one.pw_name for one in pwd.getpwall() if one.pw_name not in ("root", "alice", "bob"))

    found = who(Clients(users=(somebody,)), ThisSystem(root), ME, str(root))

    assert found.skipped == (Skipped(somebody, "there is no such user"),)


def test_a_file_below_another_root(root: Path) -> None:
    (root / "srv").mkdir()
    (root / "srv/config.json").write_text("{}")

    found = who(Clients(users=(), files=("/srv/config.json",)), ThisSystem(root), ME, str(root))

    (kept,) = found.accounts
    assert (kept.uid, kept.config, kept.found_by) == (ME.uid, root / "srv/config.json", FoundBy.FILE)


def test_a_root_without_users_has_none(tmp_path: Path) -> None:
    assert who(Clients(), ThisSystem(tmp_path), ME, str(tmp_path)).accounts == ()


def test_this_system_knows_whoever_runs_this() -> None:
    system = ThisSystem()
    mine = pwd.getpwuid(ME.uid)

    login = system.login(mine.pw_name)

    assert login is not None
    assert login == system.login_of(ME.uid)
    assert (login.uid, login.gid, login.home) == (mine.pw_uid, mine.pw_gid, mine.pw_dir)
    assert system.groups(login)[0] == mine.pw_gid
    assert system.login("no-such-user") is None
    assert system.login(str(ME.uid)) is None
    assert system.login("--help") is None
    assert system.groups(login) == tuple(
        dict.fromkeys([mine.pw_gid, *sorted(os.getgrouplist(mine.pw_name, mine.pw_gid))])
    )
    assert system.login_of(2**31 - 3) is None
    assert " / " in system.mountinfo()


def silent(tmp_path: Path, marks: str = "asked") -> NameService:
    """One behind which there is no answer: LDAP, in another network. Each question leaves a line."""
    return NameService(("sh", "-c", f"echo $3 >> {tmp_path / marks}; exec sleep 600", "sh"), within_s=0.2)


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(lambda names: names.login("alice"), id="a-name"),
        pytest.param(lambda names: names.login_of(4711), id="a-number"),
        pytest.param(lambda names: names.groups(Login("alice", 4711, 4711, "/")), id="groups"),
    ],
)
def test_a_silent_name_service_is_waited_for_once(question: Callable[[NameService], object], tmp_path: Path) -> None:
    names = silent(tmp_path)

    for _ in range(100):
        with pytest.raises(NamesUnknown, match="gives no answer within"):
            question(names)

    assert len((tmp_path / "asked").read_text().splitlines()) == 1


def test_the_groups_that_it_tells_of_are_all_taken() -> None:
    names = NameService(("sh", "-c", 'printf "%-21s 27 4 4712\\n" "$3"', "sh"))

    assert names.groups(Login("ann 5", 4711, 4712, "/")) == (4712, 4, 27)


def test_what_it_said_last_counts_while_it_is_silent(tmp_path: Path) -> None:
    class Later(SystemClock):
        days = 0.0

        def boottime_s(self) -> float:
            return self.days * 86400 + super().boottime_s()

    clock, passwd = Later(), tmp_path / "passwd"
    answers = f"test -e {passwd} || exec sleep 600; cat {passwd}"
    names = NameService(("sh", "-c", answers, "sh"), within_s=0.5, clock=clock)
    passwd.write_text("ann:x:4711:4712::/home/ann:/bin/sh\n")

    ann = names.login("ann")
    passwd.unlink()
    clock.days = 1

    assert ann == Login("ann", 4711, 4712, "/home/ann", "/bin/sh")
    assert names.login("ann") == ann
    with pytest.raises(NamesUnknown):
        names.login("bert")
    passwd.write_text("")
    clock.days = 2
    assert names.login("ann") is None


def test_an_answer_is_believed_for_a_while_and_until_somebody_asks_anew(tmp_path: Path) -> None:
    """A question costs a process for each account in each pass."""
    counts = f"echo asked >> {tmp_path / 'asked'}; echo ann:x:4711:4712::/home/ann:/bin/sh"
    names = NameService(("sh", "-c", counts, "sh"))

    for _ in range(3):
        assert names.login("ann") is not None
    assert (tmp_path / "asked").read_text() == "asked\n"
    names.ask_anew()
    names.login("ann")
    assert (tmp_path / "asked").read_text() == "asked\nasked\n"


@pytest.mark.parametrize("argv", [("/no/such/program",), ("sh", "-c", "exit 1", "sh")])
def test_a_name_service_that_cannot_be_asked_knows_nobody_and_is_said(argv: tuple[str, ...]) -> None:
    with pytest.raises(NamesUnknown, match="cannot be asked"):
        NameService(argv).login("alice")


def test_whoever_is_in_passwd_is_kept_while_the_name_service_is_silent(tmp_path: Path) -> None:
    """And of the others it is said."""
    system = ThisSystem(names=silent(tmp_path))
    somebody, me = "no-such-user", pwd.getpwuid(ME.uid).pw_name

    found = who(Clients(users=(me, somebody)), system, Caller(0, 0))

    assert [account.name for account in found.accounts] == [me]
    assert found.accounts[0].groups == groups_of(system.group(), Login(me, ME.uid, ME.gid, "/"))
    unknown = "it is unknown whether this user exists: the name service gives no answer within 0.2 s"
    assert found.skipped == (Skipped(somebody, unknown),)


def test_an_owner_that_cannot_be_told_is_no_stranger(tmp_path: Path) -> None:
    """Nor is there "no such user"; a listener without a name has a number."""
    sockets = LocalSockets(ThisSystem(names=silent(tmp_path)))

    with pytest.raises(NamesUnknown):
        sockets.uid("ann")
    assert sockets.uid("root") == 0
    assert (sockets.name(0), sockets.name(4711)) == ("root", "")


def test_only_names_are_looked_at(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    system = ThisSystem()

    pipe, link = (system.entry(str(tmp_path / name)) for name in ("pipe", "link"))
    assert pipe is not None
    assert link is not None
    assert (pipe.kind, link.kind) == (Kind.OTHER, Kind.LINK)
    assert system.entry(str(tmp_path / "pipe" / "below")) is None
    assert system.link(str(tmp_path / "link")) == "pipe"


def test_a_client_that_is_a_snap_has_a_file_of_its_own_kept_where_it_is_there(root: Path) -> None:
    snaps = ("snap", "docker", "current", ".docker", "config.json")

    found = who(Clients(), ThisSystem(root), ME, str(root), more=(snaps,))

    mine = [
        (one.name, one.config.relative_to(root), one.may_create) for one in found.accounts if "home" in str(one.home)
    ]
    assert mine == [
        ("alice", Path("home/alice/.docker/config.json"), True),
        ("alice", Path("home/alice", *snaps), False),
        ("bob", Path("home/bob/.docker/config.json"), False),
        ("bob", Path("home/bob", *snaps), False),
    ]
