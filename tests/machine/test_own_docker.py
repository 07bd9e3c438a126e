"""A user's own instance for a Docker of one's own, beside the system's instance for the system's Docker."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.waiting import Seen

from .lab.box import Ran
from .lab.laptop import AGENT, PROBE, Laptop
from .lab.rootless import RootlessDocker
from .test_apply import PLACES, office_policy, through
from .test_service import NAME, started

CONFIG = "/home/alice/.config/docker-proxy-agent"
STATE = "/home/alice/.local/state/docker-proxy-agent"
UNIT = f"/home/alice/.config/systemd/user/{NAME}"
LISTING = "find /home/alice -xdev ! -path '*/.local/share/docker*' -printf '%y %m %U %G %p %l\n' | sort"


class Own:
    """The instance of the user whose Docker it is."""

    def __init__(self, laptop: Laptop, docker: RootlessDocker) -> None:
        self._laptop = laptop
        self.docker = docker
        self.home = f"/home/{docker.owner}"

    def agent(self, *words: str) -> Ran:
        """As the user types it, logged in."""
        return self.docker.run(AGENT, *words, "--user", check=False, timeout=180)

    def policy(self, text: str) -> None:
        self._laptop.write(f"{self.home}/.config/docker-proxy-agent/config.toml", PROBE + text, owner=self.docker.owner)

    def status(self) -> dict[str, Any]:
        """What the running agent last wrote, or {}."""
        found: dict[str, Any] = json.loads(
            self._laptop.peek(f"{self.docker.runtime}/docker-proxy-agent/status.json") or b"{}"
        )
        return found

    def is_steady(self, network: str) -> Seen:
        status = self.status()
        seen = (status.get("network") or {}).get("name"), status.get("state")
        return Seen(seen == (network, "steady"), (seen, status.get("conditions")))

    def says(self, text: str) -> Seen:
        status = self.agent("status").stdout
        return Seen(text in " ".join(status.split()), status)

    def records(self) -> list[dict[str, Any]]:
        """The user's own audit log."""
        text = self._laptop.read(f"{self.home}/.local/state/docker-proxy-agent/log/audit.jsonl")
        return [json.loads(line) for line in text.splitlines()]

    def pid(self) -> int:
        return int(self.docker.show("MainPID", NAME))


def own_instance(laptop: Laptop, user: str = "alice") -> Own:
    """With the same policy as root's; nothing is installed yet."""
    own = Own(laptop, laptop.rootless(user))
    own.policy(through(laptop.office.tinyproxy) + PLACES)
    return own


def installed(own: Own) -> None:
    ran = own.agent("install")
    assert ran.ok, ran


def test_home_office_home_beside_the_systems_docker_with_nothing_typed_but_install(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy
    office_policy(laptop)
    laptop.plug("home")
    started(laptop)
    own = own_instance(laptop)
    installed(own)
    both = laptop.docker, own.docker
    laptop.until(own.is_steady, "elsewhere on earth", within=30)

    # There and back again and again: test_own_crash.py.
    laptop.plug("office")
    for docker in both:
        laptop.until(docker.reports, http=proxy.url, https=proxy.url, within=90)
        laptop.until(docker.pulls, within=20)

    laptop.plug("home")
    for docker in both:
        laptop.until(docker.reports, http="", https="", within=90)
        laptop.until(docker.pulls, within=20)

    laptop.until(own.is_steady, "elsewhere on earth", within=30)
    assert own.agent("status").stdout.startswith("STEADY         elsewhere on earth, direct, since ")
    # Each has what is its own, and no more.
    assert own.docker.show("NRestarts", NAME) == laptop.docker.show("NRestarts", NAME) == "0"
    assert laptop.run("find", "/home/alice/.config", "/home/alice/.local/state", "-user", "root").stdout == ""
    modes = laptop.run("stat", "--format=%a %U %n", STATE, f"{CONFIG}/dockerd.env").stdout.splitlines()
    assert modes == [f"700 alice {STATE}", f"600 alice {CONFIG}/dockerd.env"]
    assert laptop.run("test", "-e", f"/run/user/{own.docker.uid}/docker-proxy-agent/lock").ok
    _the_unit_closes_what_it_may_and_systemd_understands_each_line(laptop, own)


def _it_is_the_users_own_and_never_roots(laptop: Laptop) -> None:
    for words in (("status",), ("install",), ("apply",), ("run",)):
        ran = laptop.agent(*words, "--user")
        assert not ran.ok
        assert "without sudo" in ran.stderr
    assert not laptop.agent("--user", "--root", "/tmp", "status").ok
    assert laptop.agent("status", "--user", user="alice").code == 3


def _the_unit_closes_what_it_may_and_systemd_understands_each_line(laptop: Laptop, own: Own) -> None:
    said = own.docker.run("systemd-analyze", "--user", "verify", UNIT, check=False)

    assert said.stderr == ""
    # No namespace of its own: from another one dockerd could not be looked into.
    for kind in ("user", "mnt"):
        links = [laptop.run("readlink", f"/proc/{pid}/ns/{kind}").stdout for pid in (own.pid(), 1)]
        assert links[0] == links[1]
    status = laptop.read(f"/proc/{own.pid()}/status")
    assert "NoNewPrivs:\t1\n" in status
    assert "Seccomp:\t2\n" in status


def test_uninstall_leaves_nothing_of_it_but_the_policy_and_the_log(laptop: Laptop) -> None:
    laptop.plug("office")
    own = own_instance(laptop)
    before = laptop.run("sh", "-c", LISTING).stdout.splitlines()
    installed(own)
    laptop.until(own.docker.reports, https=laptop.office.tinyproxy.url, within=60)
    laptop.until(own.is_steady, "office", within=30)
    assert own.docker.show("UnitFileState", NAME) == "enabled"

    ran = own.agent("uninstall")

    assert ran.ok, ran
    assert own.docker.reports(http="", https="")
    assert not laptop.exists(UNIT)
    assert laptop.run("ls", STATE).stdout == "log\n"
    ran = own.agent("uninstall", "--purge")
    assert ran.ok, ran
    own.policy("")
    laptop.run("rm", "-r", CONFIG)
    left = set(laptop.run("sh", "-c", LISTING).stdout.splitlines()) - set(before)
    assert {line.split()[-1] for line in left} <= {"/home/alice/.local/state"}


IN_ITS_PLACE = """
import os, socket
os.unlink("{path}")
listener = socket.create_server("{path}", family=socket.AF_UNIX)
while True:
    listener.accept()[0].close()
"""


@pytest.mark.trixie
def test_it_is_never_roots_and_a_dockerd_of_another_unit_is_not_taken_for_the_one_that_is_served(
    laptop: Laptop,
) -> None:
    laptop.plug("office")
    own = own_instance(laptop)
    _it_is_the_users_own_and_never_roots(laptop)
    script = IN_ITS_PLACE.format(path=own.docker.socket)
    other = ("bash", "-c", f"exec -a /usr/bin/dockerd python3 -c '{script}'")

    own.docker.run("systemd-run", "--user", "--unit=other", *other)

    laptop.until(lambda: "another dockerd listens on its socket" in own.agent("plan").stdout, within=60)


@pytest.mark.trixie
def test_its_containers_are_waited_for_and_the_user_is_told_the_users_own_command(laptop: Laptop) -> None:
    """They end with a rootless Docker, whatever live-restore says."""
    proxy = laptop.office.tinyproxy
    laptop.plug("home")
    own = own_instance(laptop)
    installed(own)
    laptop.until(own.is_steady, "elsewhere on earth", within=30)
    web = own.docker.start_container()

    laptop.plug("office")

    laptop.until(own.says, "docker-proxy-agent apply --user --now", within=60)
    assert web.is_running()
    assert own.docker.reports(http="", https="")
    ran = own.agent("apply", "--now")
    assert ran.ok, ran
    assert own.docker.reports(https=proxy.url)
    assert own.docker.pull().ok


def test_where_its_files_are_says_the_systemd_that_starts_it_and_not_the_shell(laptop: Laptop) -> None:
    laptop.plug("office")
    own = own_instance(laptop)
    own.docker.systemctl("set-environment", "XDG_STATE_HOME=/home/alice/elsewhere")

    # In a shell that knows nothing of it, and has not even the folder that systemd speaks in.
    ran = laptop.agent("install", "--user", user="alice")

    assert ran.ok, ran
    assert "loginctl" not in ran.stdout  # it starts at boot already
    laptop.until(own.docker.reports, https=laptop.office.tinyproxy.url, within=60)
    laptop.until(own.is_steady, "office", within=30)
    assert laptop.exists("/home/alice/elsewhere/docker-proxy-agent/log/audit.jsonl")
    assert not laptop.exists(STATE)
    audit = laptop.agent("audit", "--user", user="alice")
    assert "Chose office in office" in audit.stdout
    # Nor what a shell has of another session, or after `su` of another user.
    odd = ("env", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere", "XDG_RUNTIME_DIR=/run/user/0")
    for words in (("plan",), ("status",)):
        ran = laptop.run(*odd, AGENT, *words, "--user", user="alice", check=False)
        assert ran.ok, ran
    ran = laptop.agent("uninstall", "--user", "--purge", user="alice")
    assert ran.ok, ran
    assert not laptop.exists("/home/alice/elsewhere/docker-proxy-agent")


def test_after_a_boot_elsewhere_ones_own_docker_starts_once_and_right(laptop: Laptop) -> None:
    """And the journal misses the user's own log as it does the system's."""
    _the_journal_is_kept_on_disk(laptop)
    laptop.plug("home")
    own = own_instance(laptop)
    installed(own)
    laptop.until(own.is_steady, "elsewhere on earth", within=30)
    own.docker.systemctl("stop", NAME)
    laptop.plug("office")

    laptop.reboot()

    laptop.until(own.docker.reports, https=laptop.office.tinyproxy.url, within=60)
    laptop.until(own.is_steady, "office", within=30)
    assert own.agent("audit", "--event", "docker-restarted", "--since", "1h").stdout.count("docker-restarted") == 0
    assert own.docker.pull().ok
    assert verified(laptop, own) == (True, True)
    own.docker.systemctl("stop", NAME)
    own.docker.run("rm", "-r", STATE)

    assert verified(laptop, own) == (False, True)


def _the_journal_is_kept_on_disk(laptop: Laptop) -> None:
    """Where journald keeps apart what is a user's."""
    laptop.run("mkdir", "-p", "/var/log/journal")
    laptop.run("systemctl", "restart", "systemd-journald")
    laptop.run("journalctl", "--flush")


@pytest.mark.trixie
def test_a_password_of_the_users_is_the_users_alone(laptop: Laptop) -> None:
    squid, file = laptop.office.squid, f"{CONFIG}/office.password"
    laptop.plug("office")
    own = own_instance(laptop)
    installed(own)
    laptop.until(own.docker.reports, https=laptop.office.tinyproxy.url, within=60)
    laptop.until(own.is_steady, "office", within=30)
    laptop.write(file, squid.password + "\n", mode=0o600, owner="alice")
    upstream = f'[upstream.office]\nurl = "{squid.url}"\nusername = "{squid.user}"\npassword_file = "{file}"\n'

    own.policy(upstream + PLACES)

    laptop.until(own.docker.reports, https=squid.url_reported, within=60)
    laptop.until(own.is_steady, "office", within=30)
    assert own.docker.pull().ok
    assert own.agent("plan").code == 0
    assert own.agent("probe").ok
    secrets = (squid.password, quote(squid.password, safe=""))
    shown = own.agent("audit").stdout + own.agent("status", "--json").stdout + laptop.journal(lines=5000)
    assert [text for text in secrets if text in shown] == []
    for closed in (f"{CONFIG}/dockerd.env", STATE, f"/run/user/{own.docker.uid}/docker-proxy-agent"):
        assert not laptop.run("ls", "-l", f"{closed}/", user="bob", check=False).ok
        assert not laptop.run("cat", closed, user="bob", check=False).ok


def verified(laptop: Laptop, own: Own) -> tuple[bool, bool]:
    """Whether the user's own log is whole, and whether the journal had anchors of it."""
    laptop.run("journalctl", "--sync")
    found = json.loads(own.agent("audit", "verify", "--json").stdout)
    in_journal = [one["anchors"] for one in found["compared"] if one["source"] == "journal"]
    return found["broken"] is None, bool(in_journal and in_journal[0])


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)  # 20.10 knows no such proxies
def test_a_stopped_docker_of_ones_own_gets_its_daemon_json(laptop: Laptop) -> None:
    """The dockerd behind its script is asked whether it knows `proxies`, and whether it takes the file."""
    own = own_instance(laptop)
    own.policy(f'[docker]\nmethod = "daemon-json"\n{through(laptop.office.tinyproxy)}{PLACES}')
    own.docker.systemctl("stop", "docker.service")
    laptop.plug("office")

    ran = own.agent("apply")

    assert ran.ok, ran
    assert "proxies" in json.loads(laptop.read(own.docker.daemon_json))
    own.docker.systemctl("start", "docker.service")
    laptop.until(own.docker.reports, https=laptop.office.tinyproxy.url, within=60)
