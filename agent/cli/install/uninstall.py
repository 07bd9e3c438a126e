"""Remove the service: stop it, restore everything, and only then remove the state that this needs."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from agent.audit import system_journal
from agent.audit.logs import send_to_journal
from agent.cli.install import pac, product, relay
from agent.cli.install.install import Say, notes, unit_file
from agent.cli.install.own_instances import own_instances
from agent.cli.install.systemd import UNIT, Service
from agent.one_pass.restore import Restored
from agent.system.lock import held_at_last
from agent.system.text_files import read_text, write_text
from agent.values.paths import Paths


async def uninstall(
    paths: Paths,
    say: Say,
    restore: Callable[[], Awaitable[Restored]],
    *,
    is_purged: bool,
    note_end_of_relay: Callable[[], None],
) -> Restored:
    """Policy and audit log stay unless `is_purged`. The state stays where something could not be restored."""
    unit, service = unit_file(paths), Service(paths)
    text = read_text(unit)
    if text is not None or product.is_packaged():
        await service.systemctl("disable", "--now", "--quiet", UNIT)
        say(f"stopped      and disabled{' at boot' if paths.is_the_systems else ''}")
    async with held_at_last(paths.lock):
        restored = await restore()
        if restored.is_failed:
            return restored
        if await relay.remove(paths, service, say, is_purged=is_purged):
            note_end_of_relay()
        await pac.remove(paths, service, say)
        if text is not None:
            write_text(unit, text, None, None)
            await service.systemctl("daemon-reload")
            say(f"removed      {unit}")
        known = notes(paths).load()
        # Before the state with its last anchor is removed; a person may delete the log later.
        _end_the_log(paths.layout.user)
        _remove(paths.state, say, but=paths.audit_log.parent)
        _remove(paths.runtime, say)
    _forget(paths, known.folders if known else (), say, is_purged=is_purged)
    for user in await own_instances() if paths.is_the_systems else ():
        say(f"running      the instance of {user}, from the same files. Remove it before these files:")
        say(f"             sudo -u {user} docker-proxy-agent uninstall --user")
    return restored


async def make_way(
    paths: Paths, say: Say, restore: Callable[[], Awaitable[Restored]], *, note_end_of_relay: Callable[[], None]
) -> Restored:
    """Before dpkg removes the package's files: stop, restore everything, and only then end the relay.

    Policy, state and audit log stay for `purge`. Whatever could not be restored, the rest goes on, as dpkg does.
    """
    service = Service(paths)
    await service.says("stop", UNIT)
    is_disabled = await service.says("disable", "--quiet", UNIT)  # not one that is masked: postrm removes the links
    say(f"stopped{'      and disabled at boot' if is_disabled else ''}")
    async with held_at_last(paths.lock):
        restored = await restore()
        if await relay.put_away(paths, service, say):
            note_end_of_relay()
        await pac.put_away(service)
        if not restored.is_failed:
            _forget_folders(paths)
        _end_the_log(paths.layout.user)
        shutil.rmtree(paths.runtime, ignore_errors=True)
    for user in await own_instances():
        say(
            f"left         the instance of {user}, and what it wrote. To restore that, install the package again, then:"
        )
        say(f"             sudo -u {user} docker-proxy-agent uninstall --user")
    return restored


def _forget_folders(paths: Paths) -> None:
    """Those that were made for us are removed, if empty. What is there at the next installation is noted anew."""
    known = notes(paths).load()
    for one in map(Path, known.folders if known else ()):
        with contextlib.suppress(OSError):  # somebody else uses it
            one.rmdir()
    notes(paths).path.unlink(missing_ok=True)


def _end_the_log(user: int | None) -> None:
    """Without this, `audit verify` would report the log as missing while the journal has its anchors."""
    fields = system_journal.mark_of_the_end(user)
    if fields is not None:
        with contextlib.suppress(OSError):  # journald does not run
            send_to_journal(fields)


def _forget(paths: Paths, made: Sequence[str], say: Say, *, is_purged: bool) -> None:
    """Remove policy and log if `is_purged`, and the folders made for us, if they are empty."""
    kept = (paths.policy.parent, paths.audit_log.parent)
    for folder in kept:
        if is_purged:
            _remove(folder, say)
    for one in (*map(Path, made), *kept, paths.state):
        with contextlib.suppress(OSError):
            one.rmdir()
    for folder in kept:
        if os.path.lexists(folder):
            say(f"kept         {folder}; to remove it, too: rm -r {folder}")


def _remove(folder: Path, say: Say, *, but: Path | None = None) -> None:
    """`but`: what stays if it lies in there; then the folder stays, too."""
    if not os.path.lexists(folder):
        return
    if but is not None and but.parent == folder and os.path.lexists(but):
        for one in os.scandir(folder):
            if one.name != but.name:
                shutil.rmtree(one) if one.is_dir(follow_symlinks=False) else Path(one).unlink()
        say(f"removed      everything in {folder} except {but.name}")
        return
    shutil.rmtree(folder)
    say(f"removed      {folder}")
