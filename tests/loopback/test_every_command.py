"""Every example of the help is run, with LANG=C, in a pipe and at 60 columns: it is ASCII, and folded between words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from agent.cli.audit.options import QUESTIONS
from agent.cli.commands import COMMANDS
from tests.sources import ROOT

from .installation import Installation, is_offline, proxy
from .runs import Zygote

pytestmark = pytest.mark.skipif(is_offline(), reason="offline, a pass does nothing")

# What has a test of its own, because it does not end, or is about a whole system.
NOT_HERE: Final = {
    "status --watch",
    "run",
    "relay --listen 127.0.0.1:3130",
    "install",
    "uninstall",
    "uninstall --purge",
}
EXAMPLES: Final = [
    *(example.words for command in COMMANDS.values() for example in command.examples if example.words not in NOT_HERE),
    *(f"audit {question.example}" for question in QUESTIONS.values()),
]
COLUMNS: Final = 60
TO_BE_PASTED: Final = ("init", "env", "audit schema", "audit verify", "status --format")
ROWS: Final = re.findall(r"(?m)^\| (`.+`) \| .+ \| (.+) \|$", (ROOT / "docs/commands.md").read_text())


class Machine:
    """A root with a policy and a pass behind it, and how commands are run in it: with LANG=C."""

    def __init__(self, folder: Path, port: int, by: Zygote) -> None:
        self.folder = folder
        self._by = by
        self.installation = Installation(folder / "root", port)
        policy = self.installation.paths.policy
        policy.write_text(policy.read_text().replace("branch", "corp-proxy"))
        (folder / "config.toml").write_text(policy.read_text())
        (folder / "wpad.dat").write_text('function FindProxyForURL(url, host) { return "DIRECT"; }\n')

    def run(self, words: str) -> tuple[int, bytes, bytes]:
        out, err = self.folder / "out", self.folder / "err"
        files = {name: str(self.folder / name) for name in ("config.toml", "wpad.dat", "report.json", "report.html")}
        for name in ("report.json", "report.html"):
            (self.folder / name).unlink(missing_ok=True)
        said = [files.get(word, word) for word in words.split()]
        status = self._by.run(["--root", str(self.folder / "root"), *said], out, err)
        return status, out.read_bytes(), err.read_bytes()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with pytest.MonkeyPatch.context() as patch, proxy() as port:
        patch.setenv("LC_ALL", "C")
        patch.setenv("COLUMNS", str(COLUMNS))
        with Zygote() as zygote:
            machine = Machine(tmp_path_factory.mktemp("every"), port, zygote)
            with machine.installation:
                assert machine.run("apply")[0] == 0
                yield machine


def documented(words: str) -> set[int]:
    """The exit statuses that docs/commands.md has for this command."""
    command = " ".join(words.split()[: 2 if words.split()[1:2] and words.split()[1] in QUESTIONS else 1])
    (said,) = [said for names, said in ROWS if re.search(rf"`{command}(?![\w-]| [a-z])", names)]
    if inherited := re.match("as `([a-z]+)`", said):
        return {*map(int, re.findall(r"\b\d\b", said)), *documented(inherited[1])}
    return {*map(int, re.findall(r"\b\d\b", said))}


@pytest.mark.parametrize("words", EXAMPLES)
def test_an_example_ends_as_documented_and_prints_nothing_but_ascii(machine: Machine, words: str) -> None:
    status, out, err = machine.run(words)

    assert status in documented(words), err.decode()
    assert out + err
    assert b"Traceback" not in err
    assert b"internal" not in err
    for line in (out + err).split(b"\n"):
        assert line.isascii()
        assert line.decode().isprintable()
    if not words.startswith(TO_BE_PASTED):
        lines = out.decode().replace("\\xe9", "e").split("\n")  # the demo's, which is folded before
        assert [line for line in lines if len(line) > COLUMNS and " " in line.strip()] == []
