"""Users on a real disk: this system's, and those below another root."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

import pytest

from agent.errors import TargetFailed
from agent.ground import Kind
from agent.homes import Homes
from agent.policy import Clients
from agent.users import Caller, Skipped, Source, ThisSystem, who

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

    assert [(one.name, one.source) for one in found.accounts] == [
        ("root", Source.ROOT),
        ("alice", Source.DOCKER),
        ("bob", Source.HAS_CONFIG),
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
    assert (kept.uid, kept.config, kept.source) == (ME.uid, root / "srv/config.json", Source.FILE)


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
    assert system.login_of(2**31 - 3) is None
    assert " / " in system.mountinfo()


def test_only_names_are_looked_at(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    system = ThisSystem()

    pipe, link = (system.seen(str(tmp_path / name)) for name in ("pipe", "link"))
    assert pipe is not None
    assert link is not None
    assert (pipe.kind, link.kind) == (Kind.OTHER, Kind.LINK)
    assert system.seen(str(tmp_path / "pipe" / "below")) is None
    assert system.link(str(tmp_path / "link")) == "pipe"
