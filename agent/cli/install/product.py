"""What is installed here: the command, its unit, and a digest of the code."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

import msgspec

from agent.cli.install.systemd import UNIT
from agent.one_pass import pac_units
from agent.one_pass.relay_units import SERVICE, SOCKET
from agent.system.files import is_there
from agent.system.no_exec import refused
from agent.values.errors import AgentError
from agent.values.paths import Layout

_CODE = Path(__file__).resolve().parents[2]
_OF_THE_PACKAGE = Path("/usr/lib/docker-proxy-agent/agent")  # where debian/rules puts the code
PACKAGES_UNITS: Final = Path("/usr/lib/systemd")
PACKAGES_COMMAND: Final = "/usr/bin/docker-proxy-agent"
_EXEC_START = re.compile(r"(?m)^ExecStart=(\S+) (run(?: --user)?|relay|pac --evaluator)$")


def command() -> str:
    """The path of this command. Raises AgentError if it was started in another way."""
    found = shutil.which(sys.argv[0])
    if found is None or not Path(found).name.startswith("docker-proxy-agent"):
        raise AgentError(
            sys.argv[0], "is not an installed command, which the unit needs", "Run: docker-proxy-agent install"
        )
    return str(Path(found).absolute())


def is_packaged() -> bool:
    """Whether this is the code of Debian's package, which brings the units as well."""
    return _CODE == _OF_THE_PACKAGE


def packages_units() -> tuple[str, ...]:
    """The names of the package's units for the system."""
    return tuple(sorted(file.name for file in (PACKAGES_UNITS / "system").glob("docker-proxy-*.*")))


def starts_another(unit: str) -> bool:
    """Whether this unit was written by another `install` than the package's: it starts a command elsewhere.

    One that a person has copied to edit it starts the package's.
    """
    return any(found[1] != PACKAGES_COMMAND for found in _EXEC_START.finditer(unit))


def unit_text(path: str, layout: Layout) -> str:
    """The unit of this layout that starts the command at this path."""
    return _filled_in(_shared(UNIT if layout.user is None else f"user/{UNIT}"), path)


def relay_unit_texts(path: str) -> dict[str, str]:
    """The relay's units by name, with the command at this path."""
    return {SOCKET: _shared(SOCKET).read_text(), SERVICE: _filled_in(_shared(SERVICE), path)}


def pac_unit_texts(path: str) -> dict[str, str]:
    """Those that evaluate PAC files, the same."""
    socket, service = pac_units.SOCKET, pac_units.SERVICE
    return {socket: _shared(socket).read_text(), service: _filled_in(_shared(service), path)}


def _filled_in(file: Path, path: str) -> str:
    start = "ExecStart=" + shlex.quote(path).replace("%", "%%")
    text, found = _EXEC_START.subn(lambda match: f"{start} {match[2]}", file.read_text())
    if found != 1:
        raise AgentError(str(file), "has no ExecStart= to fill in", "Reinstall the package")
    return text


def check_can_be_run(unit: str, path: str) -> None:
    """Raises AgentError if the unit could not run the command at this path, or load its libraries."""
    # NoExecPaths= of the unit keeps a compiled library, such as msgspec's, from being loaded, too.
    why = refused(unit, (path, sys.prefix, str(msgspec.__file__)))
    if why:
        first = f"sudo rm -r {sys.prefix}; " if sys.prefix != sys.base_prefix else ""
        raise AgentError("install", why, f"Install it with the system's Python: {first}sudo make install")


def example() -> Path:
    """The example policy, which explains every line."""
    return _shared("config.example.toml")


def code_digest() -> str:
    """Differs for any other code, even of the same version; for any other unit, too, where the package brings them."""
    digest = hashlib.sha256()
    units = PACKAGES_UNITS.rglob("docker-proxy-*.*") if is_packaged() else ()
    for file in (*sorted(_CODE.rglob("*.py")), *sorted(units)):
        digest.update(os.path.relpath(file, _CODE).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _shared(name: str) -> Path:
    """In a checkout, or where pip puts data files."""
    checkout = _CODE.parent
    places: tuple[Path, ...] = (
        *((checkout / name, checkout / "systemd" / name) if is_there(checkout / "pyproject.toml") else ()),
        Path(sys.prefix, "share/docker-proxy-agent", name),
        Path("/usr/share/docker-proxy-agent", name),
    )
    for place in places:
        if is_there(place):
            return place
    raise AgentError(str(places[-2]), "did not come with this installation", "Reinstall the package")
