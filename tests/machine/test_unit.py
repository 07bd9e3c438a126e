"""The unit file: how closed it is, that everything works as closed as it is, and what a drop-in opens."""

from __future__ import annotations

import json

import pytest

from tests.waiting import Seen

from .lab.laptop import Laptop
from .test_apply import DAEMON_JSON, ENVIRONMENT, PASSWORD_FILE, PLACES, office_policy, through
from .test_service import NAME, installed, started

EXPOSURE = 29  # tenths. Root, the network, other users, /proc/PID/environ and netlink are 2.6 of it
AUDIT_FOLDER = "/var/log/docker-proxy-agent"
CAROLS = "/srv/homes/carol/.docker/config.json"
# bookworm's Docker does not support proxies in daemon.json, and how the one to come takes a drop-in other tests show.
METHODS = [
    pytest.param("trixie", "systemd-drop-in", id="trixie-systemd-drop-in"),
    pytest.param("trixie", "daemon-json", id="trixie-daemon-json"),
    pytest.param("bookworm", "systemd-drop-in", id="bookworm-systemd-drop-in"),
    pytest.param("sid", "daemon-json", id="sid-daemon-json"),
]


def opened(laptop: Laptop, *lines: str) -> None:
    """A drop-in for the agent's unit, as `systemctl edit` writes it."""
    text = "".join(f"{line}\n" for line in ("[Service]", *lines))
    laptop.write(f"/etc/systemd/system/{NAME}.d/override.conf", text)
    laptop.run("systemctl", "daemon-reload")


def proxy_of(laptop: Laptop, path: str) -> Seen:
    """The client's httpsProxy in that file."""
    if not laptop.exists(path):
        return Seen(False, "no such file")
    found = json.loads(laptop.read(path)).get("proxies", {}).get("default", {}).get("httpsProxy", "")
    return Seen(bool(found), found)


def has_failed(laptop: Laptop, path: str) -> Seen:
    failed = [record for record in laptop.audit.records() if record["event"] == "target-failed"]
    return Seen(any(path in json.dumps(record) for record in failed), failed)


@pytest.mark.parametrize(("laptop", "method"), METHODS, indirect=["laptop"])
def test_a_roam_with_a_password_and_the_files_of_users(laptop: Laptop, method: str) -> None:
    proxy = laptop.office.squid
    laptop.write("/home/bob/.docker/config.json", '{"auths": {}}', mode=0o600, owner="bob")
    laptop.run("chmod", "0700", "/home/bob", "/home/alice")
    office_policy(laptop, proxy, f'[docker]\nmethod = "{method}"\nmin_interval = "1s"\n')
    started(laptop)

    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=proxy.url_reported, within=30)
    assert laptop.docker.pull().ok
    for home in ("/root", "/home/alice", "/home/bob"):
        assert laptop.until(proxy_of, laptop, f"{home}/.docker/config.json").what == proxy.url
    assert laptop.run("stat", "-c", "%U %a", "/home/bob/.docker/config.json").stdout == "bob 600\n"

    laptop.plug("home")
    laptop.until(laptop.docker.reports, https="", within=60)
    for home in ("/root", "/home/alice", "/home/bob"):  # they come after Docker
        laptop.until(lambda home=home: not proxy_of(laptop, f"{home}/.docker/config.json"))

    assert "target-failed" not in laptop.audit.events()
    assert laptop.agent("audit", "verify").ok
    assert laptop.docker.show("NRestarts", NAME) == "0"


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_daemon_json_of_somebody_else_stays_theirs(laptop: Laptop) -> None:
    laptop.write(DAEMON_JSON, "{}", mode=0o640)
    laptop.run("chown", "bob:docker", DAEMON_JSON)
    laptop.docker.restart()  # or it is newer than dockerd, and not risked
    office_policy(laptop, docker='[docker]\nmethod = "daemon-json"\n')
    laptop.plug("office")

    started(laptop)

    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    assert laptop.run("stat", "-c", "%U:%G %a", DAEMON_JSON).stdout == "bob:docker 640\n"


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
@pytest.mark.parametrize("what", ["folder", "mounted-file"])
def test_a_daemon_json_that_only_its_owner_could_write_is_refused_with_a_word(laptop: Laptop, what: str) -> None:
    laptop.write(DAEMON_JSON, "{}", mode=0o640)
    laptop.run("chown", "bob:docker", DAEMON_JSON)
    if what == "folder":
        laptop.run("chown", "bob", "/etc/docker")
    else:
        laptop.run("mount", "--bind", DAEMON_JSON, DAEMON_JSON)
    office_policy(laptop, docker='[docker]\nmethod = "daemon-json"\n')
    laptop.plug("office")

    started(laptop)

    laptop.until(has_failed, laptop, DAEMON_JSON, within=20)
    assert "not even to root" in str(has_failed(laptop, DAEMON_JSON))
    assert laptop.read(DAEMON_JSON) == "{}"
    assert laptop.until(proxy_of, laptop, "/home/alice/.docker/config.json")


# Run as the agent is run; each of these is refused.
TRIES = """
import errno, json, os, pathlib, socket, subprocess

def binds(port, kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as listener:
        listener.bind(("127.0.0.1", port))

def tried(what):
    try:
        return str(what())
    except OSError as error:
        return errno.errorcode[error.errno]

rights = next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if "CapBnd" in line)
print(json.dumps({
    "a port": tried(lambda: binds(0)),
    "a port of UDP": tried(lambda: binds(3130, socket.SOCK_DGRAM)),
    "a port that it holds for the relay": tried(lambda: binds(3130)),
    "runs what is alice's": tried(lambda: subprocess.run(["/home/alice/true"])),
    "runs what is in /tmp": tried(lambda: subprocess.run(["/tmp/true"])),
    "passwords": tried(lambda: len(pathlib.Path("/etc/shadow").read_text())),
    "keys of the host": tried(lambda: os.listdir("/etc/ssh")),
    "keys of root": tried(lambda: os.listdir("/root/.ssh")),
    "writes where only bob may": tried(lambda: pathlib.Path("/home/bob/closed/file").write_text("")),
    "reads where only bob may": tried(lambda: os.listdir("/home/bob/closed")),
    "rights": f"{int(rights.split()[1], 16):b}".count("1"),
}))
"""


@pytest.mark.sid
def test_it_is_as_closed_as_it_was_and_its_log_is_open_to_whoever_reads_the_systems(laptop: Laptop) -> None:
    laptop.run("usermod", "--append", "--groups", "adm", "alice")
    laptop.write("/opt/tries", TRIES)
    prepared = "cp /bin/true /home/alice/true; mkdir -p /etc/ssh /root/.ssh"
    laptop.run("sh", "-euc", f"{prepared}; install -d -o bob -m 0700 /home/bob/closed")
    opened(
        laptop,
        "ExecStartPre=/bin/cp /bin/true /tmp/true",
        "ExecStartPre=/bin/sh -c '/usr/bin/python3 /opt/tries >/run/docker-proxy-agent/tried'",
    )

    started(laptop)

    tried = json.loads(laptop.read("/run/docker-proxy-agent/tried"))
    denied = "None" if laptop.suite == "bookworm" else "EPERM"  # it has no BPF (docs/facts.md 91)
    assert tried == {
        "a port": denied,
        "a port of UDP": denied,
        "a port that it holds for the relay": "None",
        "runs what is alice's": "EACCES",
        "runs what is in /tmp": "EACCES",
        "passwords": "0",
        "keys of the host": "[]",
        "keys of root": "[]",
        "writes where only bob may": "EACCES",
        "reads where only bob may": "[]",
        "rights": 7,
    }
    limits = ("MemoryMax", "OOMPolicy", "TasksMax")
    assert [laptop.docker.show(limit, NAME) for limit in limits] == [str(384 << 20), "continue", "128"]
    opened(laptop)
    laptop.run("systemd-analyze", "security", "--no-pager", "--offline=no", f"--threshold={EXPOSURE}", NAME)
    verified = laptop.run("systemd-analyze", "verify", NAME)
    assert verified.stderr == "", verified
    _who_may_read_the_systems_logs_may_read_its_own(laptop)


def _who_may_read_the_systems_logs_may_read_its_own(laptop: Laptop) -> None:
    for _ in range(2):  # systemd gives the folder back to root at every start
        read = laptop.agent("audit", "--event", "agent-started", user="alice")
        assert read.ok, read
        assert laptop.run("stat", "-c", "%U:%G %a", AUDIT_FOLDER).stdout == "root:adm 750\n"
        assert laptop.run("stat", "-c", "%U:%G %a", f"{AUDIT_FOLDER}/audit.jsonl").stdout == "root:adm 640\n"
        laptop.run("systemctl", "restart", NAME, timeout=30)

    assert not laptop.agent("audit", user="bob").ok


HOLDS = """
import fcntl, os, time
os.setresuid(1, 1, 1)
held = open("/run/docker-proxy-agent/lock")
fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(1000)
"""


def test_neither_folders_that_are_gone_nor_a_user_with_the_lock_of_an_earlier_version_keep_it_from_starting(
    laptop: Laptop,
) -> None:
    """The folders that it makes are open to be looked at."""
    made = ("/etc/docker", "/etc/docker-proxy-agent", "/etc/systemd/system/docker.service.d")
    laptop.run("systemctl", "stop", "docker.service", "docker.socket")
    laptop.run("rm", "-rf", *made)
    laptop.write("/run/docker-proxy-agent/lock", "1\n", mode=0o644)
    laptop.write("/opt/holds", HOLDS)
    laptop.run("systemd-run", "--quiet", "--unit=holder", "python3", "/opt/holds")
    laptop.until(lambda: "held" in laptop.run("journalctl", "--no-pager", "--unit=holder").stdout)

    started(laptop)

    assert laptop.run("stat", "-c", "%a", *made).stdout == "755\n" * 3
    assert laptop.run("runuser", "-u", "bob", "--", "systemctl", "cat", "docker.service").stderr == ""
    assert laptop.run("stat", "-c", "%U %a", "/run/docker-proxy-agent/lock").stdout == "root 600\n"
    second = laptop.agent("run")
    assert second.code == 1
    assert f"process {laptop.docker.show('MainPID', NAME)} holds the lock" in second.stderr


@pytest.mark.sid
def test_what_cannot_run_ends_as_failed(laptop: Laptop) -> None:
    opened(laptop, "ExecStart=", "ExecStart=/bin/false", "RestartSec=100ms")
    installed(laptop)

    laptop.run("systemctl", "start", "--no-block", NAME)

    def has_failed_for_good() -> Seen:
        state = laptop.docker.show("ActiveState", NAME), laptop.docker.show("NRestarts", NAME)
        return Seen(state == ("failed", "10"), state)

    laptop.until(has_failed_for_good, within=30)
    assert NAME in laptop.run("systemctl", "--failed", "--plain", "--no-legend").stdout


def test_a_home_elsewhere_needs_a_drop_in(laptop: Laptop) -> None:
    laptop.run("mkdir", "-p", "/srv/homes")
    laptop.run("useradd", "--create-home", "--base-dir", "/srv/homes", "--groups", "docker", "carol")
    office_policy(laptop)
    laptop.plug("office")

    started(laptop)
    laptop.until(has_failed, laptop, CAROLS, within=20)
    assert "ReadWritePaths=" in str(has_failed(laptop, CAROLS))
    assert laptop.until(proxy_of, laptop, "/home/alice/.docker/config.json")

    opened(laptop, "ReadWritePaths=-/srv/homes")
    laptop.run("systemctl", "restart", NAME, timeout=30)
    assert laptop.until(proxy_of, laptop, CAROLS, within=20)
    assert laptop.run("stat", "-c", "%U %a", CAROLS).stdout == "carol 600\n"


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_config_file_elsewhere_needs_a_drop_in(laptop: Laptop) -> None:
    file = "/srv/docker/daemon.json"
    laptop.write(file, "{}")
    laptop.docker.drop_in(
        f"[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --config-file {file} "
        "--containerd=/run/containerd/containerd.sock\n"
    )
    office_policy(laptop, docker='[docker]\nmethod = "daemon-json"\n')
    laptop.plug("office")

    started(laptop)
    laptop.until(has_failed, laptop, file, within=20)
    assert "ReadWritePaths=" in str(has_failed(laptop, file))
    assert laptop.docker.is_active()

    opened(laptop, "ReadWritePaths=-/srv/docker")
    laptop.run("systemctl", "restart", NAME, timeout=30)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    assert not laptop.exists(DAEMON_JSON)


@pytest.mark.sid
def test_a_password_from_systemd_and_a_docker_that_was_not_started_with_it(laptop: Laptop) -> None:
    """/info hides which one it has: only the environment of the process tells, which is root's with all its rights."""
    proxy = laptop.office.squid
    laptop.write("/etc/credstore/office", proxy.password, mode=0o600)
    by_file = f'password_file = "{PASSWORD_FILE}"'
    by_credential = through(proxy).replace(by_file, 'password_credential = "office"')
    laptop.policy('[docker]\nmin_interval = "1s"\n' + by_credential + PLACES)
    opened(laptop, "LoadCredential=office:/etc/credstore/office")
    laptop.plug("office")

    started(laptop)

    laptop.until(laptop.docker.reports, https=proxy.url_reported, within=30)
    assert laptop.docker.pull().ok
    right = laptop.read(ENVIRONMENT)
    laptop.run("systemctl", "stop", NAME)
    laptop.write(ENVIRONMENT, right.replace("alice:", "alice:no"), mode=0o600)
    laptop.docker.restart()
    assert not laptop.docker.pull().ok

    laptop.run("systemctl", "start", NAME, timeout=30)

    laptop.until(laptop.docker.pulls, within=30)
    assert laptop.read(ENVIRONMENT) == right


def test_a_resolv_conf_that_leads_into_run(laptop: Laptop) -> None:
    here = '[[network]]\nmatch.dns_search = ["corp.example"]\nuse = ["office"]\n'
    laptop.policy(through(laptop.office.tinyproxy) + here)
    laptop.plug("office")
    laptop.run("mkdir", "-p", "/run/systemd/resolve")
    laptop.run("mv", "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
    laptop.run("ln", "-s", "../run/systemd/resolve/resolv.conf", "/etc/resolv.conf")

    started(laptop)

    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)


@pytest.mark.sid
def test_a_reload_ends_nothing_and_one_that_hangs_is_ended_by_the_watchdog_and_started_again(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    opened(laptop, "WatchdogSec=2s", "RestartSec=0")
    started(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    hangs, docker = laptop.docker.show("MainPID", NAME), laptop.docker.invocation_id()

    for _ in range(5):
        laptop.run("systemctl", "reload", NAME)

    assert (laptop.docker.show("MainPID", NAME), laptop.docker.invocation_id()) == (hangs, docker)
    assert laptop.docker.show("ActiveState", NAME) == "active"

    laptop.run("kill", "-STOP", hangs)

    def is_another() -> Seen:
        pid, state = laptop.docker.show("MainPID", NAME), laptop.docker.show("ActiveState", NAME)
        return Seen(state == "active" and pid not in ("0", hangs), (pid, state))

    laptop.until(is_another, within=20)
    assert "atchdog timeout" in laptop.run("journalctl", "--no-pager", f"--unit={NAME}").stdout
    assert laptop.docker.show("NRestarts", NAME) == "1"
    assert laptop.docker.invocation_id() == docker
    assert laptop.agent("audit", "verify").ok
    laptop.plug("home")
    laptop.until(laptop.docker.reports, https="", within=30)
