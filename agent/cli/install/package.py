"""Where Debian's package has installed this: it brings code and units, and a person starts them by systemctl.

Its maintainer scripts (`debian/`) run the same commands as a person: postinst `install`, prerm `uninstall`. Not done
here: what dpkg does with the package's files, and what `purge` deletes, which needs none of this code.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.cli.install import product
from agent.cli.install.own_instances import own_instances
from agent.cli.install.systemd import UNIT, Service
from agent.system.files import is_there
from agent.system.text_files import read_text, write_text
from agent.values.errors import AgentError
from agent.values.paths import Paths

Say = Callable[[str], None]
_NAME: Final = "docker-proxy-agent"
# Where `make install` puts it.
_OPT: Final = Path("/opt/docker-proxy-agent")
_LINK: Final = Path("/usr/local/bin/docker-proxy-agent")
_PAGES: Final = tuple(
    Path("/usr/local/share", name)
    for name in (
        "man/man1/docker-proxy-agent.1",
        "man/man5/docker-proxy-agent.5",
        "bash-completion/completions/docker-proxy-agent",
        "zsh/site-functions/_docker-proxy-agent",
        "fish/vendor_completions.d/docker-proxy-agent.fish",
    )
)


def check_not_packaged(what: str) -> None:
    """Raises AgentError for a second `install`, beside the package's: its units would hide the package's."""
    if not product.is_packaged() and is_there(product.PACKAGES_UNITS / "system" / UNIT):
        why = "the package docker-proxy-agent is installed, and its units would be overridden"
        raise AgentError(what, why, "Remove it first: sudo apt remove docker-proxy-agent")


def is_asked_by(script: str) -> bool:
    """Whether this was started by that maintainer script of the package."""
    return (os.environ.get("DPKG_MAINTSCRIPT_PACKAGE"), os.environ.get("DPKG_MAINTSCRIPT_NAME")) == (_NAME, script)


async def clear_the_way(paths: Paths, service: Service, say: Say) -> bool:
    """Remove the units of an `install` before the package, which would hide the package's. Whether there were any.

    What is enabled stays enabled, and what runs runs on until it is restarted.
    """
    names = product.packages_units() if paths.is_the_systems else (UNIT,)
    hiding = {}
    for name in names:
        file = paths.unit_file(name)
        text = None if _link_of(file) else read_text(file)  # one that leads to /dev/null is a mask
        if text is not None and (product.starts_another(text) or _has_no_command(name)):
            hiding[name] = text
    if UNIT not in hiding:  # a relay's socket names no command: without the agent's unit beside it, it is a person's
        hiding = {name: text for name, text in hiding.items() if not _has_no_command(name)}
    enabled = [name for name in hiding if await service.says("is-enabled", "--quiet", name)]
    for name, text in hiding.items():
        write_text(paths.unit_file(name), text, None, None)
        say(f"removed      {paths.unit_file(name)}, which would hide the package's")
    await service.systemctl("daemon-reload")  # the package's are new as well; dpkg's own trigger comes later
    for name in enabled:
        await service.systemctl("reenable", "--quiet", name)
    return bool(hiding)


def is_masked(paths: Paths) -> bool:
    """Whether a person has masked the service for good."""
    return _link_of(paths.unit_file(UNIT)) == Path(os.devnull)


def _link_of(path: Path) -> Path | None:
    """Where a link leads to; None: it is none."""
    try:
        return path.readlink()
    except OSError:
        return None


def _has_no_command(name: str) -> bool:
    return name.endswith(".socket")


async def remove_the_other(say: Say) -> None:
    """What `make install` left beside the units, once nothing of the system's runs from it any more.

    Its code stays while users have instances, which may run from it, and so does the link, which then leads here.
    """
    if not is_there(_OPT / "bin" / _NAME):
        return
    users = await own_instances()
    target = _link_of(_LINK)
    if target is not None and (target.is_relative_to(_OPT) or target == Path(product.PACKAGES_COMMAND)):
        _LINK.unlink()  # it comes first in root's PATH
        if users:  # whose units name it
            _LINK.symlink_to(product.PACKAGES_COMMAND)
    for page in _PAGES:
        with contextlib.suppress(OSError):  # not there; a folder may have files of others
            page.unlink()
            page.parent.rmdir()
            page.parent.parent.rmdir()
    if users:
        say(f"kept         {_OPT}: users' instances run from it. Run this for each, then sudo rm -r {_OPT} {_LINK}:")
        for user in users:
            say(f"             sudo -u {user} {product.PACKAGES_COMMAND} install --user")
        return
    shutil.rmtree(_OPT)
    say(f"removed      {_OPT}, of an earlier make install")
