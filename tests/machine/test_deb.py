"""The package: installed by apt, upgraded, removed and purged, on a laptop that was there before it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .lab.deb import build, deb
from .lab.laptop import POLICY, Laptop
from .lab.places import HUB_IMAGE
from .test_apply import DROP_IN, ENVIRONMENT, office_policy
from .test_init import LOGGED_IN, by_dockers_manual, init, networks, pulls_by_the_office
from .test_install import CHECKOUT, OF_4711, in_force, listing, made
from .test_relay import RELAY, SERVICE, SOCKET, goes_by, with_relay
from .test_roam import is_there, trixie
from .test_service import NAME
from .test_vpn import BOTH_HALVES

COMMAND = "/usr/bin/docker-proxy-agent"
ONE, NEXT = "0.1.0", "0.1.1"
DEB = "/srv/docker-proxy-agent_{}_all.deb"
# Everything that could be left, wherever it lies.
OURS = (
    "find / -xdev -name '*docker-proxy-[ar]*' -not -path '/proc/*' -not -path '/srv/*' -not -path '/var/log/journal/*'"
)
OTHER, LINK = "/opt/docker-proxy-agent/bin/docker-proxy-agent", "/usr/local/bin/docker-proxy-agent"
OF_MAKE_INSTALL = 'mkdir -p "${1%/*}"; touch "$1"; ln -s "$1" "$2"'
KEPT = ("/etc/docker-proxy-agent", "/var/lib/docker-proxy-agent", "/var/log/docker-proxy-agent")

pytestmark = pytest.mark.long


def apt(laptop: Laptop, *argv: str) -> str:
    """As a person at a terminal would, but for the questions; dpkg with root's PATH, as when it is run by hand."""
    path = "DPkg::Path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    ran = laptop.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "-o", path, *argv, timeout=120)
    return (ran.stdout + ran.stderr).replace("\r", "")  # of a terminal that apt has made


def install(laptop: Laptop, version: str) -> str:
    package = deb(version)
    with package.open("rb") as file:
        laptop.run("sh", "-c", 'cat >"$1"', "sh", f"/srv/{package.name}", input=file.read())
    return apt(laptop, "install", f"/srv/{package.name}")


def without_the_other(laptop: Laptop) -> Laptop:
    laptop.run("sh", "-euc", "rm -rf /opt/docker-proxy-agent /usr/local/bin/docker-proxy-agent")
    laptop.command = COMMAND
    return laptop


def systemd(laptop: Laptop, *argv: str) -> str:
    return laptop.docker.systemctl(*argv, check=False).stdout.strip()


@trixie
def test_installed_by_apt_it_serves_in_every_place_and_leaves_what_was_there(laptop: Laptop) -> None:
    without_the_other(laptop)
    laptop.run("usermod", "--append", "--groups", "docker", "bob")
    for user in ("alice", "bob"):
        laptop.write(f"/home/{user}/.docker/config.json", LOGGED_IN, mode=0o600, owner=user)
    local = laptop.start_proxy()
    laptop.docker.drop_in(by_dockers_manual(laptop), "http-proxy.conf")
    laptop.plug("office")
    laptop.docker.restart()
    before, before_in_force = listing(laptop), in_force(laptop)

    said = install(laptop, ONE)

    assert f"sudo systemctl enable --now {NAME}\n" in said
    assert (systemd(laptop, "is-enabled", NAME), systemd(laptop, "is-active", NAME)) == ("disabled", "inactive")
    assert in_force(laptop) == before_in_force
    assert laptop.run("sh", "-c", "ls /usr/lib/docker-proxy-agent/agent/cli/__pycache__ | wc -l").stdout != "0\n"

    init(laptop, "--write")
    laptop.docker.systemctl("enable", "--now", NAME)
    pulls_by_the_office(laptop, "office")

    laptop.plug("home")
    laptop.until(laptop.docker.reports, https=local.url, within=60)
    laptop.until(is_there, laptop, "elsewhere", "local-7890", within=20)
    laptop.until(laptop.docker.pulls, HUB_IMAGE, within=20)

    _upgraded_while_it_runs(laptop)

    vpn = laptop.vpn()
    laptop.network(f"for half in {BOTH_HALVES}; do ip route add $half via {vpn.GATEWAY}; done")
    laptop.write("/etc/resolv.conf", f"nameserver {laptop.office.gateway}\n")
    init(laptop, "--add-network", "vpn", "--write")
    assert [*networks(laptop)] == ["office", "vpn", "elsewhere"]
    pulls_by_the_office(laptop, "vpn")

    vpn.close()
    laptop.plug("office")  # whose resolv.conf was there before
    removed = apt(laptop, "remove", "docker-proxy-agent")

    assert "restored     /home/alice/.docker/config.json" in removed
    assert set(listing(laptop)) ^ set(before) == set()
    assert in_force(laptop) == before_in_force
    assert laptop.docker.pulls(HUB_IMAGE)
    assert laptop.exists(POLICY)
    assert laptop.audit.events()[-1] == "restored"
    assert systemd(laptop, "show", "--property=LoadState", "--value", NAME) == "not-found"

    apt(laptop, "purge", "docker-proxy-agent")

    assert laptop.run("sh", "-c", OURS).stdout == ""


def _upgraded_while_it_runs(laptop: Laptop) -> None:
    def starts() -> tuple[str, str]:
        return laptop.docker.show("InvocationID", NAME), laptop.docker.invocation_id()

    as_it_is = starts()
    assert "up to date" in apt(laptop, "install", "--reinstall", DEB.format(ONE))
    assert starts() == as_it_is

    # A person's command takes the lock as soon as the service has ended.
    laptop.run("systemd-run", "--quiet", "--unit=a-persons", "flock", "/run/docker-proxy-agent/lock", "sleep", "2")
    assert f"restarted    version {NEXT}" in install(laptop, NEXT)
    assert systemd(laptop, "is-active", NAME) == "active"
    assert starts()[0] != as_it_is[0]
    assert starts()[1] == as_it_is[1]
    assert systemd(laptop, "is-enabled", NAME) == "enabled"


@trixie
def test_it_takes_over_from_make_install_and_is_purged_at_once_with_the_relay_on(laptop: Laptop) -> None:
    laptop.plug("office")
    before, before_in_force = listing(laptop), in_force(laptop)
    assert laptop.agent("install").ok
    laptop.write(
        "/usr/local/share/fish/vendor_completions.d/docker-proxy-agent.fish", "complete -c docker-proxy-agent\n"
    )
    with_relay(laptop, '[docker]\nrestart = "when-idle"\n')
    laptop.until(laptop.docker.reports, https=RELAY, within=40)
    laptop.docker.import_image()
    laptop.until(laptop.exists, "/root/.docker/config.json")  # which comes after Docker
    laptop.until(lambda: "172.17.0.1:3130" in laptop.read("/root/.docker/config.json"), within=20)
    web = laptop.docker.start_container()
    docker, relay = laptop.docker.invocation_id(), laptop.docker.show("InvocationID", SERVICE)
    laptop.run("install", "-d", "-o", "4711", "/run/user/4711/docker-proxy-agent")  # which is no instance

    said = install(laptop, ONE)

    laptop.command = COMMAND
    assert f"removed      /etc/systemd/system/{NAME}, which would hide the package's" in said
    assert "removed      /opt/docker-proxy-agent, of an earlier make install" in said
    for unit in (NAME, SERVICE, SOCKET):
        assert laptop.docker.show("FragmentPath", unit) == f"/usr/lib/systemd/system/{unit}"
        assert systemd(laptop, "is-active", unit) == "active"
    assert (systemd(laptop, "is-enabled", NAME), systemd(laptop, "is-enabled", SOCKET)) == ("enabled", "enabled")
    assert laptop.docker.show("InvocationID", SERVICE) != relay
    assert laptop.docker.invocation_id() == docker
    laptop.until(goes_by, laptop, "office", within=20)
    assert laptop.run("sh", "-c", "ls /opt /usr/local/bin").stdout == "/opt:\n\n/usr/local/bin:\n"

    laptop.run("systemd-run", "--quiet", "--unit=anothers", *OF_4711)
    refused = laptop.agent("uninstall")
    assert (refused.code, refused.stderr) == (
        1, "uninstall: a package has installed it. Run: sudo apt remove docker-proxy-agent\n"
    )  # fmt: skip

    laptop.run("mkdir", "-p", CHECKOUT)
    for target in ("install", "uninstall"):
        beside = made(laptop, target, check=False)
        assert f"make {target}: the package docker-proxy-agent is installed" in beside.stderr
        assert beside.code == 1
    laptop.run("rmdir", CHECKOUT)
    laptop.run("cp", "-R", "/usr/lib/docker-proxy-agent", "/srv/other")
    other = "import sys; from agent.cli import main; sys.exit(main(['install']))"
    beside = laptop.run("env", "PYTHONPATH=/srv/other", "python3", "-c", other, check=False)
    assert "install: the package docker-proxy-agent is installed" in beside.stderr

    said = apt(laptop, "purge", "docker-proxy-agent")

    assert "systemctl restart docker.service, which stops 1 container" in said
    assert "where nothing listens any more. Run: sudo systemctl restart docker.service" in said
    assert "created with the relay's address" in said
    assert "container-1" in said
    assert "the instance of '#4711'" in said
    assert laptop.docker.invocation_id() == docker
    assert web.is_running()
    laptop.run("sh", "-euc", "systemctl stop anothers; rm -r /run/user/4711")
    laptop.docker.restart()
    assert in_force(laptop) == before_in_force
    # The command of `make install`; and what useradd and userdel keep of a user who came and went.
    gone = ("docker-proxy-agent", " etc/passwd", " etc/group", " etc/shadow", " etc/gshadow", " etc/.pwd.lock")
    assert [line for line in set(listing(laptop)) ^ set(before) if not any(name in line for name in gone)] == []
    assert laptop.run("sh", "-c", OURS).stdout == ""
    assert not laptop.run("getent", "passwd", "docker-proxy-relay", check=False).ok


@trixie
def test_a_users_own_instance_is_the_packages_and_purge_removes_what_restore_could_not(laptop: Laptop) -> None:
    without_the_other(laptop)
    install(laptop, ONE)
    _of_alices_own(laptop)
    office_policy(laptop)
    laptop.plug("office")
    laptop.docker.systemctl("enable", "--now", NAME)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    state = "/var/lib/docker-proxy-agent/originals.json"
    laptop.run("mv", state, "/srv/originals")
    laptop.write(state, "torn")

    said = apt(laptop, "remove", "docker-proxy-agent")

    assert f"{state}: cannot be parsed" in said
    assert "the package is removed anyway" in said
    assert laptop.exists(DROP_IN)
    assert laptop.exists(ENVIRONMENT)

    # Another try, as it has said, and the next removal.
    install(laptop, ONE)
    laptop.run("cp", "/srv/originals", state)
    assert laptop.agent("restore").ok
    assert laptop.docker.reports(https="")
    assert not laptop.exists(DROP_IN)
    verified = laptop.agent("audit", "verify")
    assert verified.ok, verified
    laptop.docker.systemctl("start", NAME)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    laptop.docker.systemctl("stop", NAME)
    laptop.write(state, "torn")
    laptop.docker.systemctl("enable", NAME)
    laptop.docker.systemctl("mask", NAME)  # from then on systemctl refuses to disable it
    assert f"sudo systemctl unmask {NAME}\n" in apt(laptop, "install", "--reinstall", DEB.format(ONE))
    laptop.run("systemd-run", "--quiet", "--unit=docker-proxy-agent-metrics", "--on-active=1h", "true")

    said = apt(laptop, "purge", "docker-proxy-agent")

    assert systemd(laptop, "is-active", "docker-proxy-agent-metrics.timer") == "active"  # a person's own
    assert "Docker still runs with them if it runs. Restart it: systemctl restart docker" in said
    assert laptop.run("sh", "-c", OURS).stdout == ""
    laptop.docker.restart()
    assert laptop.docker.reports(https="")


def _of_alices_own(laptop: Laptop) -> None:
    """With a unit that a `make install` has left her, for a command that is gone."""
    unit = f"/home/alice/.config/systemd/user/{NAME}"
    laptop.write(unit, "[Service]\nExecStart=/usr/local/bin/docker-proxy-agent run --user\n", owner="alice")
    uid = laptop.run("id", "--user", "alice").stdout.strip()
    linger = "mkdir -p /var/lib/systemd/linger; touch /var/lib/systemd/linger/alice; systemctl start user@$1.service"
    laptop.run("sh", "-euc", linger, "sh", uid)

    def hers(*argv: str) -> str:
        return laptop.run("env", f"XDG_RUNTIME_DIR=/run/user/{uid}", *argv, user="alice").stdout

    assert "started      version" in hers(COMMAND, "install", "--user")
    shown = hers("systemctl", "--user", "show", "--property=FragmentPath,ActiveState,UnitFileState", NAME)
    assert shown == f"ActiveState=active\nFragmentPath=/usr/lib/systemd/user/{NAME}\nUnitFileState=enabled\n"
    assert "up to date" in hers(COMMAND, "install", "--user")

    hers("systemctl", "--user", "stop", NAME)
    laptop.run("sh", "-euc", OF_MAKE_INSTALL, "sh", OTHER, LINK)
    said = laptop.agent("install").stdout
    assert "kept         /opt/docker-proxy-agent: users' instances run from it" in said
    assert f"\n             sudo -u alice {COMMAND} install --user\n" in said
    assert laptop.run("readlink", LINK).stdout.strip() == COMMAND

    assert "stopped      and disabled" in hers(COMMAND, "uninstall", "--user", "--purge")
    shown = hers("systemctl", "--user", "show", "--property=ActiveState,UnitFileState", NAME)
    assert shown == "ActiveState=inactive\nUnitFileState=disabled\n"
    assert not laptop.exists(unit)

    assert "removed      /opt/docker-proxy-agent, of an earlier make install" in laptop.agent("install").stdout
    assert not laptop.exists(LINK)
    laptop.run("ln", "-s", COMMAND, LINK)  # as it would be if she had stayed


def test_a_debian_developer_finds_nothing_to_say_and_the_same_bytes_twice(tmp_path: Path, world: object) -> None:
    build(tmp_path / "tree", ONE, tmp_path)

    (again,) = tmp_path.glob("*.deb")
    assert again.read_bytes() == deb(ONE).read_bytes()
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on=warning,error", str(again)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
