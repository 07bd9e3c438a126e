"""Whose config.json is kept, as whom, and why somebody is left out."""

from __future__ import annotations

import posixpath
from pathlib import Path

import pytest

from agent.clients.mounts import Mount, mounts
from agent.clients.root_walk import Kind, PathEntry
from agent.clients.users import Account, Caller, FoundBy, Skipped, Threshold, Who, who
from agent.system.passwd import Group, Login, group, groups_of, is_private, logins
from agent.values.policy import Clients

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
jenkins:x:110:110::/var/lib/jenkins:/bin/bash
runner:x:111:111::/var/lib/runner:/usr/sbin/nologin
alice:x:1000:1000:Alice,,,:/home/alice:/bin/bash
bob:x:1001:1001:Bob:/home/bob:/bin/zsh
carol:x:1002:999:Carol:/home/carol:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = "root:x:0:\nsudo:x:27:alice,bob\ndocker:x:999:alice, runner\nalice:x:1000:\n"
ROOT_MOUNT = "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
ROOT = Caller(0, 0)
FOLDER = PathEntry(Kind.DIRECTORY)
FILE = PathEntry(Kind.FILE)
AUTO = Clients()

HOMES = (
    "/root",
    "/home/alice",
    "/home/bob",
    "/home/carol",
    "/var/lib/jenkins",
    "/var/lib/runner",
    "/var/www",
    "/usr/sbin",
)


class Machine:
    """What `ThisSystem` is asked, of a machine that is written down; who looks where it may hang, hangs.

    That is so on some file systems, and below whatever is not root's.
    """

    def __init__(
        self,
        *configs: str,
        homes: tuple[str, ...] = HOMES,
        links: dict[str, str] | None = None,
        more: dict[str, PathEntry] | None = None,
        mounted: str = "",
        ldap: tuple[Login, ...] = (),
        passwd: str = PASSWD,
    ) -> None:
        self._passwd = passwd
        self._mounted = ROOT_MOUNT + mounted
        self._ldap = ldap
        self._links = links or {}
        self._tree: dict[str, PathEntry] = {}
        owners = {one.home: one.uid for one in logins(passwd)}
        for home in homes:
            self._put(home, PathEntry(Kind.DIRECTORY, owners.get(home, 0), inode=len(self._tree)))
        for config in configs:
            self._put(config, FILE)
        for link in self._links:
            self._put(link, PathEntry(Kind.LINK))
        for path, seen in (more or {}).items():
            self._put(path, seen)

    def _put(self, path: str, seen: PathEntry) -> None:
        self._tree[path] = seen
        above = posixpath.dirname(path)
        if above != "/":
            self._tree.setdefault(above, FOLDER)
            self._put(above, self._tree[above])

    def passwd(self) -> str:
        return self._passwd

    def group(self) -> str:
        return GROUP

    def mountinfo(self) -> str:
        return self._mounted

    def login(self, name: str) -> Login | None:
        return next((one for one in (*logins(self._passwd), *self._ldap) if one.name == name), None)

    def login_of(self, uid: int) -> Login | None:
        return next((one for one in (*logins(self._passwd), *self._ldap) if one.uid == uid), None)

    def groups(self, login: Login) -> tuple[int, ...]:
        return groups_of(GROUP, login)

    def entry(self, path: str) -> PathEntry | None:
        far = [one for one in mounts(self._mounted) if one.kind != "ext4" and one.holds(path)]
        above = posixpath.dirname(path)
        assert not far, f"{path} is asked for, and hangs"
        assert above == "/" or self._tree[above].uid == 0, f"{path} is asked for, below what is somebody's"
        return self._tree.get(path)

    def link(self, path: str) -> str:
        return self._links[path]


def mounted(point: str, kind: str, number: int = 2, parent: int = 1) -> str:
    return f"{number} {parent} 0:40 / {point} rw,relatime - {kind} server:/home rw\n"


def names(found: Who) -> list[str]:
    return [account.name for account in found.accounts]


def skipped(found: Who) -> dict[str, str]:
    return {one.name: one.why for one in found.skipped}


# Auto.


def test_root_members_of_docker_and_who_may_have_a_config() -> None:
    found = who(AUTO, Machine(), ROOT)

    assert [(account.name, account.may_create, account.found_by) for account in found.accounts] == [
        ("root", True, FoundBy.ROOT),
        ("jenkins", False, FoundBy.HAS_CONFIG),
        ("runner", True, FoundBy.DOCKER),
        ("alice", True, FoundBy.DOCKER),
        ("bob", False, FoundBy.HAS_CONFIG),
        ("carol", True, FoundBy.DOCKER),  # by her primary group
    ]
    assert found.skipped == ()


def test_an_account_says_as_whom_and_where() -> None:
    alice = next(one for one in who(AUTO, Machine(), ROOT).accounts if one.name == "alice")

    assert (alice.uid, alice.gid, alice.groups) == (1000, 1000, (1000, 27, 999))
    assert (str(alice.home), str(alice.config)) == ("/home/alice", "/home/alice/.docker/config.json")
    assert alice.threshold is not None
    assert (str(alice.threshold.folder), alice.threshold.below) == ("/home/alice", (".docker", "config.json"))


def test_something_mounted_over_a_folder_is_another_threshold() -> None:
    one, other = (
        {one.name: one.threshold for one in who(AUTO, Machine(mounted=more), ROOT).accounts}
        for more in ("", mounted("/home/alice/.docker", "ext4"))
    )

    assert one["alice"] != other["alice"]
    assert one["bob"] == other["bob"]


def test_another_folder_in_a_homes_place_is_another_threshold() -> None:
    one, other = (
        {one.name: one.threshold for one in who(AUTO, Machine(homes=homes), ROOT).accounts}
        for homes in (HOMES, HOMES[::-1])
    )

    assert one["alice"] != other["alice"]


@pytest.mark.parametrize(
    ("name", "is_asked"),
    [
        pytest.param("bob", True, id="a-person"),
        pytest.param("jenkins", True, id="a-package's-account-with-a-shell"),
        pytest.param("www-data", False, id="a-package's-account-without"),
        pytest.param("daemon", False, id="a-home-that-is-none"),
    ],
)
def test_who_is_asked_for_a_config(name: str, is_asked: bool) -> None:
    assert (name in names(who(AUTO, Machine(), ROOT))) is is_asked


def test_nobody_has_none() -> None:
    passwd = PASSWD.replace("/nonexistent", "/srv/nobody")

    assert "nobody" not in names(who(AUTO, Machine("/srv/nobody/.docker/config.json", passwd=passwd), ROOT))


def test_what_lies_in_a_home_is_not_looked_at() -> None:
    """The machine sees to it."""
    links = {"/home/bob/.docker": "/mnt/hangs", "/var/lib/jenkins/.docker/config.json": "/etc/shadow"}

    found = who(AUTO, Machine(links=links, mounted=mounted("/mnt/hangs", "nfs4")), ROOT)

    assert {"bob", "jenkins"} <= set(names(found))


def test_a_home_below_somebodys_folder_is_the_helpers_to_find() -> None:
    passwd = PASSWD.replace(":/home/bob:", ":/home/alice/guests/bob:").replace(":/home/carol:", ":/srv/carol:")
    more = {"/srv/carol": PathEntry(Kind.LINK, 1002)}

    found = {one.name: one.threshold for one in who(AUTO, Machine(passwd=passwd, more=more), ROOT).accounts}

    assert found["bob"] is not None
    assert found["carol"] is not None
    assert (str(found["bob"].folder), found["bob"].below) == (
        "/home/alice",
        ("guests", "bob", ".docker", "config.json"),
    )
    assert (str(found["carol"].folder), found["carol"].below) == ("/srv", ("carol", ".docker", "config.json"))


def test_a_home_behind_links_is_found_where_it_is() -> None:
    machine = Machine(
        "/data/people/bob/.docker/config.json", homes=("/root",), links={"/home": "data/people", "/data/people/alice": "../../srv/a"},
        more={"/srv/a": FOLDER},
    )  # fmt: skip

    found = {account.name: str(account.home) for account in who(AUTO, machine, ROOT).accounts}

    assert found == {"root": "/root", "alice": "/srv/a", "bob": "/data/people/bob"}


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (
            "nfs",
            "its home /home/alice is on nfs, a network file system; name the user in clients.users to keep its file",
        ),
        (
            "nfs4",
            "its home /home/alice is on nfs4, a network file system; name the user in clients.users to keep its file",
        ),
        (
            "cifs",
            "its home /home/alice is on cifs, a network file system; name the user in clients.users to keep its file",
        ),
        ("9p", "its home /home/alice is on 9p, a network file system; name the user in clients.users to keep its file"),
        ("fuse.sshfs", "its home /home/alice is on fuse.sshfs; name the user in clients.users to keep its file"),
        ("fuseblk", "its home /home/alice is on fuseblk; name the user in clients.users to keep its file"),
        ("autofs", "its home /home/alice is not mounted; name the user in clients.users to try it anyway"),
    ],
)
def test_a_home_that_may_hang_is_not_looked_at_and_said(kind: str, why: str) -> None:
    machine = Machine(mounted=mounted("/home/alice", kind))

    found = who(AUTO, machine, ROOT)

    assert "alice" not in names(found)
    assert skipped(found)["alice"] == why


def test_all_homes_behind_an_automounter() -> None:
    found = who(AUTO, Machine(mounted=mounted("/home", "autofs")), ROOT)

    assert names(found) == ["root", "jenkins", "runner"]
    assert set(skipped(found)) == {"alice", "bob", "carol"}


def test_a_home_behind_a_link_that_may_hang() -> None:
    machine = Machine(homes=("/root",), links={"/home/alice": "/net/alice"}, mounted=mounted("/net", "nfs"))

    assert "is on nfs" in skipped(who(AUTO, machine, ROOT))["alice"]


def test_a_docker_folder_on_another_ground_than_its_home() -> None:
    machine = Machine(
        mounted=mounted("/home/bob/.docker", "fuse.rclone") + mounted("/home/alice/.docker/config.json", "nfs", 3)
    )

    found = who(AUTO, machine, ROOT)

    assert (
        skipped(found)["bob"]
        == "its home /home/bob/.docker is on fuse.rclone; name the user in clients.users to keep its file"
    )
    assert "alice" in skipped(found)


def test_a_home_that_is_missing_is_said_only_of_who_would_be_written_for() -> None:
    found = who(AUTO, Machine(homes=("/root",)), ROOT)

    assert names(found) == ["root"]
    assert skipped(found) == {name: f"its home {home} does not exist" for name, home in (("runner", "/var/lib/runner"), ("alice", "/home/alice"), ("carol", "/home/carol"))}  # fmt: skip


def test_one_home_is_kept_once() -> None:
    machine = Machine(passwd=PASSWD + "toor:x:0:0::/root/:/bin/sh\n")

    found = who(AUTO, machine, ROOT)

    assert names(found).count("root") == 1
    assert skipped(found) == {"toor": "has the same home as root"}


def test_a_member_that_only_ldap_knows() -> None:
    dave = Login("runner", 70001, 70001, "/home/dave", "/bin/bash")
    machine = Machine(homes=("/home/dave",), ldap=(dave,), passwd="root:x:0:0::/nonexistent:/bin/sh\n")

    found = who(AUTO, machine, ROOT)

    assert [(account.name, account.found_by) for account in found.accounts] == [("runner", FoundBy.DOCKER)]
    assert skipped(found) == {"root": "has no home (/nonexistent)"}


def test_links_in_circles_end() -> None:
    machine = Machine(homes=("/root",), links={"/home/alice": "/home/bob", "/home/bob": "/home/alice"})

    assert "leads in circles" in skipped(who(AUTO, machine, ROOT))["alice"]


# Named.


def test_named_users_and_nobody_else() -> None:
    ldap = Login("erin", 70000, 70000, "/home/erin", "/bin/bash")
    machine = Machine("/home/bob/.docker/config.json", homes=(*HOMES, "/home/erin"), ldap=(ldap,))

    found = who(Clients(users=("erin", "bob", "mallory", "bob", "nobody")), machine, ROOT)

    assert [(account.name, account.may_create, account.found_by) for account in found.accounts] == [
        ("bob", True, FoundBy.NAMED),
        ("erin", True, FoundBy.NAMED),
    ]
    assert skipped(found) == {"mallory": "there is no such user", "nobody": "has no home (/nonexistent)"}


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "autofs"])
def test_a_named_users_home_may_hang_and_is_still_not_looked_at(kind: str) -> None:
    found = who(Clients(users=("alice",)), Machine(mounted=mounted("/home", kind)), ROOT)

    assert [str(account.config) for account in found.accounts] == ["/home/alice/.docker/config.json"]


def test_a_named_user_without_a_home() -> None:
    assert skipped(who(Clients(users=("alice",)), Machine(homes=()), ROOT)) == {
        "alice": "its home /home/alice does not exist"
    }


def test_nobody_at_all() -> None:
    assert who(Clients(users=()), Machine(), ROOT) == Who(())


# Further files.

CI = "/srv/ci/config.json"


def of(uid: int, kind: Kind = Kind.FILE, gid: int = 0, mode: int = 0o644) -> PathEntry:
    return PathEntry(kind, uid, gid, mode)


def test_a_file_is_kept_as_its_owner() -> None:
    found = who(Clients(users=(), files=(CI,)), Machine(more={CI: of(1001)}), ROOT)

    (bob,) = found.accounts
    threshold = Threshold(Path("/srv/ci"), (0, 0), ("config.json",), 1)
    assert bob == Account(
        "bob",
        1001,
        1001,
        (1001, 27),
        bob.home,
        bob.config,
        may_create=False,
        found_by=FoundBy.FILE,
        threshold=threshold,
    )
    assert (str(bob.home), str(bob.config)) == ("/home/bob", CI)


def test_an_owner_without_a_name_is_kept_by_number() -> None:
    found = who(Clients(users=(), files=(CI,)), Machine(more={CI: of(4242, gid=43)}), ROOT)

    assert [(account.name, account.uid, account.gid) for account in found.accounts] == [("4242", 4242, 43)]


def test_a_file_that_is_somebodys_own_is_kept_once() -> None:
    config = "/home/alice/.docker/config.json"

    assert names(who(Clients(users=("alice",), files=(config,)), Machine(config), ROOT)) == ["alice"]


@pytest.mark.parametrize(
    ("more", "links", "why"),
    [
        pytest.param({}, {}, "does not exist, so it has no owner; create it as its future owner", id="missing"),
        pytest.param({CI: of(0, Kind.OTHER)}, {}, "is not a regular file", id="a-pipe"),
        pytest.param({CI: FOLDER}, {}, "is not a regular file", id="a-folder"),
        pytest.param({CI: of(1001), "/srv": of(0, Kind.DIRECTORY, mode=0o777)}, {}, "others can write to /srv on the way to it", id="in-everybody's-folder"),
        pytest.param({CI: of(0), "/srv/ci": of(0, Kind.DIRECTORY, 27, 0o775)}, {}, "others can write to /srv/ci on the way to it", id="root's-in-a-group's-folder"),
    ],
)  # fmt: skip
def test_a_file_that_somebody_else_could_lead_elsewhere(
    more: dict[str, PathEntry], links: dict[str, str], why: str
) -> None:
    found = who(Clients(users=(), files=(CI,)), Machine(more=more, links=links), ROOT)

    assert found == Who((), (Skipped(CI, why),))


@pytest.mark.parametrize(
    ("more", "folder", "below"),
    [
        pytest.param({"/srv/ci": of(1001, Kind.LINK), "/root/config.json": of(0)}, "/srv", ("ci", "config.json"), id="a-link"),
        pytest.param({CI: of(1001, Kind.LINK), "/etc/x.json": of(0)}, "/srv/ci", ("config.json",), id="a-link-at-the-end"),
        pytest.param({CI: of(1000), "/srv/ci": of(1001, Kind.DIRECTORY)}, "/srv/ci", ("config.json",), id="a-folder"),
        pytest.param({"/srv": of(1001, Kind.DIRECTORY)}, "/srv", ("ci", "config.json"), id="a-folder-above"),
    ],
)  # fmt: skip
def test_the_first_step_that_is_not_roots_says_whose_helper_goes_on(
    more: dict[str, PathEntry], folder: str, below: tuple[str, ...]
) -> None:
    (bob,) = who(Clients(users=(), files=(CI,)), Machine(more=more), ROOT).accounts

    assert (bob.name, str(bob.config)) == ("bob", CI)
    assert bob.threshold is not None
    assert (str(bob.threshold.folder), bob.threshold.below) == (folder, below)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({CI: of(1001), "/srv/ci": of(1001, Kind.DIRECTORY, 27, 0o775)}, id="the-owner's-folder"),
        pytest.param({CI: of(1001), "/srv": of(0, Kind.DIRECTORY, mode=0o1777), "/srv/ci": of(1001, Kind.DIRECTORY)}, id="below-a-sticky-folder"),
    ],
)  # fmt: skip
def test_a_file_that_only_its_owner_could_lead_elsewhere(more: dict[str, PathEntry]) -> None:
    assert names(who(Clients(users=(), files=(CI,)), Machine(more=more), ROOT)) == ["bob"]


def test_a_file_where_asking_may_hang() -> None:
    found = who(Clients(users=(), files=("/net/config.json",)), Machine(mounted=mounted("/net", "nfs")), ROOT)

    assert found.skipped == (
        Skipped("/net/config.json", "is on nfs, where its owner must not be looked up; name the user in clients.users"),
    )


def test_a_file_must_be_named_whole() -> None:
    found = who(Clients(users=(), files=("config.json",)), Machine(), ROOT)

    assert skipped(found) == {"config.json": "is not an absolute path"}


# A user's own agent.


def test_a_users_own_agent_writes_for_nobody_else() -> None:
    bob = Caller(1001, 1001, (1001,))

    auto = who(AUTO, Machine("/home/alice/.docker/config.json", mounted=mounted("/home/bob", "nfs")), bob)
    named = who(Clients(users=("alice", "bob"), files=(CI,)), Machine(more={CI: of(1000)}), bob)

    assert [(account.name, account.may_create, account.found_by) for account in auto.accounts] == [
        ("bob", True, FoundBy.ITSELF)
    ]
    assert names(named) == ["bob"]
    assert skipped(named) == {
        "alice": "only root can write for another user",
        CI: "only root can write for another user",
    }


# The texts.


def test_passwd_and_group_as_they_really_are() -> None:
    assert logins("# c\n+::::::\n-x:x:1:1::/:/\nshort:x:1\nbad:x:a:1::/:/\nok:x:5:6:G,,:/h:\n") == (
        Login("ok", 5, 6, "/h", ""),
    )
    assert group("docker:x:x:a\ndocker:x:999:\n", "docker") == Group("docker", 999, ())
    assert group("docker:x:999:a,b, c\n", "docker") == Group("docker", 999, ("a", "b", "c"))
    assert group("dockerx:x:1:a\n", "docker") is None


def test_mountinfo_as_it_really_is() -> None:
    text = (
        "36 35 98:0 /mnt1 /mnt\\0402\\134x rw,noatime master:1 shared:2 - ext3 /dev/root rw\n"
        "37 36 0:5 / /net rw - fuse.sshfs a@b:/ - rw\ntorn line\n"
    )

    assert mounts(text) == (Mount(36, 35, "/mnt 2\\x", "ext3"), Mount(37, 36, "/net", "fuse.sshfs"))


# What Python takes for a line break or a blank beside those of the kernel and of passwd (FACTS 67).
ODD = ["\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0", "\u2028", "\u2029", "\u3000"]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_a_name_with_what_python_takes_for_a_line_break_is_one_name(odd: str) -> None:
    text = f"36 35 98:0 / /home/bob/a{odd}b rw - tmpfs t{odd}t rw\n37 35 98:0 / /net rw - nfs4 a:/ rw\n"
    passwd = f"ok:x:5:6:a{odd}b:/h{odd}h:/bin/sh\n"

    assert mounts(text) == (Mount(36, 35, f"/home/bob/a{odd}b", "tmpfs"), Mount(37, 35, "/net", "nfs4"))
    assert logins(passwd) == (Login("ok", 5, 6, f"/h{odd}h", "/bin/sh"),)
    assert group(f"a{odd}docker:x:1:\ndocker:x:999:al{odd}ice\n", "docker") == Group("docker", 999, (f"al{odd}ice",))


@pytest.mark.parametrize(
    ("layers", "is_kept"),
    [
        pytest.param(mounted("/home/alice", "autofs") + mounted("/home/alice", "ext4", 3, 2), True, id="mounted-over-its-automounter"),
        pytest.param(mounted("/home/alice", "ext4") + mounted("/home/alice", "nfs", 3, 2), False, id="nfs-over-a-disk"),
        pytest.param(mounted("/home/alice", "nfs") + mounted("/home", "ext4", 3), True, id="hidden-by-what-was-mounted-above-it"),
        pytest.param(mounted("/home/ali", "nfs"), True, id="a-name-that-only-begins-so"),
    ],
)  # fmt: skip
def test_what_is_in_force_is_what_lies_on_top(layers: str, is_kept: bool) -> None:
    class Layered(Machine):
        def entry(self, path: str) -> PathEntry | None:
            return self._tree.get(path)

    assert ("alice" in names(who(AUTO, Layered(mounted=layers), ROOT))) is is_kept


ALICE = Login("alice", 1000, 1000, "/home/alice")


@pytest.mark.parametrize(
    ("gid", "passwd", "groups", "is_so"),
    [
        pytest.param(1000, PASSWD, GROUP, True, id="as-adduser-makes-it"),
        pytest.param(1000, PASSWD, "alice:x:1000:alice\n", True, id="the-user-is-a-member-as-well"),
        pytest.param(1000, PASSWD, "family:x:1000:\n", True, id="whatever-its-name"),
        pytest.param(1000, PASSWD, "alice:x:1000:bob\n", False, id="another-member"),
        pytest.param(1000, PASSWD, "alice:x:1000:\nteam:x:1000:bob\n", False, id="another-name-with-a-member"),
        pytest.param(1000, PASSWD + "eve:x:1003:1000::/home/eve:/bin/sh\n", GROUP, False, id="another-account-has-it"),
        pytest.param(1000, PASSWD + "eve:x:1000:100::/home/eve:/bin/sh\n", GROUP, False, id="two-names-of-one-uid"),
        pytest.param(27, PASSWD, "sudo:x:27:alice\n", False, id="not-the-users-first-group"),
        pytest.param(1000, PASSWD, "sudo:x:27:\n", False, id="a-name-service-may-know-its-members"),
    ],
)
def test_a_group_is_private_where_nobody_else_can_be_in_it(gid: int, passwd: str, groups: str, *, is_so: bool) -> None:
    assert is_private(gid, ALICE, passwd, groups) is is_so
