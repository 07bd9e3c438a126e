"""The relay beside tinyproxy and px: how fast it carries, how often it connects, how soon, and how large it is.

All on loopback, with the sender, the proxy and the receiver on this machine's cores; so only the ratios of one run mean
something. The receiver costs as little as it can: it throws away. px is PyPI's px-proxy. They take turns, and the best
of each counts: what else the machine does takes from one of them, and never gives.
Beside them carries a bare loop of splice, a thread for each direction, which looks at nothing, asks nobody and ends
nothing: what is lost to it is the relay's own, and no proxy that splices can be faster.
Memory is that of Debian 13's Python.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from agent.values.relay import Orders, RelayUpstream, orders_file
from agent.values.settings import ProxyUrl, Scheme
from tests.loopback.peers import PX
from tests.machine.lab.laptop import AGENT, Laptop
from tests.machine.lab.places import World
from tests.machine.lab.rootfs import TRIXIE
from tests.waiting import until

from .at_work import python
from .figures import counts, resident_mb
from .row import Row, number

ROOT: Final = Path(__file__).parents[2]
GIB: Final = 2
CONNECTIONS: Final = 3000
FIRST_BYTES: Final = 100
AWAY_MS: Final = 10  # how far the server of the first byte is
IDLE_TUNNELS: Final = (500, 1000)
WITHIN_S: Final = 60

# A server: sends as many bytes as it is asked for, or after a while one byte.
SERVER: Final = """
import socket, sys, threading, time
filling = bytes(1 << 20)
def serve(one):
    asked = one.recv(100)
    if asked == b"x":
        time.sleep(AWAY_S)
        one.sendall(b"y")
        one.recv(1)
    elif asked == b"?":
        one.sendall(b"!")
    else:
        left = int(asked or b"0")
        while left > 0:
            left -= one.send(filling[:left])
    one.close()
with socket.create_server(("127.0.0.1", 0), backlog=1000) as listening:
    print(listening.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
""".replace("AWAY_S", str(AWAY_MS / 1000))
# Who measures, with its orders as JSON: prints seconds.
CLIENT: Final = """
import json, socket, sys, threading, time
asked = json.loads(sys.argv[1])
def opened():
    one = socket.create_connection(("127.0.0.1", asked["proxy"]))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end = f"127.0.0.1:{asked['server']}"
    one.sendall(f"CONNECT {end} HTTP/1.1\\r\\nHost: {end}\\r\\n\\r\\n".encode())
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        head += one.recv(1000) or sys.exit("closed")
    if b" 200 " not in head.partition(b"\\r\\n")[0]:
        sys.exit(head.decode())
    return one
def carry():
    one, buffer, got = opened(), bytearray(1 << 22), 0
    one.sendall(str(asked["bytes"]).encode())
    while more := one.recv_into(buffer, len(buffer), socket.MSG_TRUNC):  # not even copied
        got += more
    if got < asked["bytes"]:
        sys.exit(f"{got} of {asked['bytes']} bytes")
def connect():
    for _ in range(asked["times"]):
        one = opened()
        one.sendall(b"?")
        one.recv(1)
        one.recv(1)
        one.close()
def first():
    for _ in range(asked["times"]):
        before = time.perf_counter()
        one = opened()
        one.sendall(b"x")
        one.recv(1)
        print(time.perf_counter() - before)
        one.close()
threads = [threading.Thread(target=globals()[asked["what"]]) for _ in range(asked["threads"])]
before = time.perf_counter()
[each.start() for each in threads]
[each.join() for each in threads]
print(time.perf_counter() - before)
"""
# So many tunnels, until it is told to end.
HOLDER: Final = CLIENT.partition("def carry")[0] + (
    'held = [opened() for _ in range(asked["times"])]\nprint(len(held), flush=True)\nsys.stdin.readline()\n'
)
# No proxy, but what any that splices does at least.
BARE: Final = """
import fcntl, os, socket, threading
def pump(source, sink):
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
    try:
        while got := os.splice(source.fileno(), writer, 1 << 20, flags=os.SPLICE_F_MOVE):
            while got:
                got -= os.splice(reader, sink.fileno(), got, flags=os.SPLICE_F_MOVE)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    os.close(reader)
    os.close(writer)
def serve(client):
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        head += client.recv(1000)
    host, _, port = head.split()[1].decode().rpartition(":")
    with client, socket.create_connection((host, int(port))) as end:
        client.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
        other = threading.Thread(target=pump, args=(client, end))
        other.start()
        pump(end, client)
        try:
            client.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        other.join()
with socket.create_server(("127.0.0.1", 0), backlog=1000) as listening:
    print(listening.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
"""
TURNS: Final = 3


class Peer:
    """A proxy that runs, at a port of loopback."""

    def __init__(self, name: str, port: int, pid: int) -> None:
        self.name = name
        self.port = port
        self._pid = pid

    def cpu_s(self) -> float:
        found = [self._pid, *map(int, _children(self._pid))]
        return sum(counts(Path(f"/proc/{pid}")).cpu_s for pid in found)


def rows(world: World) -> list[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(_server())
        peers = [stack.enter_context(started) for started in (_relay(folder), _tinyproxy(folder), _px())]
        relay, tinyproxy, *others = peers
        bare = stack.enter_context(_bare())
        found = [
            *(row for at_once in (1, 20) for row in _throughput(peers, bare, server, at_once)),
            _cpu(relay, server),
            *_connects(relay, tinyproxy, others, server),
            _first_byte(stack, folder, tinyproxy, server),
        ]
    return [*found, *_memory(world)]


# What is measured.


def _throughput(peers: Sequence[Peer], bare: Peer, server: int, at_once: int) -> Iterator[Row]:
    speeds: dict[str, float] = {}
    for _ in range(TURNS):
        for peer in (*peers, bare):
            speed = GIB / _carried_s(peer, server, at_once)
            speeds[peer.name] = max(speeds.get(peer.name, 0.0), speed)
    relay, least = speeds["relay"], speeds[bare.name]
    better = max(speeds[peer.name] for peer in peers if peer.name != "relay")
    shown = ", ".join(f"{name} {number(speed)}" for name, speed in speeds.items())
    named = f"{at_once} connection{'s' if at_once > 1 else ''}"
    yield Row(
        f"Relay: the better peer's throughput ÷ its own, {named}",
        better / relay,
        0.67,
        where=f"GiB/s: {shown}",
        short=f"GiB/s: {shown}; a bare loop of splice, which no proxy can outdo, is {number(least / better)} × the"
        " better peer: both ends take the same cores",
    )
    yield Row(f"Relay: a bare loop's throughput ÷ its own, {named}", least / relay, None)


def _cpu(relay: Peer, server: int) -> Row:
    took = {}
    for at_once in (1, 20):
        before = relay.cpu_s()
        _carried_s(relay, server, at_once)
        took[at_once] = (relay.cpu_s() - before) / GIB
    where = ", ".join(f"with {at_once} at once {number(cpu)}" for at_once, cpu in took.items())
    return Row("Relay: CPU for each GiB", max(took.values()), 0.35, " s", where=where)


def _connects(relay: Peer, tinyproxy: Peer, others: Sequence[Peer], server: int) -> Iterator[Row]:
    rates = {peer.name: _connects_per_s(peer, server) for peer in (relay, tinyproxy, *others)}
    shown = ", ".join(f"{name} {number(round(rate))}" for name, rate in rates.items())
    ratio = rates["tinyproxy"] / rates["relay"]
    yield Row("Relay: tinyproxy's connects per second ÷ its own", ratio, 3.33, where=shown)
    for other in others:
        yield Row(f"Relay: {other.name}'s connects per second ÷ its own", rates[other.name] / rates["relay"], 1)


def _first_byte(stack: ExitStack, folder: Path, tinyproxy: Peer, server: int) -> Row:
    """Through the relay and an upstream, and straight to that upstream."""
    url = ProxyUrl(Scheme.HTTP, "127.0.0.1", tinyproxy.port)
    through = stack.enter_context(_relay(folder / "through", RelayUpstream("corp", url, url)))
    straight_s, through_s = (median(_first_bytes_s(peer, server)) for peer in (tinyproxy, through))
    return Row(
        f"Relay: first byte of a server that takes {AWAY_MS} ms, ÷ straight to the upstream",
        through_s / straight_s,
        1.3,
        baseline=f"straight {number(1000 * straight_s)} ms",
        where=f"{number(1000 * (through_s - straight_s))} ms more",
    )


def _memory(world: World) -> list[Row]:
    """As its unit starts it: with a socket of systemd's, and no option, which argparse would have to read."""
    with Laptop(TRIXIE, world) as laptop:
        orders = orders_file(Orders(1, (RelayUpstream("direct"),), max_connections=4096))
        laptop.write("/run/docker-proxy-agent/relay.json", orders.decode())
        laptop.run("mkdir", "-p", "/run/docker-proxy-relay")
        laptop.write("/root/server.py", SERVER)
        laptop.run("systemd-run", "--unit=server", "sh", "-c", f"{python(laptop)} /root/server.py >/tmp/port")
        laptop.until(lambda: laptop.exists("/tmp/port") and laptop.read("/tmp/port"), within=WITHIN_S)
        server = laptop.read("/tmp/port").strip()
        unit = "relay-to-measure"
        laptop.run(
            "systemd-run", f"--unit={unit}", "--socket-property=ListenStream=127.0.0.1:3139",
            "-p", "LimitNOFILE=65536", "-p", "Environment=MALLOC_ARENA_MAX=1",
            "-p", "Environment=MALLOC_TRIM_THRESHOLD_=131072", "-p", "Environment=PYTHONNODEBUGRANGES=1",
            AGENT, "relay",
        )  # fmt: skip
        laptop.run("systemctl", "start", f"{unit}.service")
        laptop.until(laptop.exists, "/run/docker-proxy-relay/state.json", within=WITHIN_S)
        process = laptop.proc(int(laptop.docker.show("MainPID", f"{unit}.service")))
        time.sleep(1)
        first = resident_mb(process)
        laptop.write("/root/holder.py", HOLDER)
        held = [_with_more(laptop, int(server), tunnels, process) for tunnels in IDLE_TUNNELS]
        bare = float(laptop.run(python(laptop), "-c", _BARE).stdout) / 1024
        baseline = f"Python with asyncio, ssl and json {number(bare)} MB"
    more = f"{number(first - bare)} MB above Python's, most of it code: msgspec, h11, ctypes, and the relay's own"
    return [
        Row("Relay: resident memory at its start", first, 26, " MB", baseline, short=more),
        *(_tunnels(tunnels, at_once - first) for tunnels, at_once in zip(IDLE_TUNNELS, held, strict=True)),
    ]


def _tunnels(count: int, mb: float) -> Row:
    each = f"{number(mb * 1024 / count)} KB each"
    return Row(f"Relay: memory of {count} idle tunnels", mb, count / 250, " MB", short=each)


def _with_more(laptop: Laptop, server: int, number: int, process: Path) -> float:
    """MB with so many idle tunnels, of which half are there already where it is not the first time."""
    told = f"/tmp/held-{number}"
    asked = json.dumps({"proxy": 3139, "server": server, "times": IDLE_TUNNELS[0]})
    laptop.run("systemd-run", f"--unit=holder-{number}", "-p", "LimitNOFILE=65536", "-p", "StandardInput=null",
               "sh", "-c", f"sleep infinity | {python(laptop)} /root/holder.py '{asked}' >{told}")  # fmt: skip
    laptop.until(lambda: laptop.exists(told) and laptop.read(told), within=WITHIN_S)
    return resident_mb(process)


_BARE: Final = """
import asyncio, ssl, json
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


# How it is measured.


def _said(program: str, **asked: object) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(asked)], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [float(line) for line in done.stdout.splitlines()]


def _carried_s(peer: Peer, server: int, at_once: int) -> float:
    share = GIB * 2**30 // at_once
    return _said(CLIENT, what="carry", proxy=peer.port, server=server, threads=at_once, bytes=share)[-1]


def _connects_per_s(peer: Peer, server: int) -> float:
    threads = 8
    times = CONNECTIONS // threads
    said = _said(CLIENT, what="connect", proxy=peer.port, server=server, threads=threads, times=times)
    return threads * times / said[-1]


def _first_bytes_s(peer: Peer, server: int) -> list[float]:
    return _said(CLIENT, what="first", proxy=peer.port, server=server, threads=1, times=FIRST_BYTES)[:-1]


@contextmanager
def _server() -> Iterator[int]:
    with _printing(SERVER) as (_, port):
        yield port


@contextmanager
def _relay(folder: Path, upstream: RelayUpstream | None = None) -> Iterator[Peer]:
    orders = folder / "run/docker-proxy-agent/relay.json"
    orders.parent.mkdir(parents=True)
    (folder / "run/docker-proxy-relay").mkdir(parents=True)
    orders.write_bytes(orders_file(Orders(1, (upstream or RelayUpstream("direct"),))))
    port = _free_port()
    main = "from agent.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", main, "--root", str(folder), "relay", "--listen", f"127.0.0.1:{port}"]
    with _running(command, port) as running:
        yield Peer("relay", port, running.pid)


@contextmanager
def _tinyproxy(folder: Path) -> Iterator[Peer]:
    port = _free_port()
    settings = folder / "tinyproxy.conf"
    lines = (f"Port {port}", "Listen 127.0.0.1", "Timeout 600", "Allow 127.0.0.1", "MaxClients 1000", "LogLevel Error")
    settings.write_text("".join(f"{line}\n" for line in lines))
    with _running(["tinyproxy", "-d", "-c", str(settings)], port) as running:
        yield Peer("tinyproxy", port, running.pid)


@contextmanager
def _px() -> Iterator[Peer]:
    port = _free_port()
    command = [PX, f"--port={port}", "--listen=127.0.0.1", "--noproxy=127.0.0.1/8", "--foreground=1", "--threads=32"]
    with _running(command, port) as running:
        yield Peer("px", port, running.pid)


@contextmanager
def _bare() -> Iterator[Peer]:
    with _printing(BARE) as (running, port):
        yield Peer("a bare loop", port, running.pid)


@contextmanager
def _printing(program: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server that prints its port."""
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        yield running, int(running.stdout.readline())
    finally:
        _end(running)


@contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(WITHIN_S, lambda: _listens(port), f"{command[0]} at port {port}")
        yield running
    finally:
        _end(running)


def _end(running: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    for child in _children(running.pid):
        os.kill(int(child), signal.SIGKILL)
    running.kill()
    running.communicate(timeout=WITHIN_S)


def _children(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
