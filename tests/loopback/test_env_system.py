"""`env --system` as a command: what it prints for another place, to whom, and that it writes nothing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from .nobody import AS_NOBODY
from .runs import shared

PASSWORD = "p\"a'ss %$`\\"
URL = ("--url", "http://proxy.test:3128")
WINDOWS = b'\xef\xbb\xbf{\r\n    "debug": false\r\n}\r\n'
MERGED = (
    b'\xef\xbb\xbf{\r\n    "debug": false,\r\n    "proxies": {\r\n        "http-proxy": "http://proxy.test:3128",\r\n'
    b'        "https-proxy": "http://proxy.test:3128",\r\n        "no-proxy": "127.0.0.0/8,::1,localhost"\r\n'
    b"    }\r\n}\r\n"
)
POLICY = """
[upstream.corp]
url = "http://proxy.test:3128"
username = "alice"
password_file = "{password}"

[[network]]
use = ["corp", "direct"]
"""


def env(*words: str, code: str | None = None) -> subprocess.CompletedProcess[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        status = shared().run(["env", *words], out, err, code=code)
        return subprocess.CompletedProcess(words, status, out.read_bytes(), err.read_bytes())


@pytest.fixture
def policy(tmp_path: Path) -> tuple[str, ...]:
    """The options of a command with an upstream that has a password."""
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    password.chmod(0o600)
    file = tmp_path / "config.toml"
    file.write_text(POLICY.format(password=password))
    return ("--policy", str(file), "--upstream", "corp")


def test_anybody_may_ask_where_there_is_no_policy_and_no_docker() -> None:
    ran = env("--system", "orbstack", "--url", "http://127.0.0.1:7890", "--root", "/nowhere", code=AS_NOBODY)

    assert (ran.returncode, ran.stderr) == (0, b"")
    assert b"\norb config set network_proxy http://127.0.0.1:7890\n" in ran.stdout
    assert b"httpProxy" not in ran.stdout


@pytest.mark.parametrize("kind", ["folder", "fifo", "loop", "device", "large"])
def test_what_is_no_file_to_merge_with_is_said_in_words_of_its_own(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "daemon.json"
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "device":
            path = Path("/dev/null")
        case "large":
            path.write_bytes(b" " * (1024 * 1024 + 1))

    ran = env("--system", "windows", "--merge", str(path), *URL)

    assert (ran.returncode, ran.stdout) == (1, b"")
    assert ran.stderr.startswith(f"{path}: ".encode())
    assert ran.stderr.endswith(b". For a complete file: docker-proxy-agent env --system windows\n")
    assert b"left as it is" not in ran.stderr


def test_a_file_is_printed_with_our_keys_to_the_byte_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_bytes(WINDOWS)
    before = file.stat()

    ran = env("--system", "windows", "--merge", str(file), *URL)

    assert (ran.returncode, ran.stderr, ran.stdout) == (0, b"", MERGED)
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns, file.read_bytes()) == (before.st_ino, before.st_mtime_ns, WINDOWS)
    assert [path.name for path in tmp_path.iterdir()] == ["daemon.json"]


@pytest.mark.parametrize("system", ["linux", "colima", "orbstack"])
def test_a_sheet_without_a_password_says_where_it_belongs(system: str, policy: tuple[str, ...]) -> None:
    unasked = env("--system", system, *policy)
    asked = env("--system", system, "--show-secrets", *policy)

    assert (unasked.returncode, asked.returncode) == (0, 0)
    assert b"http://USER:PASSWORD@proxy.test:3128" in unasked.stdout
    assert b"alice" not in unasked.stdout + unasked.stderr
    assert b"alice" in asked.stdout
    assert PASSWORD.encode() not in asked.stdout + asked.stderr  # only as a URL has it


@pytest.mark.parametrize(
    ("system", "content", "says"),
    [
        ("windows", b'{"hosts": [}', b"line 1"),
        ("windows", b'{"a": "\xff"}', b"neither UTF-8 nor UTF-16"),
        ("orbstack", b"{}", b"OrbStack has no file that keys can be set in"),
    ],
)
def test_what_cannot_be_merged_is_refused(tmp_path: Path, system: str, content: bytes, says: bytes) -> None:
    file = tmp_path / "daemon.json"
    file.write_bytes(content)

    ran = env("--system", system, "--merge", str(file), *URL)

    assert (ran.returncode, ran.stdout) == (1, b"")
    assert says in ran.stderr
