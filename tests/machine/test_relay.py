"""The relay on a real systemd with a real Docker: a laptop roams, and nothing is restarted."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.waiting import Seen

from .lab.box import Ran
from .lab.docker import Container
from .lab.laptop import Laptop
from .lab.places import IMAGE, REGISTRY
from .test_apply import DROP_IN, ENVIRONMENT, PASSWORD_FILE, PLACES, through
from .test_boot import docker_starts
from .test_service import NAME, started

UNITS = Path(__file__).parents[2] / "systemd"
RELAY = "http://127.0.0.1:3130"
SERVICE, SOCKET = "docker-proxy-relay.service", "docker-proxy-relay.socket"
ORDERS = "/run/docker-proxy-agent/relay.json"
HELLO = "http://10.99.0.10/hello"
ROAMS = {"trixie": 20, "bookworm": 4}  # the older one is asked whether its systemd and its Docker do it at all
EXPOSURE = 25  # tenths; the network is most of it
trixie = pytest.mark.parametrize("laptop", ["trixie"], indirect=True)


def with_relay(laptop: Laptop, more: str = "") -> None:
    """The office's proxy with a password at the office, direct elsewhere; all by the relay."""
    laptop.write(PASSWORD_FILE, laptop.office.squid.password + "\n", mode=0o600)
    for unit in (SERVICE, SOCKET):
        laptop.write(f"/etc/systemd/system/{unit}", (UNITS / unit).read_text())
    laptop.policy(f"[relay]\nenable = true\n{more}{through(laptop.office.squid)}{PLACES}")


def given(laptop: Laptop, place: str) -> None:
    """The service runs there, and Docker with the relay's address."""
    laptop.plug(place)
    started(laptop)
    laptop.until(laptop.docker.reports, http=RELAY, https=RELAY, within=40)
    laptop.until(laptop.exists, "/root/.docker/config.json")  # which comes after Docker


def goes_by(laptop: Laptop, upstream: str) -> Seen:
    relay = laptop.status().get("relay") or {}
    return Seen(relay.get("upstream") == upstream and relay.get("taken") == relay.get("generation"), relay)


def loads(web: Container, url: str = HELLO) -> Ran:
    """What a program in the container is told by its environment to do."""
    return web.docker.cli("exec", web.name, "wget", "-q", "-O", "-", url, check=False)


def has_loaded(web: Container) -> Seen:
    ran = loads(web)
    return Seen("hello" in ran.stdout, ran)


def condition(laptop: Laptop, code: str) -> Seen:
    codes = [one["code"] for one in laptop.status().get("conditions", [])]
    return Seen(code in codes, codes)


@pytest.mark.long
def test_twenty_moves_without_a_restart_and_a_container_that_follows(laptop: Laptop) -> None:
    squid = laptop.office.squid
    with_relay(laptop)
    given(laptop, "home")
    web = laptop.docker.start_container()
    assert web.environment()["http_proxy"] == "http://172.17.0.1:3130"
    laptop.until(has_loaded, web)
    before = laptop.docker.invocation_id()

    roams = ROAMS[laptop.suite]
    for move in range(roams):
        place, upstream = (("office", "office"), ("home", "direct"))[move % 2]
        laptop.plug(place)
        laptop.until(goes_by, laptop, upstream, within=20)
        if move < 4:
            laptop.until(has_loaded, web, within=20)

    laptop.plug("office")
    laptop.until(goes_by, laptop, "office", within=20)
    squid.forget()
    assert laptop.docker.pull().ok
    assert f"{REGISTRY}:443" in squid.log()
    assert (laptop.docker.invocation_id(), web.pid()) == (before, web.first_pid)
    assert laptop.audit.events().count("relay-switched") >= roams
    assert laptop.docker.show("NRestarts", SERVICE) == "0"
    _keeps_the_password_to_itself(laptop)

    laptop.run("systemctl", "kill", "--signal=KILL", SERVICE)
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    laptop.run("systemctl", "kill", "--signal=STOP", SERVICE)  # it hangs
    laptop.until(laptop.docker.pulls, IMAGE, within=60)
    laptop.run("systemctl", "kill", "--signal=KILL", NAME)
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    laptop.run("systemctl", "stop", NAME)
    assert laptop.docker.pull().ok  # its orders stay
    assert laptop.docker.invocation_id() == before


def _keeps_the_password_to_itself(laptop: Laptop) -> None:
    password = laptop.office.squid.password
    assert laptop.run("stat", "-c", "%U %G %a", ORDERS).stdout == "root docker-proxy-relay 640\n"
    assert laptop.run("cat", ORDERS, user="alice", check=False).code != 0
    told = [laptop.read(path) for path in (ENVIRONMENT, DROP_IN, "/root/.docker/config.json")]
    told += [json.dumps(laptop.status()), laptop.run("cat", "/run/docker-proxy-relay/state.json").stdout]
    shown = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' '"
    told += [laptop.run("sh", "-c", shown).stdout, laptop.journal(lines=5000)]
    assert not any(password in text for text in told)


STRANGER = """
import socket, threading
def carry(one, other):
    while data := one.recv(65536):
        other.sendall(data)
def serve(peer):
    peer.recv(65536)
    there = socket.create_connection(("10.10.0.2", 8888))
    there.sendall(b"CONNECT registry.example:443 HTTP/1.1\\r\\nHost: registry.example:443\\r\\n\\r\\n")
    threading.Thread(target=carry, args=(there, peer)).start()
    carry(peer, there)
server = socket.create_server(("127.0.0.1", 3130))
while True:
    threading.Thread(target=serve, args=(server.accept()[0],)).start()
"""
KNOCK = f"""
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 3130), 5) as peer:
        peer.sendall(b"GET {HELLO} HTTP/1.0\\r\\n\\r\\n")
        print(peer.recv(1000).decode() or "closed")
except ConnectionResetError:
    print("closed")
except ConnectionRefusedError:
    print("refused")
"""


def knocks(laptop: Laptop, address: str) -> str:
    """What somebody at home gets who tries to use the relay at that address of the laptop."""
    return laptop.home.ground.sh(f"{sys.executable} -c {shlex.quote(KNOCK)} {address}")


@trixie
def test_neither_the_cafe_nor_this_machine_is_reached_through_it(laptop: Laptop) -> None:
    with_relay(laptop)
    given(laptop, "home")
    web = laptop.docker.start_container()
    laptop.until(has_loaded, web)

    for url in ("http://127.0.0.1:3130/", "http://169.254.169.254/", "http://172.17.0.1:3130/", "http://localhost:22/"):
        assert "403" in loads(web, url).stderr, url

    _is_not_reached_from_the_lan(laptop)
    # A route is all that it takes to knock at the bridge's address from outside.
    laptop.home.ground.sh("ip route replace 172.17.0.1 via 10.20.0.100")
    assert knocks(laptop, "172.17.0.1") == "closed\n"  # before a byte was read
    assert knocks(laptop, "10.20.0.100") == "refused\n"  # nobody listens there
    laptop.home.ground.sh("ip route delete 172.17.0.1")
    laptop.until(laptop.audit.has, "relay-refused", within=30)

    laptop.run("systemd-analyze", "security", "--no-pager", "--offline=no", f"--threshold={EXPOSURE}", SERVICE)
    assert laptop.run("systemd-analyze", "verify", SERVICE, SOCKET).stderr == ""
    _is_there_from_the_boot_on(laptop)


def _is_not_reached_from_the_lan(laptop: Laptop) -> None:
    """By a container that stands there itself, beside this machine."""
    laptop.docker.cli(
        "network", "create", "-d", "macvlan", "-o", "parent=wlan0", "--subnet", "10.20.0.0/24",
        "--gateway", "10.20.0.1", "--ip-range", "10.20.0.192/27", "lan",
    )  # fmt: skip
    cam = laptop.docker.start_container("--network", "lan")
    assert not laptop.docker.cli("exec", cam.name, "wget", "-T", "3", "-q", "-O", "-", HELLO, check=False).ok
    assert laptop.agent("apply").ok
    laptop.until(condition, laptop, "client-unreachable")

    laptop.docker.cli("network", "connect", "bridge", cam.name)  # as it says

    laptop.until(has_loaded, cam)
    assert laptop.agent("apply").ok
    assert not condition(laptop, "client-unreachable")
    laptop.docker.cli("rm", "-f", cam.name)
    laptop.docker.cli("network", "rm", "lan")


def _is_there_from_the_boot_on(laptop: Laptop) -> None:
    restarts = laptop.audit.events().count("docker-restarted")
    laptop.unplug()

    laptop.reboot()
    laptop.plug("office")

    laptop.until(goes_by, laptop, "office", within=40)
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert docker_starts(laptop) == 1
    assert laptop.audit.events().count("docker-restarted") == restarts


@trixie
def test_a_port_that_is_taken_and_a_bridge_that_moves(laptop: Laptop) -> None:
    with_relay(laptop, '[docker]\nmin_interval = "1s"\n')
    laptop.run("systemd-run", "--unit=squatter", "python3", "-m", "http.server", "--bind", "127.0.0.1", "3130")
    laptop.plug("office")
    started(laptop)
    squid = laptop.office.squid
    laptop.until(laptop.docker.reports, https=squid.url_reported, within=40)
    laptop.until(condition, laptop, "relay-failed", within=20)
    assert "something else may listen there" in json.dumps(laptop.status()["conditions"])
    laptop.run("systemctl", "stop", "squatter")
    assert laptop.agent("reload").ok
    laptop.until(laptop.docker.reports, https=RELAY, within=40)

    _moves_without_anybody_taking_its_place(laptop)

    web = laptop.docker.start_container()
    laptop.until(has_loaded, web)
    laptop.docker.cli("network", "create", "front")
    front = laptop.docker.start_container("--network", "front")
    assert "hello" in loads(front).stdout  # its first connection: the agent has not seen this network yet
    beside = laptop.docker.start_container("--network", "host")
    laptop.until(has_loaded, beside)
    _keeps_an_internal_network_in(laptop)
    laptop.until(laptop.docker.pulls, IMAGE)
    _hears_of_what_systemd_has_not_read(laptop, web)


# Somebody without rights tries to listen where dockerd goes on connecting to.
HUNTER = """
import itertools, socket, time
where = ("127.0.0.1", 3130)
for tried in itertools.count():
    hunter = socket.socket()
    hunter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, tried % 2)
    hunter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, tried % 4 // 2)
    try:
        hunter.bind(where)
        print("got it", flush=True)
        hunter.listen()
        time.sleep(1000)
    except OSError:
        hunter.close()
    if tried == 100:
        print("hunts", flush=True)
    time.sleep(0.0005)
"""
# Somebody whose tunnel is never still would have the relay wait for it.
NEVER_STILL = """
import socket, time
tunnel = socket.create_connection(("127.0.0.1", 3130))
tunnel.sendall(b"CONNECT 10.99.0.10:80 HTTP/1.1\\r\\nHost: 10.99.0.10:80\\r\\n\\r\\n")
print(tunnel.recv(100).decode(), flush=True)
while True:
    tunnel.sendall(b"x")
    time.sleep(0.2)
"""


def _moves_without_anybody_taking_its_place(laptop: Laptop) -> None:
    for unit, user, code in (("hunter", "alice", HUNTER), ("never-still", "root", NEVER_STILL)):
        laptop.write(f"/opt/{unit}.py", code)
        says = ("--property", f"StandardOutput=file:/opt/{unit}.said")
        laptop.run("systemd-run", f"--unit={unit}", f"--uid={user}", *says, "python3", f"/opt/{unit}.py")
    laptop.until(lambda: laptop.read("/opt/hunter.said") == "hunts\n")
    laptop.until(lambda: "200" in laptop.read("/opt/never-still.said"))

    laptop.write("/etc/docker/daemon.json", '{"bip": "10.200.0.1/24"}')
    laptop.docker.restart()
    laptop.until(lambda: "10.200.0.1:3130" in laptop.read("/root/.docker/config.json"), within=40)

    assert laptop.read("/opt/hunter.said") == "hunts\n"
    assert laptop.docker.show("ActiveState", "hunter") == "active"
    left = int(laptop.docker.show("ActiveExitTimestampMonotonic", SERVICE))
    came = int(laptop.docker.show("ActiveEnterTimestampMonotonic", SOCKET))
    assert came - left < 7_000_000, "it waited for the tunnel, which takes 10 s"
    laptop.run("systemctl", "stop", "hunter")
    laptop.run("systemctl", "stop", "never-still", check=False)


def _keeps_an_internal_network_in(laptop: Laptop) -> None:
    laptop.docker.cli("network", "create", "--internal", "back")
    back = laptop.docker.start_container("--network", "back", "--cap-add", "NET_ADMIN")
    assert not loads(back).ok
    gateway = laptop.docker.cli("network", "inspect", "back", "--format", "{{(index .IPAM.Config 0).Gateway}}").stdout
    laptop.docker.cli("exec", back.name, "busybox", "ip", "route", "add", "default", "via", gateway.strip())
    assert not loads(back).ok
    laptop.until(laptop.audit.has, "relay-refused", within=30)


def _hears_of_what_systemd_has_not_read(laptop: Laptop, web: Container) -> None:
    """As an agent leaves it that is killed between writing where it listens and the reload of systemd."""
    laptop.run("systemctl", "stop", NAME)
    drop_in = f"/etc/systemd/system/{SOCKET}.d/50-docker-proxy-agent.conf"
    meant = laptop.read(drop_in)
    laptop.write(drop_in, meant.replace("ListenStream=10.200.0.1:3130\n", ""))
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "stop", SOCKET, SERVICE)
    laptop.run("systemctl", "start", SOCKET)
    laptop.write(drop_in, meant)
    assert not loads(web).ok

    laptop.run("systemctl", "start", NAME)

    laptop.until(has_loaded, web, within=40)
    _is_not_taken_for_a_stranger(laptop)


def _is_not_taken_for_a_stranger(laptop: Laptop) -> None:
    """Somebody without rights listens where the relay did, and would lead to the registry as well."""
    laptop.run("systemctl", "stop", NAME)
    laptop.run("systemctl", "stop", SOCKET, SERVICE)
    laptop.run("systemd-run", "--unit=stranger", "--uid=alice", "python3", "-c", STRANGER)
    laptop.until(lambda: "3130" in laptop.network("ss -Htln sport = :3130"))

    laptop.run("systemctl", "start", NAME)

    laptop.until(condition, laptop, "relay-failed", within=40)
    assert "a program of alice listens at 127.0.0.1:3130" in json.dumps(laptop.status()["conditions"])
    laptop.until(laptop.docker.reports, https=laptop.office.squid.url_reported, within=60)


@trixie
def test_a_vpn_that_switches_ipv6_off_and_on_leaves_the_relay_where_it_listens(laptop: Laptop) -> None:
    """It would be stopped for a move, for as long as any container's connection takes."""
    with_relay(laptop)
    given(laptop, "home")
    before = laptop.docker.show("MainPID", SERVICE), laptop.docker.show("InvocationID", SOCKET)
    for is_on in (False, True):
        laptop.network(f"sysctl -qw net.ipv6.conf.all.disable_ipv6={int(not is_on)}")
        assert ("::1" in laptop.network("ip -6 addr show dev lo")) is is_on
        assert laptop.agent("reload").ok
        assert (laptop.docker.show("MainPID", SERVICE), laptop.docker.show("InvocationID", SOCKET)) == before

    laptop.network("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
    laptop.run("systemctl", "stop", NAME, SOCKET, SERVICE)  # the agent would start them meanwhile
    laptop.run("systemctl", "start", SOCKET, SERVICE)  # as at a boot with IPv6 off
    assert "[::1]:3130" in laptop.network("ss -Htln sport = :3130")


@trixie
def test_where_etc_is_read_only_its_sockets_start_all_the_same(laptop: Laptop) -> None:
    """As at a boot after `errors=remount-ro`. Its user is there since long."""
    pac = "docker-proxy-agent-pac.socket"
    laptop.write(f"/etc/systemd/system/{pac}", (UNITS / pac).read_text())
    with_relay(laptop)
    given(laptop, "home")
    laptop.run("sh", "-c", "mount --bind /etc /etc && mount -o remount,bind,ro /etc")
    assert laptop.run("touch", "/etc/group", check=False).code != 0

    for socket in (SOCKET, pac):
        laptop.run("systemctl", "restart", socket)

    laptop.until(laptop.docker.pulls, IMAGE)
    assert laptop.run("systemctl", "--failed", "--no-legend").stdout == ""


@trixie
def test_a_broken_relay_is_left_once_and_uninstall_leaves_nothing_of_it(laptop: Laptop) -> None:
    more = '[docker]\nmin_interval = "1s"\n[probe]\nrecheck = "2s"\nregistry = ["https://registry.example"]\n'
    with_relay(laptop, more)
    given(laptop, "home")
    breaks = f"/etc/systemd/system/{SERVICE}.d/breaks.conf"
    laptop.write(breaks, "[Service]\nExecStart=\nExecStart=/bin/false\n")
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "kill", "--signal=KILL", SERVICE)

    laptop.until(laptop.docker.reports, https="", within=60)
    laptop.until(condition, laptop, "relay-failed")
    assert laptop.docker.pull().ok
    assert laptop.audit.events().count("relay-failed") == 1

    laptop.run("rm", "-r", str(Path(breaks).parent))
    laptop.run("systemctl", "daemon-reload")
    assert laptop.agent("reload").ok
    laptop.until(laptop.docker.reports, https=RELAY, within=40)

    web = laptop.docker.start_container()
    with_relay(laptop, "port = 3140\n" + more.replace("[docker]", '[docker]\nrestart = "when-idle"'))
    laptop.until(lambda: "127.0.0.1:3140" in laptop.run("ss", "-Htln").stdout, within=40)
    laptop.until(laptop.docker.pulls, IMAGE)  # by the port that it has, for its restart waits
    assert laptop.docker.reports(https=RELAY)
    stays = laptop.agent("uninstall")  # its restart of Docker would have to wait for the container
    assert "Docker still runs with its address, so it stays, and pulls keep working\n" in stays.stderr, stays
    assert "nothing is lost. Run uninstall again when nothing holds back Docker's restart any more" in stays.stderr
    assert stays.code == 1
    assert laptop.docker.pull().ok

    with_relay(laptop, more)  # whose restarts keep containers
    dockerd = laptop.run("pidof", "dockerd").stdout.strip()
    laptop.run("kill", "-STOP", dockerd)
    unheard = laptop.agent("uninstall", timeout=120)
    laptop.run("kill", "-CONT", dockerd)
    assert "Docker does not answer, and may still run with its address, so it stays" in unheard.stderr, unheard
    assert (
        "Run uninstall again when Docker answers. If it does not, restart it before: sudo systemctl" in unheard.stderr
    )
    assert unheard.code == 1
    laptop.until(laptop.docker.pulls, IMAGE)

    gone = laptop.agent("uninstall")
    assert gone.ok, gone
    assert "docker       restarted" in gone.stdout
    assert web.is_running()
    assert "these were created with the relay's address" in gone.stdout
    assert "container-1" in gone.stdout
    (off,) = (one["facts"] for one in laptop.audit.records() if one["event"] == "relay-disabled")
    assert off == {"because": "the agent was uninstalled"}
    laptop.until(laptop.docker.reports, https="", within=20)
    assert laptop.docker.pull().ok
    left = laptop.run(
        "sh",
        "-c",
        "ls -d /etc/systemd/system/*relay* /run/docker-proxy-relay; getent passwd docker-proxy-relay",
        check=False,
    )
    assert left.stdout == ""
    assert laptop.run("systemctl", "--failed", "--no-legend").stdout == ""
