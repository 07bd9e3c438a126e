"""The policy's files: who may have written them, and the passwords in them."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from agent.system.passwd import logins, owner_of
from agent.system.policy_file import Loaded, load, load_for_elsewhere, load_safely, owners
from agent.values.errors import NoPolicy, PolicyRefused
from agent.values.paths import Paths, layout_of_user
from agent.values.secret import Secret

from .certificates import CORP

ME = frozenset({os.geteuid()})
NOBODY = frozenset({65534})
OFFICE = '[upstream.office]\nurl = "http://proxy:3128"\nusername = "alice"\n'


class Etc:
    """A folder with a policy in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)
        self.policy = folder / "config.toml"

    def write(self, text: str, mode: int = 0o644) -> Self:
        self.policy.write_text(text)
        self.policy.chmod(mode)
        return self

    def password(self, text: str | bytes, mode: int = 0o600) -> str:
        file = self.folder / "office.password"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        file.chmod(mode)
        return f'password_file = "{file}"\n'

    def load(self, owners: frozenset[int] = ME, **environment: str) -> Loaded:
        return load(self.policy, owners, environment)


@pytest.fixture
def etc(tmp_path: Path) -> Etc:
    return Etc(tmp_path)


def test_a_password_loses_one_newline_and_nothing_else(etc: Etc) -> None:
    etc.write(OFFICE + etc.password(" p@ss \n\n"))

    assert etc.load().policy.upstreams["office"].password == Secret(" p@ss \n")


def test_a_credential_of_systemd(etc: Etc, tmp_path: Path) -> None:
    etc.write(OFFICE + 'password_credential = "office"\n')
    (tmp_path / "office").write_text("p@ss\n")

    assert etc.load(CREDENTIALS_DIRECTORY=str(tmp_path)).policy.upstreams["office"].password == Secret("p@ss")
    assert "only the service has it" in etc.load().unsafe[-1]


def test_no_policy_is_not_a_wrong_one(etc: Etc) -> None:
    with pytest.raises(NoPolicy, match="there is no policy"):
        etc.load()


@pytest.mark.parametrize(
    ("mode", "what"),
    [(0o666, "can be written by others (mode 0666)"), (0o664, "can be written by others (mode 0664)")],
)
def test_a_policy_that_others_can_write_is_unsafe(etc: Etc, mode: int, what: str) -> None:
    etc.write("", mode)

    assert [line for line in etc.load().unsafe if what in line]


def test_a_policy_in_a_folder_that_others_can_write_is_unsafe(etc: Etc) -> None:
    etc.write("").folder.chmod(0o777)

    assert len(etc.load().unsafe) == 1


def test_a_policy_of_somebody_else_is_unsafe(etc: Etc) -> None:
    lines = etc.write("").load(NOBODY).unsafe

    assert [line for line in lines if f'"{etc.policy}" belongs to {owner_of(os.geteuid(), Paths())}' in line]


def test_a_password_that_others_can_read_is_unsafe(etc: Etc) -> None:
    etc.write(OFFICE + etc.password("hunter2", 0o644))

    (line,) = etc.load().unsafe

    assert line.startswith("upstream.office.password_file: ")
    assert "can be read by others (mode 0644): sudo chmod 600" in line


def test_ones_own_policy_is_put_right_without_sudo_unless_it_is_somebody_elses(etc: Etc) -> None:
    etc.write("", 0o666)
    whose = logins(Path("/etc/passwd").read_text())
    uid = next(login.uid for login in whose if login.uid not in {0, os.geteuid()})
    own = Paths(layout=layout_of_user(uid, "/nonexistent", {}))

    others, writable = load(etc.policy, owners(own) - {os.geteuid()}, {}, own).unsafe[:2]

    assert others.endswith(f': sudo chown {owner_of(uid, own)} "{etc.policy}"')
    assert writable.endswith(f': chmod go-w "{etc.policy}"')


@pytest.mark.parametrize("members", ["", "bob"])
def test_what_the_users_private_group_may_do_is_safe_in_the_users_own_instance(etc: Etc, members: str) -> None:
    """Debian gives each user a group, and a umask of 0002."""
    etc.write(OFFICE + etc.password("hunter2", 0o660).replace(str(etc.folder), ""), 0o664).folder.chmod(0o775)
    (etc.folder / "etc").mkdir()
    (etc.folder / "etc/passwd").write_text(f"alice:x:{os.geteuid()}:{os.getegid()}::/home/alice:/bin/sh\n")
    (etc.folder / "etc/group").write_text(f"alice:x:{os.getegid()}:{members}\n")
    own = Paths(etc.folder, layout_of_user(os.geteuid(), "/home/alice", {}))

    of_the_users = load(etc.policy, owners(own), {}, own).unsafe
    of_the_systems = load(etc.policy, owners(own), {}, Paths(etc.folder)).unsafe

    assert len(of_the_users) == (4 if members else 0)  # file, folder, and twice the password
    assert len(of_the_systems) == 4


@pytest.mark.parametrize("kind", ["file", "password"])
def test_others_whom_an_access_list_names_are_no_private_group(etc: Etc, kind: str) -> None:
    etc.write(OFFICE + etc.password("hunter2").replace(str(etc.folder), ""))
    (etc.folder / "etc").mkdir()
    (etc.folder / "etc/passwd").write_text(f"alice:x:{os.geteuid()}:{os.getegid()}::/home/alice:/bin/sh\n")
    (etc.folder / "etc/group").write_text(f"alice:x:{os.getegid()}:\n")
    own = Paths(etc.folder, layout_of_user(os.geteuid(), "/home/alice", {}))
    let_in(etc.policy if kind == "file" else etc.folder / "office.password")

    assert load(etc.policy, owners(own), {}, own).unsafe


def let_in(file: Path, uid: int = 4711) -> None:
    """As `setfacl --modify u:4711:rw` does: acl(5), linux/posix_acl_xattr.h."""
    nobody = 0xFFFFFFFF
    entries = [(0x01, 6, nobody), (0x02, 6, uid), (0x04, 4, nobody), (0x10, 6, nobody), (0x20, 4, nobody)]
    try:
        packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
        os.setxattr(file, "system.posix_acl_access", packed)
    except OSError:
        pytest.skip("no access lists on this file system")


def test_safe_files_are_safe(etc: Etc) -> None:
    etc.write(OFFICE + etc.password("hunter2"))

    assert etc.load().unsafe == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            OFFICE + 'password_file = "/none/p"',
            'upstream.office.password_file: "/none/p" does not exist: write the password into it, mode 0600',
        ),
        ('[probe]\nca_file = "/nonexistent/ca"', 'probe.ca_file: "/nonexistent/ca" cannot be read: No such file'),
        ('[probe]\nca_file = "/dev/null"', 'probe.ca_file: "/dev/null" contains no certificate in PEM'),
        ("[[network]]", "network 1.use: is missing"),
    ],
)  # fmt: skip
def test_what_the_policy_names_must_be_there(etc: Etc, text: str, problem: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        etc.write(text).load()

    assert refused.value.path == str(etc.policy)
    assert refused.value.problems[0].startswith(problem)


def test_a_password_that_is_no_text_is_refused_without_showing_it(etc: Etc) -> None:
    etc.write(OFFICE + etc.password(b"hunter2\xff"))

    with pytest.raises(PolicyRefused) as refused:
        etc.load()

    assert "is not UTF-8" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_password_as_long_as_a_file_by_mistake_is_refused(etc: Etc) -> None:
    etc.write(OFFICE + etc.password("x" * 5000))

    with pytest.raises(PolicyRefused, match="is larger than any password"):
        etc.load()


def test_what_is_no_file_is_refused_at_once(etc: Etc) -> None:
    os.mkfifo(etc.policy)

    with pytest.raises(PolicyRefused, match="is not a regular file"):
        etc.load()


@pytest.mark.parametrize("text", ['[probe]\nca_file = "/a\\u0000b"', "a = " + "[" * 5000 + "]" * 5000])
def test_a_text_that_no_file_name_can_hold_or_that_never_ends_is_refused(etc: Etc, text: str) -> None:
    with pytest.raises(PolicyRefused, match="not a policy"):
        etc.write(text).load()


def test_a_policy_for_another_machine_is_checked_without_the_files_that_it_names(etc: Etc) -> None:
    etc.write(
        '[probe]\nca_file = "/nowhere/ca.pem"\n' + OFFICE + 'password_file = "/nowhere/office.password"\n', mode=0o666
    )

    found = load_for_elsewhere(etc.policy)

    assert found.policy.upstreams["office"].password is None
    assert found.unsafe == ()
    with pytest.raises(PolicyRefused, match="No such file"):
        load(etc.policy, ME, {})


def test_a_pac_needs_what_evaluates_it(etc: Etc, monkeypatch: pytest.MonkeyPatch) -> None:
    etc.write('[upstream.corp]\npac = "file:///etc/corp.pac"\n')
    assert etc.load().policy.upstreams["corp"].is_pac

    monkeypatch.setitem(sys.modules, "pacparser", None)  # as where it is not installed

    with pytest.raises(PolicyRefused, match=r"upstream\.corp\.pac: it needs pacparser, which is not installed"):
        etc.load()
    assert load_for_elsewhere(etc.policy).policy.upstreams["corp"].is_pac


def test_what_is_wrong_with_its_text_is_wrong_everywhere(etc: Etc) -> None:
    etc.write("[probe]\ntimout = 3\n")

    with pytest.raises(PolicyRefused, match="timout: unknown"):
        load_for_elsewhere(etc.policy)


def test_below_another_root_lies_what_a_policy_names_and_who_it_belongs_to(tmp_path: Path) -> None:
    """A password of the system at the same path is not read, and names are those of the root's own passwd."""
    paths = Paths(tmp_path)
    etc = tmp_path / "etc/docker-proxy-agent"
    etc.mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text(f"landlady:x:{os.geteuid()}:0::/:/bin/sh\n")
    text = OFFICE + 'password_file = "/etc/docker-proxy-agent/pw"\n[probe]\nca_file = "/etc/docker-proxy-agent/ca"\n'
    Etc(etc).write(text)
    with pytest.raises(PolicyRefused) as refused:
        load(paths.policy, ME, {}, paths)
    assert refused.value.problems == (
        f'probe.ca_file: "{etc}/ca" cannot be read: No such file or directory',
        f'upstream.office.password_file: "{etc}/pw" does not exist: write the password into it, mode 0600',
    )

    (etc / "pw").write_text("hunter2\n")
    (etc / "pw").chmod(0o600)
    CORP.cert_pem.write_to_path(str(etc / "ca"))

    assert load(paths.policy, ME, {}, paths).policy.upstreams["office"].password == Secret("hunter2")
    somebody_else = frozenset({os.geteuid() + 1})
    assert [line.partition(":")[0] for line in load(paths.policy, somebody_else, {}, paths).unsafe] == [
        f'"{paths.policy}" belongs to landlady', f'"{etc}" belongs to landlady', "upstream.office.password_file",
    ]  # fmt: skip
    assert "belongs to landlady" in load(paths.policy, somebody_else, {}, paths).unsafe[-1]


class Folder(Etc):
    """The same with a config.d."""

    def part(self, name: str, text: str, mode: int = 0o644) -> Path:
        file = self.folder / "config.d" / name
        file.parent.mkdir(mode=0o755, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file


@pytest.fixture
def several(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def network(name: str) -> str:
    return f'[[network]]\nname = "{name}"\nmatch.gateway = ["10.0.0.1"]\nuse = ["direct"]\n'


def test_files_of_config_d_count_in_the_order_of_their_bytes_and_before_the_policys_own(several: Folder) -> None:
    several.write(network("own"))
    for name in ("b.toml", "B.toml", "10.toml", "9.toml", "é.toml", "z.toml"):
        several.part(name, network(name.removesuffix(".toml")))

    assert [one.name for one in several.load().policy.networks] == ["10", "9", "B", "b", "z", "é", "own"]


def test_what_editors_and_package_managers_put_beside_a_file_is_passed_over(several: Folder) -> None:
    several.write("")
    for name in (".#a.toml", ".a.toml.swp", "a.toml~", "a.toml.dpkg-new", "a.toml.rpmsave", "a.TOML", "README"):
        several.part(name, "nonsense", 0o666)

    assert several.load().unsafe == ()


def test_config_d_alone_is_a_policy_and_an_empty_one_is_none(several: Folder) -> None:
    (several.folder / "config.d").mkdir(mode=0o755)
    with pytest.raises(NoPolicy):
        several.load()

    several.part("10.toml", OFFICE)

    assert "office" in several.load().policy.upstreams
    assert load_for_elsewhere(several.policy).path == str(several.policy)


def test_digest_and_size_are_of_all_files_and_each_has_a_line_of_its_own(several: Folder) -> None:
    alone = several.write("# own\n").load().file
    part = several.part("10.toml", OFFICE)

    file = several.load().file

    assert alone is not None
    assert alone.sums == ()
    assert file is not None
    data = OFFICE.encode() + b"# own\n"
    assert (file.sha256, file.size) == (hashlib.sha256(data).hexdigest(), len(data))
    checked = subprocess.run(
        ["sha256sum", "--check", "--quiet"], input="\n".join(file.sums), text=True, check=False, timeout=60
    )
    assert checked.returncode == 0
    assert [one.partition("  ")[2] for one in file.sums] == [str(part), str(several.policy)]


@pytest.mark.parametrize("at", ["config.d/10.toml", "config.d"])
def test_a_part_that_others_can_write_is_unsafe(several: Folder, at: str) -> None:
    several.write("").part("10.toml", OFFICE)
    (several.folder / at).chmod(0o777)

    assert [line for line in several.load().unsafe if f'"{several.folder / at}" can be written by others' in line]
    with pytest.raises(PolicyRefused):
        load_safely(several.policy, ME, {})


def test_a_part_of_somebody_else_is_unsafe(several: Folder) -> None:
    part = several.write("").part("10.toml", "")

    assert {line.partition(" belongs")[0] for line in several.load(NOBODY).unsafe} == {
        f'"{path}"' for path in (several.policy, several.folder, part.parent, part)
    }


def test_what_is_wrong_names_the_file_that_it_is_in(several: Folder) -> None:
    part = several.write(OFFICE).part(
        "10.toml", '[upstream.x]\nurl = "http://x:1"\nusername = "u"\npassword_file = "/no"'
    )

    with pytest.raises(PolicyRefused) as refused:
        several.load()

    assert refused.value.lines == (
        f'{part}: upstream.x.password_file: "/no" does not exist: write the password into it, mode 0600',
    )
    assert refused.value.problems == refused.value.lines
    assert str(refused.value) == refused.value.lines[0]


def make_a_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_a_link_to_nothing(path: Path) -> None:
    path.symlink_to("/nonexistent")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (make_a_pipe, "is not a regular file"),
        (Path.mkdir, "is not a regular file"),
        (make_a_link_to_nothing, "is a link to a file that does not exist"),
    ],
)
def test_a_part_that_cannot_be_read_is_not_left_out(several: Folder, make: Callable[[Path], None], what: str) -> None:
    part = several.write("").part("10.toml", "").with_name("20.toml")
    make(part)

    with pytest.raises(PolicyRefused) as refused:
        several.load()

    assert refused.value.lines[0].startswith(f"{part}: {what}")


def test_a_config_d_that_is_no_folder_is_refused(several: Folder) -> None:
    several.write("").folder.joinpath("config.d").write_text("")

    with pytest.raises(PolicyRefused, match=r"config\.d: cannot be read: Not a directory"):
        several.load()


def test_more_files_than_anybody_meant_are_refused(several: Folder) -> None:
    several.write("")
    for number in range(256):
        several.part(f"{number}.toml", "")

    with pytest.raises(PolicyRefused, match=r"config\.d: holds 256 files; at most 255 are read"):
        several.load()


@pytest.mark.parametrize("leads", ["folder/p.toml", "other.toml", "../folder/../folder/p.toml"])
def test_a_folder_that_a_link_leads_through_must_be_safe_as_well(several: Folder, leads: str) -> None:
    """Whoever can write it puts another file in its place between two looks."""
    own = several.write("").part("10.toml", "").parent
    (own / "folder").mkdir(mode=0o755)
    (own / "folder/p.toml").write_text(OFFICE)
    (own / "folder/p.toml").chmod(0o644)
    (own / "other.toml.target").symlink_to("folder/p.toml")
    target = "other.toml.target" if leads == "other.toml" else leads.replace("../folder/..", f"../{own.name}")
    (own / "20.toml").symlink_to(target)
    assert several.load().unsafe == ()

    (own / "folder").chmod(0o777)

    assert [line for line in several.load().unsafe if f'{own / "folder"}" can be written by others' in line]


def test_links_are_followed_as_the_policys_own_is(several: Folder, tmp_path: Path) -> None:
    real = several.write("").part("10.toml", "").with_name("elsewhere")
    real.write_text(OFFICE)
    real.chmod(0o664)
    real.with_name("20.toml").symlink_to(real)

    found = several.load()

    assert "office" in found.policy.upstreams
    assert [line for line in found.unsafe if "20.toml" in line and "can be written by others" in line]
