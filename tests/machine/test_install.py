"""`make install`, upgrade and `make uninstall`, as README says them, and a machine that is as before."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.waiting import Seen

from .lab.authority import issue
from .lab.box import Ran
from .lab.laptop import POLICY, Laptop
from .lab.layer import LAB_CA
from .lab.wheelhouse import REPOSITORY, wheelhouse
from .test_apply import office_policy
from .test_roam import trixie
from .test_service import NAME
from .test_unit import opened

INDEX = Path(__file__).parent / "lab/index.py"
CHECKOUT = "/home/alice/docker-proxy-agent"
# With a formatting of its own, and somebody else's proxies: in the file, which bookworm's Docker would not take, or
# in the unit's environment.
DAEMON_JSON = '{\n\t"proxies": {"http-proxy": "http://foreign.example:1"},   "log-level":"info"\n}\n\n'
OLD_DAEMON_JSON = '{\n\t"log-level"  :"info"\n}\n\n'
DROP_IN = "[Service]\nEnvironment=HTTP_PROXY=http://foreign.example:1\n"
# Whoever has number 4711, with an instance that runs.
LOCK_OF_4711 = "/run/user/4711/docker-proxy-agent/lock"
OF_4711 = ("setpriv", "--reuid=4711", "--regid=4711", "--clear-groups", "flock", LOCK_OF_4711, "sleep", "infinity")
OF_ONE_START = {"INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_PID", "SYSTEMD_EXEC_PID"}
LOGGED_IN = '{ "auths" : {"registry.example": {"auth": "aHVudGVyMg=="}}}'
# Everything that there is, as it is: kind, mode, owner, link and content. The policy is a person's.
LISTING = r"""
cd /
find etc home root -path home/alice/docker-proxy-agent -prune -o -path etc/docker-proxy-agent -prune -o \
    -printf '%y %m %U %G %p %l\n' | sort
find etc home root -path home/alice/docker-proxy-agent -prune -o -path etc/docker-proxy-agent -prune -o \
    -type f -print0 | sort -z | xargs -0 sha256sum
ls -1 /opt /usr/local/bin
find /usr/local/share
"""
WHEELS = "/opt/wheels"

SNAPS = "/etc/systemd/system/snap.docker.dockerd.service.d"
# As a version left its notes that did not know the snap, whose unit made that folder nevertheless.
OF_BEFORE_THE_SNAP = f"""
import json, pathlib
notes = pathlib.Path("/var/lib/docker-proxy-agent/installed.json")
said = json.loads(notes.read_text())
said["state"]["folders"].remove("{SNAPS}")
said["state"]["code"] = "another"
notes.write_text(json.dumps(said))
"""
PAGES = (
    "man/man1/docker-proxy-agent.1",
    "man/man5/docker-proxy-agent.5",
    "bash-completion/completions/docker-proxy-agent",
    "zsh/site-functions/_docker-proxy-agent",
    "fish/vendor_completions.d/docker-proxy-agent.fish",
)
# What `make install` comes to in the end, by a root who keeps everything to himself.
BY_A_CLOSED_ROOT = "umask 077; docker-proxy-agent install"
NEW_CODE = "echo '# new' >>/opt/docker-proxy-agent/lib/python3.13/site-packages/agent/__init__.py"


@pytest.fixture
def bare(laptop: Laptop) -> Laptop:
    """Without the agent, whose environment is recreated, some seconds of CPU; and with a checkout of it."""
    laptop.run("sh", "-euc", "rm -rf /opt/docker-proxy-agent /usr/local/bin/docker-proxy-agent")
    return _with_a_checkout(laptop)


@pytest.fixture
def checked_out(laptop: Laptop) -> Laptop:
    """With an environment that works, which is filled again, and a checkout of the agent."""
    return _with_a_checkout(laptop)


@pytest.fixture
def index(laptop: Laptop, tmp_path: Path) -> Iterator[str]:
    """Packages of Python on the internet: its URL."""
    internet = laptop.internet
    address = "10.99.0.10"
    certificate, key = issue(tmp_path, address)
    argv = [sys.executable, str(INDEX), str(wheelhouse()), address, "8443", str(certificate), str(key)]
    server = internet.ground.serve(argv, tmp_path / "index.log", [8443])
    yield f"https://{address}:8443"
    server.stop()


def _with_a_checkout(laptop: Laptop) -> Laptop:
    """Which is alice's."""
    _untar(laptop, WHEELS, {path.name: path for path in wheelhouse().iterdir()})
    names = ["Makefile", "pyproject.toml", "README.md", "LICENSE", "config.example.toml"]
    for folder in ("agent", "docs", "generate", "requirements", "systemd"):
        files = (path for path in (REPOSITORY / folder).rglob("*") if path.suffix != ".pyc" and path.is_file())
        names += (str(path.relative_to(REPOSITORY)) for path in files)
    _untar(laptop, CHECKOUT, {name: REPOSITORY / name for name in names})
    laptop.run("chown", "-R", "alice:alice", CHECKOUT)
    return laptop


def _untar(laptop: Laptop, folder: str, files: dict[str, Path]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, path in files.items():
            tar.add(path, name)
    laptop.run("mkdir", "-p", folder)
    laptop.run("tar", "-x", "-C", folder, input=packed.getvalue())


def make(laptop: Laptop, target: str, *variables: str) -> str:
    return made(laptop, target, *variables).stdout


def made(laptop: Laptop, target: str, *variables: str, check: bool = True, environment: Sequence[str] = ()) -> Ran:
    """Without a network, but where an environment says how to reach one."""
    # The recipes and no more: a box has no make. By a root who keeps everything to himself.
    offline = () if environment else (f"WHEELHOUSE={WHEELS}",)
    recipe = _recipe(target, dict(variable.split("=") for variable in (*offline, *variables)))
    script = f"umask 077\n{recipe}"
    return laptop.run(
        *("env", "-C", CHECKOUT, "LC_ALL=C.UTF-8", *environment), *("sh", "-euxc", script), timeout=240, check=check
    )


def _recipe(target: str, variables: dict[str, str]) -> str:
    """What make would run, asked of make itself."""
    assigned = [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "-C", str(REPOSITORY), target, *assigned],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout


def listing(laptop: Laptop) -> list[str]:
    return laptop.run("sh", "-euc", LISTING).stdout.splitlines()


def in_force(laptop: Laptop) -> dict[str, object]:
    environment = laptop.docker.environment()
    return {
        **{name: value for name, value in laptop.docker.info().items() if "Proxy" in name},
        **{name: laptop.docker.show(name) for name in ("DropInPaths", "EnvironmentFiles", "Environment")},
        **{name: value for name, value in environment.items() if name not in OF_ONE_START},
    }


@pytest.mark.long
def test_there_and_back_again(bare: Laptop, index: str) -> None:
    laptop = bare
    is_old = laptop.suite == "bookworm"
    laptop.write("/etc/docker/daemon.json", OLD_DAEMON_JSON if is_old else DAEMON_JSON, mode=0o640)
    if is_old:
        laptop.docker.drop_in(DROP_IN)
    laptop.write("/home/bob/.docker/config.json", LOGGED_IN, mode=0o600, owner="bob")
    laptop.plug("office")  # which writes resolv.conf
    laptop.docker.restart()
    before, before_in_force = listing(laptop), in_force(laptop)

    laptop.office.tinyproxy.forget()
    # As `sudo --preserve-env=https_proxy make install` hands it on; the index has a certificate of the lab's.
    behind_a_proxy = f"https_proxy={laptop.office.tinyproxy.url}", f"PIP_INDEX_URL={index}/simple", f"PIP_CERT={LAB_CA}"

    said = made(laptop, "install", environment=behind_a_proxy).stdout

    assert {*laptop.office.tinyproxy.log()} == {index.removeprefix("https://")}
    assert laptop.docker.show("ActiveState", NAME) == "active"
    assert "no policy yet" in said
    for page in PAGES:
        assert laptop.run("stat", "-c", "%a %U", f"/usr/local/share/{page}").stdout == "644 root\n"
    assert laptop.agent("status").stdout.startswith(f"IDLE           {POLICY}: there is no policy")
    assert laptop.run("find", CHECKOUT, "!", "-user", "alice").stdout == ""
    assert laptop.run("docker-proxy-agent", "relay", "--help", user="alice").ok  # as the relay's own user

    office_policy(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    laptop.until(lambda: "httpProxy" in laptop.read("/home/bob/.docker/config.json"))  # after Docker's half
    laptop.until(laptop.exists, "/home/alice/.docker/config.json")

    _upgrade_changes_nothing(laptop)

    said = make(laptop, "uninstall")

    assert "stopped" in said
    assert "kept         /etc/docker-proxy-agent" in said
    assert set(listing(laptop)) ^ set(before) == set()
    assert in_force(laptop) == before_in_force
    assert laptop.docker.is_active()
    for gone in ("/var/lib/docker-proxy-agent", "/run/docker-proxy-agent", "/etc/docker-proxy-agent/dockerd.env"):
        assert not laptop.exists(gone)
    assert laptop.exists("/etc/docker-proxy-agent/config.toml")
    assert laptop.audit.events()[-1] == "restored"
    assert laptop.docker.show("LoadState", NAME) == "not-found"


def _upgrade_changes_nothing(laptop: Laptop) -> None:
    as_it_is = listing(laptop), laptop.docker.invocation_id(), laptop.docker.show("InvocationID", NAME)

    said = make(laptop, "install")

    assert "up to date" in said
    assert (listing(laptop), laptop.docker.invocation_id(), laptop.docker.show("InvocationID", NAME)) == as_it_is


@pytest.mark.long
@trixie
def test_what_is_no_proxys_url_comes_back_even_after_an_upgrade_of_python(bare: Laptop) -> None:
    laptop = bare
    theirs = '{"proxies": {"http-proxy": "http://alice:p@ss:w#rd@proxy.example.net:3128"}}\n'
    laptop.write("/etc/docker/daemon.json", theirs, mode=0o640)
    laptop.plug("office")
    laptop.docker.restart()
    before, before_in_force = listing(laptop), in_force(laptop)
    make(laptop, "install")
    office_policy(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)

    _python_upgraded(laptop)
    make(laptop, "install")
    assert laptop.docker.show("ActiveState", NAME) == "active"
    _python_upgraded(laptop)
    said = make(laptop, "uninstall", "NOW=1")

    assert "/opt/docker-proxy-agent does not work with this Python: recreated" in said
    assert set(listing(laptop)) ^ set(before) == set()
    assert in_force(laptop) == before_in_force

    again, purged = make(laptop, "uninstall"), make(laptop, "uninstall", "PURGE=1")

    assert again.startswith(
        "not installed: there is nothing to restore\nkept         /etc/docker-proxy-agent; to remove it"
    )
    assert "removed      /etc/docker-proxy-agent\n" in purged
    assert not laptop.exists("/etc/docker-proxy-agent")
    assert not laptop.exists("/var/log/docker-proxy-agent")


@trixie
def test_what_is_no_proxys_url_comes_back_in_the_unit_as_well(laptop: Laptop) -> None:
    laptop.docker.drop_in('[Service]\nEnvironment="HTTP_PROXY=:proxy"\n')
    laptop.plug("office")
    laptop.docker.restart()
    before, before_in_force = listing(laptop), in_force(laptop)
    assert laptop.agent("install").ok
    office_policy(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)

    assert laptop.agent("uninstall", "--now").ok

    assert set(listing(laptop)) ^ set(before) == set()
    assert in_force(laptop) == before_in_force


def _python_upgraded(laptop: Laptop) -> None:
    """Of another version, which looks for its packages elsewhere."""
    laptop.run("sh", "-euc", "cd /opt/docker-proxy-agent/lib && mv python3.* python3.0")
    assert laptop.agent("check").code != 0


def test_containers_that_run_are_spared_unless_now_and_purge_leaves_nothing(
    checked_out: Laptop,
) -> None:
    laptop = checked_out
    laptop.run("sh", "-euc", f"rm -rf /etc/systemd/system/docker.service.d; {BY_A_CLOSED_ROOT}")
    laptop.run("python3", "-c", OF_BEFORE_THE_SNAP)
    laptop.run("mkdir", SNAPS)
    make(laptop, "install")
    office_policy(laptop)
    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    laptop.docker.import_image()
    laptop.docker.start_container()
    invocation = laptop.docker.invocation_id()

    refused = laptop.agent("restore")
    laptop.run("install", "-d", "-o", "4711", "/run/user/4711/docker-proxy-agent", "/run/user/4712/docker-proxy-agent")
    laptop.run("systemd-run", "--quiet", "--unit=anothers", *OF_4711)
    laptop.until(laptop.exists, LOCK_OF_4711)
    with_an_own_instance = made(laptop, "uninstall", "PURGE=1", check=False)
    said = with_an_own_instance.stdout

    assert with_an_own_instance.code == 1
    assert "running      the instance of '#4711'" in said
    assert "    sudo -u '#4711' docker-proxy-agent uninstall --user\n" in with_an_own_instance.stderr
    assert "#4712" not in said + with_an_own_instance.stderr  # a folder alone, which anybody can make
    assert laptop.exists("/opt/docker-proxy-agent/bin/docker-proxy-agent")
    assert refused.code == 1
    assert "systemctl disable --now docker-proxy-agent" in refused.stderr
    assert "still runs with the settings that the agent gave it: 1 container runs" in said
    assert (
        "the agent will not restart it any more. Run: systemctl restart docker.service, which stops 1 container" in said
    )
    assert "removed      /etc/docker-proxy-agent/dockerd.env" in said
    assert laptop.docker.invocation_id() == invocation
    ours = ("/etc/docker-proxy-agent", "/var/log/docker-proxy-agent", "/etc/systemd/system/docker.service.d", SNAPS)
    for gone in ours:
        assert not laptop.exists(gone), gone
    laptop.docker.restart()
    assert laptop.docker.reports(https="")
    make(laptop, "uninstall", "FORCE=1")
    assert not laptop.exists("/opt/docker-proxy-agent")


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_python_in_a_home_is_refused_before_anything_is_installed(bare: Laptop) -> None:
    laptop = bare
    laptop.run("sh", "-euc", "cp -L /usr/bin/python3 /home/alice/python3")

    refused = made(laptop, "install", "PYTHON=/home/alice/python3", check=False)

    assert refused.code == 1
    assert "make install: /home/alice/python3 lies below /home, from where the service runs nothing" in refused.stderr
    assert not laptop.exists("/opt/docker-proxy-agent")


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_command_in_a_home_is_not_made_the_service(laptop: Laptop) -> None:
    laptop.run("cp", "/opt/docker-proxy-agent/bin/docker-proxy-agent", "/root/docker-proxy-agent")

    refused = laptop.run("/root/docker-proxy-agent", "install", check=False)

    assert refused.code == 1
    assert refused.stderr.startswith("install: /root/docker-proxy-agent lies below /root, from where the service runs")
    assert refused.stderr.endswith("sudo rm -r /opt/docker-proxy-agent; sudo make install\n")
    assert not laptop.exists(f"/etc/systemd/system/{NAME}")


def test_an_upgrade_opens_the_folders_that_an_earlier_one_had_closed_and_starts_what_was_given_up(
    laptop: Laptop,
) -> None:
    theirs, ours = "/etc/docker", "/etc/systemd/system/docker.service.d"
    laptop.run("rm", "-rf", ours)
    laptop.run("sh", "-euc", BY_A_CLOSED_ROOT)
    laptop.run("chmod", "0700", theirs, ours)
    opened(laptop, "ExecStartPre=/bin/false", "RestartSec=10ms")
    laptop.run("systemctl", "restart", "--no-block", NAME)

    def is_given_up() -> Seen:  # it has failed between two tries, too
        state, tries = laptop.docker.show("ActiveState", NAME), laptop.docker.show("NRestarts", NAME)
        return Seen(state == "failed" and int(tries) >= 9, (state, tries))

    laptop.until(is_given_up, within=30)
    opened(laptop)

    laptop.run("sh", "-euc", BY_A_CLOSED_ROOT)

    assert laptop.run("stat", "-c", "%a", theirs, ours).stdout == "700\n755\n"
    assert laptop.docker.show("ActiveState", NAME) == "active"


@trixie
def test_an_upgrade_writes_nothing_while_another_agent_is_at_work_and_is_in_nobodys_way(laptop: Laptop) -> None:
    assert laptop.agent("install").ok
    laptop.run("systemctl", "stop", NAME)
    laptop.run("systemd-run", "--quiet", "--unit=another", "flock", "/run/docker-proxy-agent/lock", "sleep", "600")
    laptop.until(lambda: not laptop.run("flock", "--nonblock", "/run/docker-proxy-agent/lock", "true", check=False).ok)
    laptop.run("sh", "-euc", f"touch /run/before; {NEW_CODE}")

    refused = laptop.agent("install")

    assert refused.code == 1
    assert "holds the lock" in refused.stderr
    assert laptop.run("find", "/var/lib/docker-proxy-agent", "-newer", "/run/before").stdout == ""
    laptop.run("systemctl", "stop", "another")
    assert "started      version" in laptop.agent("install").stdout
    for _ in range(3):
        laptop.run("sh", "-euc", NEW_CODE)
        assert "restarted    version" in laptop.agent("install").stdout
    assert "up to date" in laptop.agent("install").stdout


@pytest.mark.trixie
def test_who_may_not_is_told_in_one_line(laptop: Laptop) -> None:
    ran = laptop.agent("install", user="alice")

    assert ran.code == 1
    assert ran.stderr == "install: needs root. Try: sudo docker-proxy-agent install\n"
