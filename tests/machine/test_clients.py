"""The clients' files on a real Docker: what containers and builds get, and whose files are written as whom."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.waiting import Seen

from .lab.box import Ran
from .lab.docker import LOCAL_IMAGE
from .lab.laptop import AGENT, POLICY, PROBE, Laptop
from .lab.places import GUARDED, REGISTRY, TOKENS
from .test_apply import PASSWORD_FILE, PLACES, applied, office_policy, soon_pulls, through
from .test_service import NAME, started

URL = f"http://{REGISTRY}/hello"
HELLO = "hello from the internet"
DOWNLOAD = f"wget -q -O - {URL}"


def people(laptop: Laptop) -> None:
    """alice may use Docker and has no ~/.docker yet; bob has logged in somewhere; carol has nothing to do with it."""
    laptop.run(
        "sh", "-euc", "for name in alice bob carol; do id $name || useradd --create-home --shell /bin/bash $name; done"
    )
    laptop.run("usermod", "--append", "--groups", "docker", "alice")
    laptop.write("/home/bob/.docker/config.json", BOBS, mode=0o600, owner="bob")
    laptop.docker.import_image()


BOBS = '{\n\t"auths": {\n\t\t"registry.example": {\n\t\t\t"auth": "Ym9iOmh1bnRlcjI="\n\t\t}\n\t},\n\t"detachKeys": "ctrl-e,e"\n}'


def downloads(laptop: Laptop, user: str | None = None) -> bool:
    """Whether a container that this person starts gets to the internet by what it was given."""
    ran = laptop.in_a_container(DOWNLOAD, user=user)
    assert "WARNING" not in ran.stderr, ran
    return HELLO in ran.stdout


def builds(laptop: Laptop, user: str | None = None) -> bool:
    dockerfile = f"FROM {LOCAL_IMAGE}\nRUN {DOWNLOAD}\n"
    ran = laptop.run("docker", "build", "--no-cache", "-", input=dockerfile, user=user, check=False, timeout=120)
    return ran.ok


def config(laptop: Laptop, home: str) -> dict[str, object]:
    read: dict[str, object] = json.loads(laptop.read(f"{home}/.docker/config.json"))
    return read


def owner(laptop: Laptop, path: str) -> str:
    return laptop.run("stat", "-c", "%a %U:%G", path).stdout.strip()


def test_run_and_build_follow_the_laptop_for_root_and_for_users(laptop: Laptop) -> None:
    people(laptop)
    laptop.run("usermod", "--append", "--groups", "docker", "bob")
    office_policy(laptop)
    proxy = laptop.office.tinyproxy

    laptop.plug("office")
    assert not downloads(laptop)
    applied(laptop)
    for user in (None, "alice", "bob"):
        proxy.forget()
        assert downloads(laptop, user), user
        assert set(proxy.log()) == {URL}, user
    proxy.forget()
    assert builds(laptop, "alice")
    assert URL in proxy.log()
    assert laptop.docker.pull().ok
    the_docker_command_itself_asks_for_the_token_of_a_build(laptop)

    laptop.plug("home")
    applied(laptop)
    proxy.forget()
    assert soon_pulls(laptop)
    for user in (None, "alice", "bob"):
        assert laptop.until(downloads, laptop, user, within=20), user
    assert laptop.until(builds, laptop, "alice", within=20)
    assert proxy.log() == []
    assert laptop.read("/home/bob/.docker/config.json") == BOBS


def the_docker_command_itself_asks_for_the_token_of_a_build(laptop: Laptop) -> None:
    """By the proxy of its own environment, whatever dockerd and config.json have."""
    laptop.internet.open_guarded_door()
    images = (f"{GUARDED}/busybox", f"{GUARDED}/library/busybox")
    dockerd, shell = laptop.office.tinyproxy, laptop.office.tls

    def builds_from(image: str, *environment: str) -> Ran:
        dockerd.forget()
        shell.forget()
        build = ("docker", "build", "--no-cache", "-")
        words = ("env", "DOCKER_BUILDKIT=1", *environment, *build)
        return laptop.run(*words, input=f"FROM {image}\n", check=False, timeout=120)

    refused = builds_from(images[0])
    assert not refused.ok
    assert f'failed to fetch anonymous token: Get "https://{TOKENS}/token?' in refused.stderr
    assert "no such host" in refused.stderr
    assert not builds_from(images[0], f"HTTP_PROXY={shell.url}", f"ALL_PROXY={laptop.office.socks.url}").ok
    assert not builds_from(images[0], f"HTTPS_PROXY={shell.url}", "NO_PROXY=auth.example").ok
    _doctor_tells_whom_that_shell_is(laptop)

    built = builds_from(images[0], f"https_proxy={shell.url}")
    assert built.ok, built
    assert shell.log() == [TOKENS]
    assert TOKENS not in dockerd.log()

    built = builds_from(images[1], "BUILDKIT_NO_CLIENT_TOKEN=1", "HTTPS_PROXY=http://127.0.0.1:9")
    assert built.ok, built
    assert TOKENS in dockerd.log()

    dockerd.forget()
    assert laptop.docker.pull(images[0]).ok
    assert TOKENS in dockerd.log()

    # Nor does dockerd ask for what only the command wants to see.
    inspect = ("env", "DOCKER_CLI_EXPERIMENTAL=enabled", f"HTTP_PROXY={shell.url}", "docker", "manifest", "inspect")
    assert "no such host" in laptop.run(*inspect, images[0], check=False).stderr
    assert laptop.run(*inspect[:2], f"HTTPS_PROXY={shell.url}", *inspect[2:], images[0]).ok


def _doctor_tells_whom_that_shell_is(laptop: Laptop) -> None:
    """Called from a terminal, where a person may type a build."""
    before = laptop.read(POLICY)
    laptop.policy(f'[probe]\nregistry = ["https://{GUARDED}"]\n{before.removeprefix(PROBE)}')

    def said(shell: str) -> str:
        typed = f"sh -c '{shell} {AGENT} doctor --json; true'"
        return laptop.run("script", "--quiet", "--return", "--command", typed, "/dev/null").stdout

    by_buildkit = ""
    if laptop.suite == "bookworm":  # whose classic builder asks by dockerd, and which takes no other unless told so
        by_buildkit = "DOCKER_BUILDKIT=1"
        assert "shell-proxy" not in said("")
    (found,) = [one for one in json.loads(said(by_buildkit))["findings"] if one["code"] == "shell-proxy"]
    assert found["where"] == TOKENS
    assert "through the proxy of your shell, which has none: " in found["what"]
    laptop.write(POLICY, before)


@pytest.mark.trixie
def test_whose_file_is_written_and_as_whom(laptop: Laptop) -> None:
    people(laptop)
    office_policy(laptop)
    laptop.plug("office")

    printed = applied(laptop)

    assert "client of root · client of alice · client of bob" in printed
    assert owner(laptop, "/home/alice/.docker") == "700 alice:alice"
    assert owner(laptop, "/home/alice/.docker/config.json") == "600 alice:alice"
    assert owner(laptop, "/home/bob/.docker/config.json") == "600 bob:bob"
    assert owner(laptop, "/root/.docker/config.json") == "600 root:root"
    assert not laptop.exists("/home/carol/.docker")
    assert laptop.read("/home/bob/.docker/config.json").startswith(BOBS.rstrip("\n}"))
    before = laptop.run("sh", "-c", "stat -c '%n %i %Y' /root/.docker/* /home/*/.docker/*").stdout
    assert "nothing: Docker runs with the right settings" in applied(laptop)
    assert laptop.run("sh", "-c", "stat -c '%n %i %Y' /root/.docker/* /home/*/.docker/*").stdout == before


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_who_leaves_gets_everything_back_while_the_service_runs(laptop: Laptop) -> None:
    people(laptop)
    office_policy(laptop)
    laptop.plug("office")
    started(laptop)
    laptop.until(lambda: laptop.exists("/home/alice/.docker/config.json"), within=20)
    laptop.until(lambda: "httpProxy" in laptop.read("/home/bob/.docker/config.json"), within=20)

    laptop.run("gpasswd", "--delete", "alice", "docker")
    laptop.agent("apply")

    assert not laptop.exists("/home/alice/.docker")
    assert "httpProxy" in laptop.read("/home/bob/.docker/config.json")

    laptop.policy("[clients]\nusers = []\n" + laptop.read("/etc/docker-proxy-agent/config.toml"))
    laptop.until(lambda: laptop.read("/home/bob/.docker/config.json") == BOBS, within=20)

    assert owner(laptop, "/home/bob/.docker/config.json") == "600 bob:bob"
    laptop.until(lambda: not laptop.exists("/root/.docker/config.json"), within=20)
    laptop.until(laptop.audit.has, "restored")


@pytest.mark.trixie
def test_no_password_in_a_container_unless_the_policy_says_so(laptop: Laptop) -> None:
    people(laptop)
    squid = laptop.office.squid
    office_policy(laptop, squid)
    laptop.plug("office")

    printed = applied(laptop)

    assert "Set clients.credentials = true" in printed
    web = laptop.docker.start_container()
    assert web.environment()["http_proxy"] == squid.url
    assert squid.password not in json.dumps(config(laptop, "/root"))
    laptop.write(PASSWORD_FILE, squid.password, mode=0o600)
    laptop.policy(f"[clients]\ncredentials = true\n{through(squid)}{PLACES}")
    assert squid.password not in applied(laptop)
    assert laptop.docker.start_container().environment()["http_proxy"] == squid.url_with_password
    assert downloads(laptop)
    assert owner(laptop, "/home/bob/.docker/config.json") == "600 bob:bob"


def test_a_proxy_on_loopback_is_given_to_containers_only_where_it_listens(laptop: Laptop) -> None:
    policy = '[upstream.office]\nurl = "http://127.0.0.1:7890"\n' + PLACES
    people(laptop)
    laptop.policy(policy)
    laptop.plug("office")
    on_loopback = laptop.start_proxy(7890, "127.0.0.1", upstream=laptop.office.tinyproxy)

    printed = applied(laptop)

    assert "Make it listen on 172.17.0.1" in printed
    assert laptop.docker.pull().ok
    assert not laptop.exists("/root/.docker/config.json")
    on_loopback.stop()
    everywhere = laptop.start_proxy(7890, "0.0.0.0", upstream=laptop.office.tinyproxy)
    applied(laptop)
    assert config(laptop, "/root")["proxies"]["default"]["httpProxy"] == "http://172.17.0.1:7890"  # type: ignore[index]
    assert downloads(laptop, "alice")
    assert URL in everywhere.log_text()
    assert broken(laptop) == []
    laptop.run("iptables", "--insert", "INPUT", "--in-interface", "docker0", "--jump", "REJECT")
    assert not downloads(laptop, "alice")
    assert broken(laptop) == [("firewall", "172.17.0.1:7890")]
    everywhere.stop()
    assert broken(laptop)[0] == ("listener-absent", "127.0.0.1:7890")
    assert "dpa" not in laptop.run("ip", "-brief", "link").stdout


def broken(laptop: Laptop) -> list[tuple[str, str]]:
    """What `doctor` says of now: the codes, and where."""
    ran = laptop.agent("doctor", "--json")
    found = json.loads(ran.stdout)
    assert ran.code == int(found["broken"]), ran
    assert found["unseen"] == [], ran
    return [(one["code"], one["where"]) for one in found["findings"] if one["is_broken"]]


class Stranger:
    """bob, who is in no group, listens where somebody else's proxy is expected."""

    def __init__(self, laptop: Laptop, address: str, port: int) -> None:
        self._laptop, self._unit, self._log = laptop, f"stranger-{address}", f"/tmp/stranger-{address}.log"
        laptop.write("/srv/stranger.py", STRANGER)
        argv = ("python3", "/srv/stranger.py", address, str(port))
        output = f"--property=StandardOutput=append:{self._log}"
        laptop.run("systemd-run", "--quiet", "--uid=bob", f"--unit={self._unit}", output, *argv)
        laptop.until(lambda: laptop.network(f"ss -Htln src {address}:{port}"))

    def heard(self) -> str:
        return self._laptop.read(self._log)

    def stop(self) -> None:
        self._laptop.run("systemctl", "stop", self._unit)


STRANGER = (Path(__file__).parent / "lab/stranger.py").read_text()


def has_verdict(laptop: Laptop, name: str, outcome: str) -> Seen:
    verdict = laptop.status().get("verdicts", {}).get(name, {})
    return Seen(verdict.get("verdict") == outcome, verdict)


def loaded(laptop: Laptop, before: object) -> Seen:
    """Whether the policy is another one than that which was loaded then."""
    now = laptop.status().get("policy", {}).get("loaded")
    return Seen(now != before, now)


def conditions(laptop: Laptop, said: str) -> Seen:
    found = [f"{each['code']}: {each['text']}" for each in laptop.status().get("conditions", [])]
    return Seen(any(each.startswith(f"client-unreachable: {said}") for each in found), found)


@pytest.mark.trixie
def test_who_listens_in_the_place_of_the_proxy_becomes_nobodys_proxy(laptop: Laptop) -> None:
    """bob is there first: on the bridge's address beside root's proxy, then on loopback in its place."""
    people(laptop)
    ours = f'[probe]\nregistry = ["https://{REGISTRY}"]\nrecheck = "1s"\n[upstream.office]\nurl = "http://127.0.0.1:7890"\n'
    laptop.policy(ours + PLACES)
    laptop.plug("office")
    proxy = laptop.start_proxy(7890, "127.0.0.1", upstream=laptop.office.tinyproxy)
    bob = Stranger(laptop, "172.17.0.1", 7890)

    started(laptop)

    laptop.until(laptop.docker.reports, https="http://127.0.0.1:7890", within=30)
    laptop.until(conditions, laptop, "office: 127.0.0.1:7890 is root's, 172.17.0.1:7890 is bob's", within=20)
    assert not laptop.exists("/root/.docker/config.json")
    assert not laptop.exists("/home/alice/.docker/config.json")
    assert bob.heard() == ""

    # The proxy's own listener there is given to everybody's containers.
    bob.stop()
    proxy.stop()
    proxy = laptop.start_proxy(7890, "0.0.0.0", upstream=laptop.office.tinyproxy)
    laptop.until(given, laptop, "/home/alice", "http://172.17.0.1:7890", within=30)
    laptop.until(downloads, laptop, "alice", within=20)

    # It has gone, and bob has both places; nothing else works here, so Docker keeps what it has. With an owner he is told
    # nothing, and nobody's containers are sent to him.
    before = loaded(laptop, "").what
    laptop.policy(ours + 'owner = "root"\n' + PLACES)
    laptop.until(loaded, laptop, before, within=20)  # until then nobody is asked whose the listener is
    laptop.until(has_verdict, laptop, "office", "ok", within=20)
    proxy.stop()
    places = [Stranger(laptop, address, 7890) for address in ("127.0.0.1", "172.17.0.1")]
    laptop.until(has_verdict, laptop, "office", "refused", within=20)
    for home in ("/root", "/home/alice"):
        laptop.until(given, laptop, home, None, within=20)
    laptop.until(conditions, laptop, "office must be root's, and 127.0.0.1:7890 is bob's", within=20)
    assert "root's is expected; bob listens" in laptop.agent("probe").stdout
    assert [place.heard() for place in places] == ["", ""]


def given(laptop: Laptop, home: str, proxy: str | None) -> Seen:
    """Whether this is the proxy that this person's containers are given."""
    file = f"{home}/.docker/config.json"
    found = config(laptop, home).get("proxies", {}) if laptop.exists(file) else {}
    assert isinstance(found, dict)
    return Seen(found.get("default", {}).get("httpProxy") == proxy, found)


@pytest.mark.trixie
def test_no_login_is_lost_while_apply_changes_its_mind(laptop: Laptop) -> None:
    """What `docker login`, `logout` and `context use` do: write a new file and rename it over the old one."""
    people(laptop)
    office_policy(laptop)
    laptop.plug("office")
    applied(laptop)
    results: list[str] = []

    def apply_again_and_again() -> None:
        try:
            for exclusion in ("a.example", "b.example") * 4:
                laptop.policy(
                    f'{through(laptop.office.tinyproxy)}no_proxy = ["{exclusion}"]\n'
                    '[docker]\nrestart = "never"\n' + PLACES
                )
                ran = laptop.agent("apply")
                results.append(str(ran) if not ran.ok else "")
        finally:
            laptop.run("touch", ENOUGH)

    applying = threading.Thread(target=apply_again_and_again)
    applying.start()
    try:
        done = laptop.run("python3", "-c", LOGINS, user="bob", timeout=120)
    finally:
        applying.join(300)
        assert not applying.is_alive()

    assert results == [""] * 8
    lost, logins = json.loads(done.stdout)
    assert lost == 0
    assert logins > 10
    assert owner(laptop, "/home/bob/.docker/config.json") == "600 bob:bob"
    assert "proxies" in config(laptop, "/home/bob")


ENOUGH = "/run/enough"  # logins go on until it is there
LOGINS = """
import json, os, tempfile, time
path = os.path.expanduser("~/.docker/config.json")
lost = number = 0
while not os.path.exists("/run/enough"):
    time.sleep(0.02)
    with open(path) as file:
        read = json.load(file)
    if number and read["auths"].get("last", {}).get("auth") != str(number - 1):
        lost += 1
    read["auths"]["last"] = {"auth": str(number)}
    if number % 3 == 0:
        read["currentContext"] = f"context-{number}"
    handle, new = tempfile.mkstemp(dir=os.path.dirname(path))
    os.write(handle, json.dumps(read, indent="\\t").encode())
    os.close(handle)
    os.rename(new, path)
    number += 1
print([lost, number])
"""

HOSTILE = {
    "a link to shadow": "mkdir .docker; ln -s /etc/shadow .docker/config.json",
    "a link to somebody else's": "mkdir .docker; ln -s /home/alice/secret.json .docker/config.json",
    "a named pipe": "mkdir .docker; mkfifo .docker/config.json",
    "a folder": "mkdir -p .docker/config.json",
    "two gigabytes": "mkdir .docker; truncate -s 2G .docker/config.json",
    "a folder without rights": "mkdir .docker; echo '{}' > .docker/config.json; chmod 0 .docker",
    "somebody else's folder": "ln -s /home/alice/private .docker",
}


UNTOUCHED = "cat /etc/shadow /home/alice/secret.json; ls -A /home/alice/private; stat -c %Z /home/alice/private"


@pytest.mark.trixie
def test_a_hostile_home_harms_only_itself(laptop: Laptop) -> None:
    people(laptop)
    laptop.run("sh", "-euc", "umask 077; cd; echo '{\"a\": 1}' > secret.json; mkdir private; chmod 700 .", user="alice")
    hostile = {f"hostile{number}": what for number, what in enumerate(HOSTILE)}
    for user, what in hostile.items():
        laptop.run("useradd", "--create-home", "--groups", "docker", user)
        laptop.run("sh", "-euc", f"cd; {HOSTILE[what]}", user=user)
    office_policy(laptop)
    laptop.plug("office")
    before = laptop.run("sh", "-c", UNTOUCHED).stdout

    ran = laptop.agent("apply", timeout=60)

    assert ran.code == 1, ran
    assert laptop.docker.reports(http=laptop.office.tinyproxy.url)
    assert config(laptop, "/root")["proxies"]
    assert config(laptop, "/home/alice")["proxies"]
    assert laptop.run("sh", "-c", UNTOUCHED).stdout == before
    assert "root:" not in ran.stdout
    records = [record for record in laptop.audit.records() if record["event"] == "target-failed"]
    failed = {target for record in records for target in record["facts"]["targets"]}
    assert failed == {f"/home/{user}/.docker/config.json" for user in hostile}
    for user, what in hostile.items():
        assert f"/home/{user}/.docker" in ran.stdout, what


# A file system of this user's alone, or of everybody's, that never answers; beside it what whoever looks at it gets.
SILENT = """
import ctypes, os, select, struct, sys, time
place, whose = sys.argv[1:]
os.path.exists("/dev/fuse") or os.mknod("/dev/fuse", 0o20600, os.makedev(10, 229))
device = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={device},rootmode=40000,{whose}".encode()
assert libc.mount(b"silent", place.encode(), b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())
number = struct.unpack_from("=IIQ", os.read(device, 65536))[2]
os.write(device, struct.pack("=IiQ IIIIHHII 36x", 80, 0, number, 7, 31, 0, 0, 0, 0, 4096, 1))
time.sleep(600)
"""
ODD_MOUNTS = """
for odd in '\\f' '\\v' '\\r' '\\302\\205' '\\342\\200\\250'; do
    place="/home/erin/$(printf "a${odd}b c")"
    mkdir "$place"
    mount -t tmpfs odd "$place"
done
"""


def silent(laptop: Laptop, place: str, whose: str) -> None:
    laptop.run("mkdir", place)
    unit = f"silent-{place.rpartition('/')[2]}"
    laptop.run("systemd-run", "--quiet", "--unit", unit, "python3", "-c", SILENT, place, whose)
    laptop.until(lambda: laptop.run("findmnt", "--noheadings", place, check=False).ok)


def stuck(laptop: Laptop, pid: int) -> str:
    """The threads of a process that wait for a file system, and for longer than a disk takes."""
    sample = f"grep -l 'State:.D' /proc/{pid}/task/*/status || true; sleep 0.5"
    found = [set(laptop.run("sh", "-c", sample).stdout.split("\n")) - {""} for _ in range(4)]
    waiting = set.intersection(*found)
    return laptop.run("cat", *(name.replace("status", "wchan") for name in waiting)).stdout if waiting else ""


def has_proxies(laptop: Laptop, home: str) -> bool:
    return laptop.exists(f"{home}/.docker/config.json") and "proxies" in config(laptop, home)


def test_links_and_mounts_of_a_hostile_home_harm_only_itself(laptop: Laptop) -> None:
    people(laptop)
    for name in ("dave", "erin", "frank"):
        laptop.run("useradd", "--create-home", "--shell", "/bin/bash", name)
    for name, link in {
        "bob": "a" * 300,
        "carol": "/mnt/closed/config.json",  # EACCES to root and to her
        "dave": "/mnt/hung/config.json",
        "frank": "../dotfiles/docker.json",
    }.items():
        laptop.run("sh", "-euc", f"cd; rm -rf .docker; mkdir .docker; ln -s {link} .docker/config.json", user=name)
    laptop.run("sh", "-euc", "cd; mkdir dotfiles; echo '{}' >dotfiles/docker.json", user="frank")
    silent(laptop, "/mnt/closed", "user_id=1,group_id=1")
    silent(laptop, "/mnt/hung", "user_id=0,group_id=0,allow_other")
    laptop.run("sh", "-euc", ODD_MOUNTS)
    laptop.write("/home/erin/.docker/config.json", "{}", mode=0o600, owner="erin")
    office_policy(laptop)

    started(laptop)
    pid = int(laptop.run("systemctl", "show", "--value", "--property=MainPID", NAME).stdout)
    laptop.plug("office")
    laptop.until(laptop.docker.reports, http=laptop.office.tinyproxy.url, within=60)
    for home in ("/root", "/home/alice", "/home/erin", "/home/frank"):
        laptop.until(lambda home=home: has_proxies(laptop, home), within=60)
    assert not stuck(laptop, pid)
    laptop.plug("home")
    laptop.until(laptop.docker.reports, http="", within=60)
    for home in ("/root", "/home/alice", "/home/erin", "/home/frank"):
        laptop.until(lambda home=home: not has_proxies(laptop, home), within=60)
    assert not stuck(laptop, pid)
    # What frank changes is seen, though it lies elsewhere and he alone may look there.
    laptop.run(
        "sh",
        "-euc",
        'cd; cd dotfiles; echo \'{"proxies": {"default": {"httpProxy": "http://x:1"}}}\' >docker.json',
        user="frank",
    )
    laptop.until(lambda: not has_proxies(laptop, "/home/frank"), within=30)

    shown = laptop.run("systemctl", "show", "--property=MainPID,NRestarts", NAME).stdout
    assert f"MainPID={pid}\nNRestarts=0" in shown
    failed = {target["path"]: target["error"] or "" for target in laptop.status()["targets"]}
    assert "File name too long" in failed["/home/bob/.docker/config.json"]
    assert "not permitted" in failed["/home/carol/.docker/config.json"]
    assert "no answer" in failed["/home/dave/.docker/config.json"]
    assert not any(condition["code"] == "internal-error" for condition in laptop.status()["conditions"])


def test_a_docker_login_of_the_real_cli_keeps_the_proxies(laptop: Laptop) -> None:
    people(laptop)
    office_policy(laptop)
    laptop.plug("office")
    applied(laptop)

    ran = laptop.run(
        "docker", "login", "--username", "bob", "--password-stdin", REGISTRY, input="x", user="bob", check=False
    )
    laptop.run("docker", "logout", REGISTRY, user="bob", check=False)

    assert "proxies" in config(laptop, "/home/bob"), ran
    assert "WARNING: Error loading config file" not in ran.stderr
    assert "nothing: Docker runs with the right settings" in applied(laptop)


def test_a_local_scope_leaves_remote_engines_alone(laptop: Laptop) -> None:
    people(laptop)
    laptop.policy('[clients]\nscope = "local"\n' + through(laptop.office.tinyproxy) + PLACES)
    laptop.plug("office")

    applied(laptop)

    entries = ["unix:///var/run/docker.sock", "unix:///run/docker.sock"]
    assert list(config(laptop, "/root")["proxies"]) == entries  # type: ignore[call-overload]
    assert downloads(laptop)
