"""The temporary directory: a policy, a password and a daemon.json with a line of its own."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agent.values.paths import Paths
from agent.values.secret import Secret

USER: Final = "alice"
# With characters that need quoting in a URL, in JSON and in a unit file.
PASSWORD: Final = Secret("office #1: 50% more@work")
DAEMON_JSON: Final = '{\n    "log-driver": "local"\n}\n'

_LONGEST_SOCKET: Final = 107  # bytes of a path in sockaddr_un: unix(7)

_POLICY: Final = """\
[probe]
registry = ["http://registry.test"]

[docker]
restart_command = {restart_command}

[upstream.guest]
url = "http://guest.test:3128"

[upstream.corp]
url = "http://proxy.test:3128"
username = "{user}"
password_file = "{password_file}"

[[network]]
name = "home"
match.ssid = ["Attic"]
use = ["direct"]

[[network]]
name = "office"
match.ssid = ["CorpNet*"]
use = ["guest", "corp", "direct"]

[[network]]
name = "café"
match.ssid = ["Café *"]
use = ["direct"]
"""


@contextlib.contextmanager
def throw_away_root(*, is_kept: bool) -> Iterator[Paths]:
    """A new directory, removed afterwards unless `is_kept`."""
    root = Path(tempfile.mkdtemp(prefix="docker-proxy-agent-demo-", dir=_place()))
    try:
        paths = Paths(root)
        for folder in (paths.policy.parent, paths.daemon_json.parent, root / "run"):
            folder.mkdir(mode=0o755, parents=True)
        yield paths
    finally:
        if not is_kept:
            shutil.rmtree(root)


def furnish(paths: Paths, restart_command: Sequence[str]) -> None:
    """Create what the agent finds there."""
    password_file = paths.policy.with_name("corp.password")
    _write(password_file, PASSWORD.reveal() + "\n", 0o600)
    command = msgspec.json.encode(restart_command).decode()  # a list of strings is the same in TOML
    text = _POLICY.format(restart_command=command, user=USER, password_file=f"/{password_file.relative_to(paths.root)}")
    _write(paths.policy, text, 0o644)
    _write(paths.daemon_json, DAEMON_JSON, 0o644)


def _write(path: Path, text: str, mode: int) -> None:
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text(text, encoding="utf-8")


def _place() -> str | None:
    """The usual place, or /tmp if that would make a socket's path too long."""
    usual = tempfile.gettempdir()
    longest = f"{usual}/docker-proxy-agent-demo-xxxxxxxx/run/supervisor.sock"
    return None if len(longest.encode()) <= _LONGEST_SOCKET else "/tmp"  # noqa: S108 - mkdtemp makes its own in it
