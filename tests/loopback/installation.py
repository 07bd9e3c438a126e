"""Everything that a command of the agent finds on a machine, below a root: policy, proxies, dockerd, and alice's home.

The proxies are real and answer on loopback for the registry behind them; dockerd is `quick_engine.py`.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from agent.audit.chain import Entry
from agent.audit.files import entries
from agent.audit.verify import Verification, verify
from agent.system.beside import is_leftover
from agent.values.paths import Paths

from . import quick_engine
from .runs import ran

ENGINE = quick_engine.__file__
DAEMON_JSON = '{\n\t"log-driver": "local",\n    "registry-mirrors": [ ]\n}\n'
LOGGED_IN = '{\n\t"auths": {"registry.example": {"auth": "aHVudGVyMg=="}},\n  "psFormat":"table"\n}'
PASSWORD = "a-secret-of-the-office"

_POLICY = """\
[probe]
registry = ["http://registry.test"]

[docker]
restart_command = {restart_command}

[clients]
users = ["alice"]
credentials = true

[upstream.office]
url = "http://127.0.0.1:{port}"
username = "alice"
password_file = "{password_file}"
container_url = "http://proxy.office.test:3128"

[upstream.branch]
url = "http://localhost:{port}"
container_url = "http://proxy.branch.test:3128"

[[network]]
use = ["{use}"]
"""


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers for the registry."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def proxy() -> Iterator[int]:
    """Its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.02), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(60)
            assert not thread.is_alive()


@contextlib.contextmanager
def knows_no_name(address: str) -> Iterator[None]:
    """A DNS server to which no name exists."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))

        def serve() -> None:
            while True:
                asked, whom = server.recvfrom(512)
                if not asked:
                    return
                server.sendto(asked[:2] + b"\x81\x83" + asked[4:], whom)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", (address, 53))
            thread.join(60)
            assert not thread.is_alive()


def is_offline() -> bool:
    """A machine without any network: a pass does nothing there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # a datagram socket: nothing is sent
        except OSError:
            return True
    return False


class Installation:
    """One root; a context that ends its dockerd."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.port = root, port
        self.paths = Paths(root)
        self.daemon_json = self.paths.daemon_json
        self.home = root / "home/alice"
        self.config_json = self.home / ".docker/config.json"
        for folder in (self.paths.policy.parent, self.daemon_json.parent, self.home / ".docker", root / "run"):
            folder.mkdir(parents=True)
            folder.chmod(0o755)
        uid, gid = os.geteuid(), os.getegid()
        (root / "etc/passwd").write_text(f"alice:x:{uid}:{gid}::/home/alice:/bin/sh\n")
        (root / "etc/group").write_text("")
        self.write(self.paths.policy.with_name("office.password"), PASSWORD + "\n", 0o600)
        self.write(self.daemon_json, DAEMON_JSON, 0o644)
        self.write(self.config_json, LOGGED_IN, 0o640)
        self.policy("office")

    def __enter__(self) -> Self:
        self.restart()
        return self

    def __exit__(self, *_: object) -> None:
        with quick_engine.alone(self.root):
            quick_engine.stop(self.root)

    # What a person does.

    def policy(self, use: str) -> None:
        text = _POLICY.format(
            restart_command=json.dumps([sys.executable, "-I", "-S", ENGINE, "restart", str(self.root)]),
            port=self.port,
            password_file="/etc/docker-proxy-agent/office.password",
            use=use,
        )
        self.write(self.paths.policy, text, 0o644)

    @staticmethod
    def write(path: Path, text: str, mode: int) -> None:
        path.write_text(text)
        path.chmod(mode)

    def command(self, *words: str) -> list[str]:
        """The agent as a person calls it."""
        main = "from agent.cli import main; raise SystemExit(main())"
        return [sys.executable, "-W", "error", "-c", main, "--root", str(self.root), *words]

    def ran(self, *words: str, inside: int | None = None) -> subprocess.CompletedProcess[str]:
        """The agent as a person calls it, to its end; in the namespaces of that process."""
        return ran("--root", str(self.root), *words, inside=inside)

    # What Docker is.

    def restart(self) -> None:
        subprocess.run([sys.executable, "-I", "-S", ENGINE, "restart", str(self.root)], check=True, timeout=60)

    def refuse(self, text: str) -> None:
        """dockerd does not start with proxies in which this stands."""
        (self.root / "run/refused").write_text(text)

    def refuse_nothing(self) -> None:
        (self.root / "run/refused").unlink(missing_ok=True)

    def runs_with(self) -> dict[str, str] | None:
        """The proxies that dockerd was started with; None: none runs. Once nobody restarts it any more."""
        with quick_engine.alone(self.root):
            if not (self.root / "run/dockerd.pid").exists():
                return None
            with socket.socket(socket.AF_UNIX) as asking:
                asking.connect(str(self.root / "run/docker.sock"))
            found: dict[str, str] = json.loads((self.root / "run/starts").read_text().splitlines()[-1])
            return found

    @property
    def starts(self) -> int:
        return len((self.root / "run/starts").read_text().splitlines())

    # What lies there.

    def targets(self) -> dict[str, tuple[str, int] | None]:
        """Text and mode of each; None: there is none."""
        return {
            path.name: (path.read_text(), path.stat().st_mode & 0o777) if path.exists() else None
            for path in (self.daemon_json, self.config_json)
        }

    def leftovers(self) -> list[str]:
        """Files of ours that were on their way."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if is_leftover(path.name))

    def records(self) -> list[Entry]:
        """Those that are whole."""
        log = self.paths.audit_log
        return list(entries(log)) if log.exists() else []

    def events(self) -> list[str]:
        return [record.event for record in self.records()]

    def verified(self) -> Verification:
        return verify(self.paths.audit_log, self.paths.state)

    def save(self, folder: Path) -> None:
        """All but what lives: `put_back` puts it there again."""
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("etc", "var", "home"):
            if (self.root / name).exists():
                shutil.copytree(self.root / name, folder / name, symlinks=True)

    def put_back(self, folder: Path) -> None:
        for name in ("etc", "var", "home"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            if (folder / name).exists():
                shutil.copytree(folder / name, self.root / name, symlinks=True)
        self.restart()
