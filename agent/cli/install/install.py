"""Set up the service, or upgrade it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from agent import __version__
from agent.cli.install import pac, package, product, relay
from agent.cli.install.systemd import UNIT, Service
from agent.cli.install.unit_files import write_units
from agent.system.files import is_folder, is_there
from agent.system.lock import held_at_last
from agent.system.passwd import owner_of
from agent.system.policy_file import is_there_any
from agent.system.state_file import StateFile
from agent.system.systemd import manager
from agent.values.errors import AgentError
from agent.values.paths import Paths

Say = Callable[[str], None]
_OLD_CODE: Final = (
    "note         the service is masked and could not be restarted: it still runs the old version. Unmask it, "
    "then run: docker-proxy-agent install"
)
_AGAIN: Final = "Fix this, then run: docker-proxy-agent install"
_LINGERING: Final = Path("/var/lib/systemd/linger")  # a file for each user whose systemd runs from boot on


class Installed(msgspec.Struct, frozen=True):
    """What `install` did last time; `uninstall` needs it, too."""

    code: str = ""  # that the service was last started with
    folders: tuple[str, ...] = ()  # that were not there before


def unit_file(paths: Paths) -> Path:
    return paths.unit_file(UNIT)


def notes(paths: Paths) -> StateFile[Installed]:
    return StateFile(paths.state / "installed.json", Installed, 1)


def check_can(what: str, paths: Paths) -> None:
    """Raises AgentError where no service can be installed or removed."""
    if not paths.is_real:
        raise AgentError(what, "a service belongs to a whole system", "Leave out --root")
    if paths.is_the_systems and os.geteuid() != 0:
        raise AgentError(what, "needs root", f"Try: sudo docker-proxy-agent {what}")
    if manager(paths) is None:
        if not paths.is_the_systems:
            why = f"your own systemd is not running: {paths.layout.booted} does not exist"
            raise AgentError(what, why, "Log in as this user, not by su or sudo, and run it again")
        instead = "Start the agent yourself: docker-proxy-agent run"
        if what == "uninstall":
            instead = "Restore what the agent wrote: docker-proxy-agent restore"
        raise AgentError(what, "this system was not started by systemd", instead)


async def install(paths: Paths, say: Say) -> None:
    """Write unit and folders, enable and start. Restart only if unit or code is new, or the service does not run.

    A package brings the units, and leaves enabling and starting the system's to a person.
    """
    service, is_packaged = Service(paths), product.is_packaged()
    are_units_new = await (package.clear_the_way if is_packaged else _write_units)(paths, service, say)
    is_a_persons = is_packaged and paths.is_the_systems
    is_enabled = await service.says("is-enabled", "--quiet", UNIT)
    if not is_enabled and not is_a_persons:
        await service.systemctl("enable", "--quiet", UNIT)
        say(f"enabled      starts {'at boot' if paths.is_the_systems else 'when you log in'}, before Docker")
    is_masked = is_packaged and package.is_masked(paths)
    code = product.code_digest()
    known = notes(paths).load()
    is_new = are_units_new or known is None or known.code != code
    is_running = await service.says("is-active", "--quiet", UNIT)
    if is_packaged and is_new:
        await pac.start_anew(paths, service)
    if is_running and (is_masked or not is_new):
        say(_OLD_CODE if is_new else "up to date   the service keeps running")
    elif is_running or not is_a_persons:
        await service.says("reset-failed", UNIT)  # it may have reached its start limit with the old code
        # Between stop and start: the running service holds the lock, and sweeps this folder.
        try:
            await service.systemctl("stop", UNIT)
            async with held_at_last(paths.lock):
                _note(paths, known, code)
        except BaseException:  # whatever it is, a Ctrl-C too: what ran runs again
            if is_running:
                await service.says("start", UNIT)
            raise
        await service.systemctl("start", UNIT)
        say(f"{'restarted' if is_running else 'started':13}version {__version__}")
        await relay.start_anew(paths, service, say)
    else:
        async with held_at_last(paths.lock):
            _note(paths, known, code)
        say(f"installed    version {__version__}; the service is not running")
        if is_new:  # it carries Docker's connections, also while the agent is stopped
            await relay.start_anew(paths, service, say)
    if is_a_persons:
        await package.remove_the_other(say)
    is_to_be_started = is_a_persons and not (is_running and is_enabled)
    _say_what_is_next(paths, say, is_to_be_started=is_to_be_started, is_masked=is_masked)


async def _write_units(paths: Paths, service: Service, say: Say) -> bool:
    """Whether one is new."""
    package.check_not_packaged("install")
    command = product.command()
    text = product.unit_text(command, paths.layout)
    product.check_can_be_run(text, command)
    is_own_new = write_units(paths, {UNIT: text}, say, f"which starts {command}")
    is_relay_new = await relay.write_units(paths, command, say)
    is_pac_new = await pac.write_units(paths, command, say)
    if is_own_new or is_relay_new or is_pac_new:
        await service.systemctl("daemon-reload")
    if is_pac_new:
        await pac.start_anew(paths, service)
    return is_own_new or is_relay_new


def _say_what_is_next(paths: Paths, say: Say, *, is_to_be_started: bool, is_masked: bool) -> None:
    sudo, edit, whose = "sudo ", "sudoedit", ""
    if not paths.is_the_systems:
        sudo, edit, whose = "", "editor", " --user"
        if not is_there(_LINGERING / owner_of(os.geteuid(), paths)):
            say("note         it stops when you log out, as your Docker does. To run both from boot on:")
            say("             sudo loginctl enable-linger $USER")
    if is_to_be_started:
        say("next         write a policy, then enable the service:")
        say("             sudo docker-proxy-agent init")
        if is_masked:  # enabling is refused
            say(f"             sudo systemctl unmask {UNIT}")
        say(f"             sudo systemctl enable --now {UNIT}")
    elif not is_there_any(paths.policy):
        say("next         there is no policy yet, so nothing is changed. The service reads one as soon as it is there.")
        say("             To make a first one from this system, run at the place that needs the proxy:")
        say(f"             {sudo}docker-proxy-agent init{whose}")
        say("             Or by hand:")
        say(f"             {sudo}install -m 644 {product.example()} {paths.policy}")
        say(f"             {edit} {paths.policy}; docker-proxy-agent check; docker-proxy-agent status")
    else:
        say("next         docker-proxy-agent status")


def _note(paths: Paths, known: Installed | None, code: str) -> None:
    """Note the code and the folders before making them: `uninstall` removes those that nothing else uses."""
    if known is None:
        drop_ins = (paths.drop_in(service).parent for service in paths.services)
        lasting = (paths.daemon_json.parent, paths.policy.parent, *drop_ins)
        known = Installed(folders=tuple(str(folder) for folder in lasting if not is_folder(folder)))
    known = msgspec.structs.replace(known, folders=tuple(dict.fromkeys((*known.folders, *_of_packages(paths)))))
    _make(paths.state, 0o700)
    notes(paths).save(msgspec.structs.replace(known, code=code))
    _make(paths.policy.parent, 0o755)
    _make(paths.audit_log.parent, 0o750)
    for folder in map(Path, known.folders):
        _open(folder)


def _of_packages(paths: Paths) -> Iterator[str]:
    """The folders of their drop-ins, if absent or empty: an earlier version did not note that its unit makes them."""
    for other in paths.layout.others:
        folder = paths.drop_in(other.service).parent
        try:
            is_ours = not any(folder.iterdir())
        except FileNotFoundError:
            is_ours = True
        except OSError:  # it stays where it is
            is_ours = False
        if is_ours:
            yield str(folder)


def _open(folder: Path) -> None:
    """An earlier version's unit made it readable by root alone. A folder with any other mode is left as it is."""
    try:
        status = folder.stat()
        if (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o700):
            folder.chmod(0o755)
    except FileNotFoundError:  # not made yet
        return
    except OSError as error:
        raise AgentError(str(folder), f"cannot be made readable: {error.strerror}", _AGAIN) from error


def _make(folder: Path, mode: int) -> None:
    try:
        if not is_folder(folder):
            folder.mkdir(mode=mode, parents=True)
            folder.chmod(mode)  # whatever the umask
    except OSError as error:
        raise AgentError(str(folder), f"cannot be created: {error.strerror}", _AGAIN) from error
