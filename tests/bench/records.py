"""How long an auditor waits for answers out of a log of 100 MB, and how much memory they take."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.audit.chain import GENESIS, SCHEMA, Entry, sealed
from agent.audit.files import full_name
from agent.values.events import Event
from agent.values.paths import Paths
from agent.values.policy import Audit
from tests.machine.lab.places import World

from .row import Row

BYTES = int(Audit().max_size)
FILES = 10
BEGAN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
STEP = dt.timedelta(seconds=9)  # from one record to the next
OFFICE = {
    "http": "http://•••@proxy.corp.example:3128",
    "https": "http://•••@proxy.corp.example:3128",
    "no_proxy": "localhost,127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,corp.example",
}
DIRECT = {"direct": True}
ALICE = {"via": "control", "uid": 0, "login_uid": 1000, "claimed": "alice"}
QUESTIONS = (
    ("at", "2026-01-09T14:00:00Z"),
    ("outages",),
    ("who",),
    ("report", "-o", "-"),
    ("--network", "office", "--last", "10"),
)
# Each in a process of its own, and this one is small: a child's largest size begins with that of its parent.
STOPWATCH = """
import json, os, sys, time
code = "import sys; from agent.cli import main; sys.exit(main())"
null = os.open(os.devnull, os.O_WRONLY)
found = []
for words in json.loads(sys.argv[1]):
    began = time.monotonic()
    actions = [(os.POSIX_SPAWN_DUP2, null, 1)]
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code, *words], os.environ, file_actions=actions)
    _, status, used = os.wait4(pid, 0)
    found.append((time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, status))
print(json.dumps(found))
"""


def rows(_world: World) -> list[Row]:
    with tempfile.TemporaryDirectory() as root:
        records = write(Paths(Path(root)))
        words = [["--root", root, "audit", *question] for question in QUESTIONS]
        said = subprocess.run(
            [sys.executable, "-c", STOPWATCH, json.dumps(words)],
            cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=600,
        )  # fmt: skip
    found = []
    for question, (took_s, cpu_s, memory, status) in zip(QUESTIONS, json.loads(said.stdout), strict=True):
        assert status == 0, f"audit {question}: {status}; {said.stderr}"
        what = f"`audit {' '.join(question)}`, {BYTES // 1000**2} MB of log"
        found.append(Row(what, took_s, 5, " s", f"{records} records in {FILES} files", f"{cpu_s:.2f} s of CPU"))
        found.append(Row(f"{what}: memory", memory, 100, " MB"))
    return found


def write(paths: Paths) -> int:
    """A log as large as it may be by default. How many records it has."""
    path = paths.audit_log
    path.parent.mkdir(parents=True)
    lines: list[bytes] = []
    first, size, left, prev, seq = 1, 0, BYTES, GENESIS, 0
    for moves in _moves():
        for event, facts, by in moves:
            seq += 1
            ts = f"{BEGAN + seq * STEP:%Y-%m-%dT%H:%M:%S.%fZ}"
            line, anchor = sealed(
                Entry(
                    v=SCHEMA, ts=ts, seq=seq, host="laptop", boot_id="6f1c2a4e-0d0b-4c3a-9a53-8f0f3f6b2b11",
                    pass_id=f"{seq // 10:08x}", event=event.value, severity="info", trigger="network", by=by,
                    facts={**facts, "since": ts} if event is Event.UNREACHABLE_BEGAN else {**facts}, prev=prev,
                )
            )  # fmt: skip
            prev = anchor.hash
            lines.append(line)
            size += len(line)
        if size >= BYTES / FILES:
            left -= size
            file = full_name(path, first) if left > 0 else path
            file.write_bytes(b"".join(lines))
            lines, first, size = [], seq + 1, 0
        if left <= 0:
            return seq
    raise AssertionError("there is always another move")


Written = tuple[Event, Mapping[str, Any], dict[str, Any] | None]


def _moves() -> Iterator[list[Written]]:
    """A laptop goes to and fro; now and then there is an outage, or an order."""
    yield [
        (Event.AGENT_STARTED, {"version": "0.1.0", "effective": DIRECT, "invocation": "i0", "network": "home"}, None)
    ]
    number = 0
    while True:
        number += 1
        yield _move(number)


def _move(number: int) -> list[Written]:
    network, settings, upstream = ("office", OFFICE, "corp") if number % 2 else ("home", DIRECT, "direct")
    because = "Docker runs with direct, but should run with http://•••@proxy.corp.example:3128"
    interface = {"name": "wlan0", "ssid": "CorpNet", "gateways": ["10.10.0.1"], "addresses": ["10.10.0.7/16"]}
    verdicts = [
        {"upstream": "corp", "verdict": "ok", "ms": 84.1},
        {"upstream": "direct", "verdict": "timeout", "ms": 5000.0},
    ]
    targets = ["/etc/docker-proxy-agent/dockerd.env", "/home/alice/.docker/config.json"]
    found: list[tuple[Event, Mapping[str, Any]]] = [
        (
            Event.NETWORK_CHANGED,
            {
                "network": network, "because": "match.gateway 10.10.0.1 on wlan0", "place": "5c0d9f6a7b1e2c3d",
                "is_new": False, "fingerprint": "67ad3bba747b", "interfaces": [interface],
            },
        ),
        (
            Event.UPSTREAM_CHOSEN,
            {
                "upstream": upstream, "network": network, "because": "first of corp, direct that works",
                "verdicts": verdicts,
            },
        ),
        (
            Event.APPLY_STARTED,
            {
                "settings": settings, "effective": DIRECT, "prospective": DIRECT, "method": "systemd-drop-in",
                "method_because": "systemd runs this Docker, and daemon.json has no proxies that others set",
                "targets": targets, "restart": "now", "due": because, "allowed": "no container runs",
            },
        ),
        (Event.SETTINGS_WRITTEN, {"method": "systemd-drop-in", "targets": targets[:1]}),
        (Event.DOCKER_STARTED, {"cause": "agent", "effective": settings, "invocation": f"{number:032x}"}),
        (
            Event.DOCKER_RESTARTED,
            {
                "took_s": 0.71, "due": because, "allowed": "3 containers run, and live-restore keeps them",
                "containers_kept": 3, "containers_lost": [], "containers_stopped": [], "taken_along": [],
                "started_again": [], "left": [],
            },
        ),
    ]  # fmt: skip
    if number % 15 == 0:
        found.append(
            (Event.UNREACHABLE_BEGAN, {"network": network, "because": "corp may still come", "verdicts": verdicts})
        )
        found.append((Event.UNREACHABLE_ENDED, {"lasted_s": 34.5, "because": "what Docker runs with works here"}))
    written: list[Written] = [(event, facts, None) for event, facts in found]
    if number % 20 == 0:
        written.append((Event.PINNED, {"upstream": "corp", "until": None}, ALICE))
        written.append((Event.UNPINNED, {"upstream": "corp", "because": "requested"}, ALICE))
    return written
