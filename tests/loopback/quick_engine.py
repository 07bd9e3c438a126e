"""A dockerd that is up in 30 ms, and the command that restarts it: the standard library and nothing else.

    quick_engine.py restart ROOT      what `docker.restart_command` runs; one at a time, as systemd's jobs

The dockerd is a fork of that command. It does not start with proxies that ROOT/run/refused names. Like the real one it
reads daemon.json when it starts and never again, and shows no user and password.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

WITHIN_S = 60
UP = "listening"


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """While nobody restarts it."""
    with locked(root / "run/supervisor.lock"):
        yield


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    """A restart that was killed on its way leaves a dockerd that no pid file names: waited for so long."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path}: held by another for {WITHIN_S} s") from None
        time.sleep(0.002)


def stop(root: Path) -> None:
    """Gone when this returns: it holds a lock for life."""
    pid = root / "run/dockerd.pid"
    if pid.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGTERM)
        with locked(root / "run/dockerd.lock"):
            pid.unlink()


def restart(root: Path) -> None:
    with alone(root):
        stop(root)
        hears, tells = os.pipe()
        if os.fork() == 0:
            _become_a_daemon(root, tells)
        os.close(tells)
        with open(hears) as stream:  # noqa: PTH123 - a descriptor
            said = stream.readline().strip()
        if said != UP:
            sys.exit(said)


def _become_a_daemon(root: Path, tells: int) -> NoReturn:
    """Of what the command has open, nothing is kept: its lock is free when it has ended."""
    said = ""
    try:
        os.setsid()
        nothing = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        os.dup2(tells, 3)
        os.closerange(4, 1024)
        run(root, 3)
    except SystemExit as end:
        said = str(end.code)
    except BaseException as error:  # noqa: BLE001 - a fork must not go on as its parent
        said = repr(error)
    finally:
        with contextlib.suppress(OSError):  # who restarted it has long been told
            os.write(3, said.encode())
        os._exit(1)


def run(root: Path, tells: int) -> None:
    proxies = _proxies(root / "etc/docker/daemon.json")
    refused = root / "run/refused"
    if refused.exists() and refused.read_text() in json.dumps(proxies):
        sys.exit("unable to configure the Docker daemon with file /etc/docker/daemon.json")
    with locked(root / "run/dockerd.lock"):
        (root / "run/dockerd.pid").write_text(str(os.getpid()))
        where = root / "run/docker.sock"
        where.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(where))
            listening.listen(16)
            with (root / "run/starts").open("a") as starts:
                starts.write(json.dumps(proxies) + "\n")
            os.write(tells, f"{UP}\n".encode())
            while True:
                connection, _ = listening.accept()
                connection.settimeout(WITHIN_S)
                with connection, contextlib.suppress(OSError):
                    _answer(connection, proxies, root)


def _proxies(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8-sig") or "{}").get("proxies", {})
    return found


def _answer(connection: socket.socket, proxies: dict[str, str], root: Path) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65536)
        if not more:
            return
        head += more
    containers = root / "run/containers"
    running = int(containers.read_text()) if containers.exists() else 0
    documents: dict[str, object] = {
        "/version": {"Version": "26.1.5", "ApiVersion": "1.45", "Components": [{"Name": "Engine"}]},
        "/info": {
            "HttpProxy": _masked(proxies.get("http-proxy", "")),
            "HttpsProxy": _masked(proxies.get("https-proxy", "")),
            "NoProxy": proxies.get("no-proxy", ""),
            "LiveRestoreEnabled": False,
            "ContainersRunning": running,
            "Swarm": {"LocalNodeState": "inactive"},
        },
        "/containers/json": [{"Id": f"{number:064x}"} for number in range(running)],
    }
    more_documents = root / "run/documents.json"
    documents |= json.loads(more_documents.read_text()) if more_documents.exists() else {}
    target = head.split(b" ")[1].decode().partition("?")[0]
    path = re.sub(r"^/v1\.\d+", "", target)
    status = "200 OK" if path in documents else "404 Not Found"
    body = json.dumps(documents.get(path, {"message": "page not found"})).encode()
    connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)


def _masked(url: str) -> str:
    """What Go cannot read is shown as it stands."""
    authority = re.split(r"[/?#]", url.partition("://")[2])[0]
    user, at, host = authority.rpartition("@")
    is_read = re.search(r":[0-9]*$|^[^:]*$", host)
    return url.replace(f"{user}@", "xxxxx:xxxxx@", 1) if at and is_read else url


if __name__ == "__main__":
    {"restart": restart}[sys.argv[1]](Path(sys.argv[2]))
