"""What is installed here: the command, the unit that came with it, and what tells one version from another."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import sys
from pathlib import Path

import msgspec

from agent.cli.install.systemd import UNIT
from agent.system.files import is_there
from agent.system.no_exec import refused
from agent.values.errors import AgentError

_CODE = Path(__file__).resolve().parents[2]
_EXEC_START = re.compile(r"(?m)^ExecStart=\S+ run$")


def command() -> str:
    """The path of the very command that runs. AgentError if it was not started by one."""
    found = shutil.which(sys.argv[0])
    if found is None or not Path(found).name.startswith("docker-proxy-agent"):
        raise AgentError(sys.argv[0], "the unit needs the path of a command", "Run: docker-proxy-agent install")
    return str(Path(found).absolute())


def unit_text(path: str) -> str:
    """The unit that starts the command at this path."""
    start = "ExecStart=" + shlex.quote(path).replace("%", "%%") + " run"
    text, found = _EXEC_START.subn(lambda _: start, _shared(UNIT).read_text())
    if found != 1:
        raise AgentError(str(_shared(UNIT)), "has no ExecStart= to fill in", "Install the package anew")
    return text


def check_can_be_run(unit: str, path: str) -> None:
    """AgentError where the unit could not start the command at this path, or its Python not load what it needs."""
    # The environment, and the library in it that is no Python: a folder from which nothing is run lets none be loaded.
    why = refused(unit, (path, sys.prefix, str(msgspec.__file__)))
    if why:
        first = f"sudo rm -r {sys.prefix}; " if sys.prefix != sys.base_prefix else ""
        raise AgentError("install", why, f"Install it with the system's Python: {first}sudo make install")


def example() -> Path:
    """The policy's example, which explains every line."""
    return _shared("config.example.toml")


def code_digest() -> str:
    """Another value for other code, whatever its version says."""
    digest = hashlib.sha256()
    for file in sorted(_CODE.rglob("*.py")):
        digest.update(str(file.relative_to(_CODE)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _shared(name: str) -> Path:
    """In a checkout where it is kept there; else where pip puts what is no code."""
    checkout = _CODE.parent
    places: tuple[Path, ...] = (
        *((checkout / name, checkout / "systemd" / name) if is_there(checkout / "pyproject.toml") else ()),
        Path(sys.prefix, "share/docker-proxy-agent", name),
        Path("/usr/share/docker-proxy-agent", name),
    )
    for place in places:
        if is_there(place):
            return place
    raise AgentError(str(places[-2]), "did not come with this installation", "Install the package anew")
