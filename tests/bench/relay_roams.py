"""From a change of network until the first new connection through the relay is right, against a bare restart."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from tests.machine.lab.laptop import Laptop
from tests.machine.lab.places import REGISTRY, World

from .at_work import UNIT, at_work, bare_restart, rests, unplugged, upstreams
from .figures import in_ms
from .row import Row

MOVES = 3  # in each of the repetitions
GOAL = 0.3
# At home there is no other way, so that the relay cannot help itself by the next one.
_PLACES = """
[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = ["office", "direct"]

[[network]]
name = "home"
match.gateway = ["10.20.0.1"]
use = ["direct"]
"""
_RELAY = "http://127.0.0.1:3130"
# A new connection every 10 ms, until one is through to the registry; the moment when that was.
_ATTEMPTS = f"""
import socket, threading, time
done = []
def attempt():
    try:
        with socket.create_connection(("127.0.0.1", 3130), 5) as peer:
            peer.settimeout(10)
            peer.sendall(b"CONNECT {REGISTRY}:443 HTTP/1.1\\r\\nHost: {REGISTRY}:443\\r\\n\\r\\n")
            if b" 200 " in peer.recv(200):
                done.append(time.monotonic())
    except OSError:
        pass
end = time.monotonic() + 30
while not done and time.monotonic() < end:
    threading.Thread(target=attempt, daemon=True).start()
    time.sleep(0.01)
print(min(done))
"""


def rows(world: World) -> list[Row]:
    with at_work(world, f"[relay]\nenable = true\n{upstreams(world)}{_PLACES}") as laptop:
        laptop.plug("home")
        laptop.until(laptop.docker.reports, https=_RELAY, within=60)
        found = [_moved(laptop) for _ in range(MOVES)]
        laptop.until(rests, laptop, within=20)
        bare = [bare_restart(laptop) for _ in range(MOVES)]
        starts = laptop.docker.show("NRestarts", UNIT)
        assert starts == "0"
    measured = median(found) / median(bare)
    what = "Relay: route change → first new connection by the right upstream, ÷ bare restart"
    return [Row(what, measured, GOAL, baseline=f"bare restart {in_ms(bare)}", where=in_ms(found))]


def _moved(laptop: Laptop) -> float:
    """From home into the office, where nothing but the proxy leads to the registry."""
    laptop.plug("home")
    laptop.until(rests, laptop, within=20)
    unplugged(laptop)
    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(laptop.network, f"exec {sys.executable} - <<'end'\n{_ATTEMPTS}\nend")
        time.sleep(0.2)  # until it is at it
        arrived = laptop.plug("office")
        took_s = float(first.result(60)) - arrived
    laptop.until(rests, laptop, within=20)
    return took_s
