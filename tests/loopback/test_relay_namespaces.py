"""The relay on a laptop with a bridge of containers and a Wi-Fi: who is served, where to, and what a roam ends.

Real links and addresses in namespaces of their own; nothing leaves them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from agent.system.files import read_file, replace_file
from agent.values.relay import Orders, RelayState, RelayUpstream, bridge_of, orders_file, state_in
from tests.loopback.test_see_namespaces import IP, Namespace
from tests.waiting import until

pytestmark = pytest.mark.needs_root

ROOT: Final = Path(__file__).parents[2]
PORT: Final = 3130
WITHIN_S: Final = 20
DEFAULT_ROUTE: Final = "route add default via 10.0.0.9"
RELAY: Final = "from agent.cli import main; raise SystemExit(main())"
# What a client says of its try: the status line's code, "closed", or what was echoed.
CLIENT: Final = """
import socket, sys
relay, host, port, source, within_s = sys.argv[1:]
head = b""
try:
    with socket.create_connection((relay, 3130), float(within_s), (source, 0) if source else None) as client:
        client.sendall(f"CONNECT {host}:{port} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
        head = client.recv(4096)
        if head.startswith(b"HTTP/1.1 200 "):
            client.sendall(b"hello")
            head += client.recv(4096)
except ConnectionError:
    pass
except TimeoutError:
    head = b"- silent \\r\\n\\r\\n"
print(head.split(b" ")[1].decode() if head else "closed", head.rpartition(b"\\r\\n\\r\\n")[2].decode()[:5])
"""
ECHO: Final = """
import socket, sys, threading
def serve(one):
    while data := one.recv(65536):
        one.sendall(data)
    one.close()
with socket.create_server((sys.argv[1], 8080), backlog=50) as listening:
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
"""


# Whatever it is asked for is that one address.
DNS: Final = """
import ipaddress, socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
found = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\0\\0\\4" + ipaddress.ip_address(sys.argv[2]).packed
print("ready", flush=True)
while True:
    asked, who = server.recvfrom(512)
    end = asked.index(b"\\0", 12) + 5
    is_ipv4 = asked[end - 4:end - 2] == b"\\0\\1"
    head = asked[:2] + b"\\x81\\x80\\0\\1\\0" + bytes([is_ipv4]) + b"\\0\\0\\0\\0"
    server.sendto(head + asked[12:end] + (found if is_ipv4 else b""), who)
"""
WITH_DNS: Final = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


class Laptop:
    """With docker0, a container on it, a café's guest, a server out there, and a relay."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.host, self.container, self.guest = Namespace("relay"), Namespace("ctr"), Namespace("guest")
        self.beside = Namespace("ctr2")  # on the same bridge
        self.routed = Namespace("routed")  # as Calico makes them: no bridge, a route of its own
        self._running: list[subprocess.Popen[str]] = []
        self.host.ip(
            "link set lo up", "link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0",
            "link set docker0 up",
            f"link add veth0 type veth peer name eth0 netns {self.container.name}", "link set veth0 master docker0",
            "link set veth0 up", f"link add veth1 type veth peer name eth0 netns {self.beside.name}",
            "link set veth1 master docker0", "link set veth1 up",
            f"link add wlan0 type veth peer name lan netns {self.guest.name}",
            "addr add 10.0.0.7/24 dev wlan0", "link set wlan0 up", DEFAULT_ROUTE,
            f"link add cali0 type veth peer name eth0 netns {self.routed.name}", "link set cali0 up",
            "route add 10.244.1.5/32 dev cali0",
        )  # fmt: skip
        self.routed.ip("addr add 10.244.1.5/32 dev eth0", "link set eth0 up", "route add default dev eth0")
        self.container.ip("addr add 172.17.0.2/16 dev eth0", "link set eth0 up", "route add default via 172.17.0.1")
        self.beside.ip("addr add 172.17.0.3/16 dev eth0", "link set eth0 up", "route add default via 172.17.0.1")
        self.guest.ip(
            "link set lo up",
            "addr add 10.0.0.9/24 dev lan",
            "addr add 10.0.0.10/24 dev lan",
            "link set lan up",
            "route add 172.17.0.0/16 via 10.0.0.7",
        )
        (root / "run/docker-proxy-agent").mkdir(parents=True)
        (root / "run/docker-proxy-relay").mkdir(parents=True)
        self.obey(Orders(1, (RelayUpstream("direct"),)))
        self.serve_echo(self.guest, "10.0.0.9")
        self.serve_echo(self.routed, "10.244.1.5")
        self.serve_echo(self.host, "127.0.0.1")
        self.serve_echo(self.host, "10.0.0.7")
        self._resolv_conf = root / "resolv.conf"
        self.asks("10.0.0.9")
        self.start(self.guest, DNS, "10.0.0.9", "10.0.0.9")
        self.start(self.guest, DNS, "10.0.0.10", "10.0.0.7")
        self.start(
            self.host, RELAY, "--root", str(root), "relay", "--listen", f"127.0.0.1:{PORT}", "--listen",
            f"172.17.0.1:{PORT}", waits=False, inside_of=("sh", "-c", WITH_DNS, str(self._resolv_conf)),
        )  # fmt: skip
        until(WITHIN_S, self.has_state, "the relay")

    def start(
        self, inside: Namespace, code: str, *words: str, waits: bool = True, inside_of: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        command = [IP, "netns", "exec", inside.name, *inside_of, sys.executable, "-c", code, *words]
        running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._running.append(running)
        if waits:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
        return running

    def asks(self, server: str) -> None:
        """Whom the host asks for names from now on."""
        self._resolv_conf.write_text(f"nameserver {server}\n")

    def serve_echo(self, inside: Namespace, address: str) -> None:
        self.start(inside, ECHO, address)

    def obey(self, orders: Orders) -> None:
        path = self._root / "run/docker-proxy-agent/relay.json"
        replace_file(path, orders_file(orders), expected=read_file(path))

    def obeys(self, orders: Orders) -> None:
        self.obey(orders)
        until(WITHIN_S, lambda: self.state().generation == orders.generation, "the new orders")

    def has_state(self) -> bool:
        return (self._root / "run/docker-proxy-relay/state.json").exists()

    def state(self) -> RelayState:
        return state_in((self._root / "run/docker-proxy-relay/state.json").read_bytes(), "state.json")

    def tries(
        self, who: Namespace, host: str, relay: str = "172.17.0.1", *, source: str = "", within_s: float = 10
    ) -> str:
        return who.python(CLIENT, relay, host, "8080", source, str(within_s)).strip()

    def remove(self) -> None:
        for running in self._running:
            running.kill()
            running.communicate(timeout=WITHIN_S)
        for one in (self.host, self.container, self.beside, self.guest, self.routed):
            one.remove()


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    made = Laptop(tmp_path_factory.mktemp("relay"))
    yield made
    made.remove()


def test_a_container_is_led_out(laptop: Laptop) -> None:
    assert laptop.tries(laptop.container, "10.0.0.9") == "200 hello"


def test_the_host_is_led_out_by_either_address(laptop: Laptop) -> None:
    assert laptop.tries(laptop.host, "10.0.0.9", "127.0.0.1") == "200 hello"
    assert laptop.tries(laptop.host, "10.0.0.9", "172.17.0.1") == "200 hello"


def test_a_guest_of_the_cafe_is_closed_before_a_byte_is_read(laptop: Laptop) -> None:
    """The gateway's address answers on every interface (FACTS 211)."""
    assert laptop.tries(laptop.guest, "10.0.0.9") == "closed"
    until(WITHIN_S, lambda: "10.0.0.9" in [one.source for one in laptop.state().refused], "who was refused")


def test_nor_is_one_whose_network_has_the_numbers_of_dockers(laptop: Laptop) -> None:
    laptop.guest.ip("addr add 172.17.0.9/32 dev lan", "addr add 172.18.0.9/16 dev lan")
    laptop.host.ip("addr add 172.18.0.7/16 dev wlan0")  # where a bridge of Docker's was a moment ago
    try:
        # The answer goes to the bridge, and so there is no connection.
        assert laptop.tries(laptop.guest, "10.0.0.9", source="172.17.0.9", within_s=0.5) == "silent"
        assert laptop.tries(laptop.guest, "10.0.0.9", source="172.18.0.9") == "closed"
    finally:
        laptop.host.ip("addr del 172.18.0.7/16 dev wlan0")
        laptop.guest.ip("addr del 172.17.0.9/32 dev lan", "addr del 172.18.0.9/16 dev lan")


def test_a_name_is_looked_up_where_resolv_conf_says_now(laptop: Laptop) -> None:
    assert laptop.tries(laptop.container, "end.test") == "200 hello"

    laptop.asks("10.0.0.10")
    try:
        assert laptop.tries(laptop.container, "end.test").startswith("403")
        assert laptop.tries(laptop.host, "end.test", "127.0.0.1") == "200 hello"
    finally:
        laptop.asks("10.0.0.9")
    assert laptop.tries(laptop.container, "end.test") == "200 hello"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.0.0.7", "172.17.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"],
)
def test_a_container_is_not_led_to_the_host_itself(laptop: Laptop, host: str) -> None:
    assert laptop.tries(laptop.container, host).startswith("403")


def test_a_guest_with_a_route_of_its_own_is_neither_reached_by_a_container_nor_let_in(laptop: Laptop) -> None:
    assert laptop.tries(laptop.host, "10.244.1.5", "127.0.0.1") == "200 hello"

    assert laptop.tries(laptop.container, "10.244.1.5").startswith("403")
    assert laptop.tries(laptop.routed, "10.0.0.9") == "closed"


def test_the_host_is_led_to_itself(laptop: Laptop) -> None:
    assert laptop.tries(laptop.host, "127.0.0.1", "127.0.0.1") == "200 hello"


# It waits for its end with an open tunnel: what it prints is how that ended, and after how many seconds.
OPEN: Final = """
import socket, sys, time
client = socket.create_connection(("172.17.0.1", 3130), timeout=10)
client.sendall(b"CONNECT 10.0.0.9:8080 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
client.sendall(b"hello")
assert client.recv(5) == b"hello"
print("ready", flush=True)
client.settimeout(20)
try:
    print("closed" if not client.recv(1) else "data")
except ConnectionResetError:
    print("reset")
except TimeoutError:
    print("depends")
"""


def test_a_tunnel_is_reset_as_soon_as_its_address_is_gone_and_the_next_works(laptop: Laptop) -> None:
    opened = laptop.start(laptop.container, OPEN)

    laptop.host.ip("addr del 10.0.0.7/24 dev wlan0")
    try:
        said, _ = opened.communicate(timeout=WITHIN_S + 10)
        assert said == "reset\n"
    finally:
        laptop.host.ip("addr add 10.0.0.7/24 dev wlan0", DEFAULT_ROUTE)
    assert laptop.tries(laptop.container, "10.0.0.9") == "200 hello"


def test_who_comes_by_a_bridge_that_leads_nowhere_is_not_let_in_and_what_was_open_ends(laptop: Laptop) -> None:
    """A container of an --internal network makes itself a route."""
    opened = laptop.start(laptop.container, OPEN)
    try:
        laptop.obeys(Orders(2, (RelayUpstream("direct"),), internal=("docker0",)))

        said, _ = opened.communicate(timeout=WITHIN_S + 10)
        assert said == "reset\n"
        assert laptop.tries(laptop.container, "10.0.0.9") == "closed"
        assert laptop.tries(laptop.host, "10.0.0.9") == "200 hello"
    finally:
        laptop.obeys(Orders(3, (RelayUpstream("direct"),)))
    assert laptop.tries(laptop.container, "10.0.0.9") == "200 hello"


def test_who_comes_by_a_bridge_that_nobody_has_told_of_waits_for_word(laptop: Laptop) -> None:
    """Docker has just made the network, and a container of it is there at once."""
    direct = (RelayUpstream("direct"),)
    told = bridge_of(int(laptop.host.python("import socket; print(socket.if_nametoindex('docker0'))")), "docker0")
    try:
        for generation, internal, answer in ((10, ("docker0",), "closed"), (11, (), "200 hello")):
            laptop.obeys(Orders(generation, direct, told=()))
            asking = laptop.start(
                laptop.container, CLIENT, "172.17.0.1", "10.0.0.9", "8080", "", str(WITHIN_S), waits=False
            )
            until(WITHIN_S, lambda: laptop.state().untold == (told,), "that it is said who waits")
            assert asking.poll() is None
            laptop.obeys(Orders(generation + 10, direct, internal=internal, told=(told,)))

            assert asking.communicate(timeout=WITHIN_S)[0].strip() == answer
            until(WITHIN_S, lambda: not laptop.state().untold, "that nobody waits any more")
    finally:
        laptop.obeys(Orders(30, direct))
    assert laptop.tries(laptop.container, "10.0.0.9") == "200 hello"


# Connections from the addresses that it is given, one each. It prints how many were turned away, and keeps the others.
MANY: Final = """
import select, socket, sys, time
kept = [socket.create_connection(("172.17.0.1", 3130), 10, (address, 0)) for address in sys.argv[1:]]
for one in kept:
    one.sendall(b"C")
turned_away = 0
while not turned_away and select.select(kept, [], [], 10)[0]:
    turned_away = len(select.select(kept, [], [], 1)[0])
print("ready" if turned_away else "none was turned away", flush=True)
time.sleep(60)
"""


def test_a_container_keeps_no_other_one_out_by_however_many_addresses_it_has(laptop: Laptop) -> None:
    """Nor by whose: it is known by where its frames come from."""
    addresses = [f"172.17.1.{number}" for number in range(1, 31)]
    laptop.container.ip(*(f"addr add {address}/32 dev eth0" for address in addresses))
    laptop.obeys(Orders(40, (RelayUpstream("direct"),), max_connections=16))
    try:
        keeps = laptop.start(laptop.container, MANY, *addresses)

        assert laptop.tries(laptop.beside, "10.0.0.9") == "200 hello"
        assert laptop.tries(laptop.container, "10.0.0.9").startswith("503")
        keeps.kill()
    finally:
        laptop.obeys(Orders(41, (RelayUpstream("direct"),)))
        laptop.container.ip(*(f"addr del {address}/32 dev eth0" for address in addresses))


def test_the_kernel_tells_by_which_port_a_neighbour_is_reached(laptop: Laptop) -> None:
    assert laptop.tries(laptop.beside, "10.0.0.9") == laptop.tries(laptop.container, "10.0.0.9") == "200 hello"
    laptop.host.ip("neigh replace 172.17.7.8 lladdr 02:00:00:00:00:99 dev docker0")  # which nobody has sent from
    look = """
import socket
from agent.see import netlink
names = {index: name for index, name in socket.if_nameindex()}
addresses = "172.17.0.2 172.17.0.3 172.17.0.1 172.17.7.7 172.17.7.8 10.0.0.9 10.244.1.5 192.0.2.1".split()
print(*(f"{names.get(one.interface)}/{names.get(one.port)}" for one in netlink.ports_to(addresses)))
"""
    found = "docker0/veth0 docker0/veth1 None/None docker0/None docker0/None wlan0/None cali0/None None/None"
    assert laptop.host.python(look).strip() == found


def test_an_address_that_comes_back_within_a_moment_has_lost_nothing(laptop: Laptop) -> None:
    opened = laptop.start(laptop.container, OPEN)

    laptop.host.ip("addr add 10.0.0.8/24 dev wlan0", "addr del 10.0.0.8/24 dev wlan0")

    with pytest.raises(subprocess.TimeoutExpired):
        opened.wait(timeout=1)
    opened.kill()


def test_the_kernel_tells_of_one_interface_and_of_one_bridges_ports(laptop: Laptop) -> None:
    look = """
import socket
from agent.see import netlink
bridge = socket.if_nametoindex("docker0")
link = netlink.link_at(bridge)
print(link.name, link.kind, [port.name for port in netlink.ports_of(bridge)], netlink.link_at(12345))
print(netlink.ports_of(socket.if_nametoindex("wlan0")), link in netlink.links())
wlan0, cali0 = map(socket.if_nametoindex, ("wlan0", "cali0"))
print([one.name for one in netlink.bridges()], netlink.routers_are_behind(wlan0), netlink.routers_are_behind(cali0))
"""
    assert laptop.host.python(look).splitlines() == [
        "docker0 bridge ['veth0', 'veth1'] None",
        "[] True",
        "['docker0'] True False",
    ]
