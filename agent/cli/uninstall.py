"""`uninstall`: remove the service and restore every file.

Policy and audit log stay unless `--purge`, as apt keeps configuration. Exits 0 if it is gone, 1 if something could
not be restored: then what a second try needs is kept.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Final

import msgspec

from agent.cli.end_of_relay import Needed, by_whom_it_is_needed, relay_ports, say_what_was_made_with_the_relay
from agent.cli.install import package, product
from agent.cli.install.install import check_can
from agent.cli.install.uninstall import make_way, uninstall
from agent.cli.policy_of import loaded_or_default
from agent.cli.printing import complain, say
from agent.cli.restore import lines, restore
from agent.cli.session import quiet, record_for
from agent.one_pass.restore import Restored
from agent.service.requests import requested
from agent.values.errors import AgentError
from agent.values.events import RelayDisabled
from agent.values.paths import Paths
from agent.values.policy import Policy

_FAILED: Final = (
    "the service is stopped, but not everything is restored. Fix this, then run: docker-proxy-agent uninstall"
)
_UNFINISHED: Final = (
    "nothing is lost. Run uninstall again when nothing holds back Docker's restart any more; or at once, whatever that "
    "stops: sudo docker-proxy-agent uninstall --now (after make install: sudo make uninstall NOW=1)"
)
_UNHEARD: Final = (
    "nothing is lost. Run uninstall again when Docker answers. If it does not, restart it before: sudo {restart}"
)
_FAILED_FOR_DPKG: Final = (
    "not everything is restored, but the package is removed anyway. What another try needs is kept until "
    "`apt purge`: install the package again, then run: docker-proxy-agent restore"
)


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    check_can("uninstall", paths)
    is_dpkgs = product.is_packaged() and paths.is_the_systems
    if is_dpkgs and not package.is_asked_by("prerm"):
        how = f"Run: sudo apt {'purge' if args.purge else 'remove'} docker-proxy-agent"
        raise AgentError("uninstall", "a package has installed it", how)
    policy = loaded_or_default(args, paths)
    record = record_for("uninstall", paths, policy)

    async def put_back() -> Restored:
        record(requested("uninstall", is_now=args.now))
        done = await restore(paths, policy, record, is_asked_now=args.now, relay_ports=relay_ports(paths))
        say(*lines(done))
        return done

    needed: Needed | None = None

    async def unless_relayed() -> Restored:
        nonlocal needed
        done, needed = await _unless_docker_needs_the_relay(await put_back(), paths, policy)
        return done

    async def whatever_is_left() -> Restored:
        try:
            done = await put_back()
        except AgentError as error:  # as where its own state cannot be read: the package goes all the same
            done = Restored(left=(str(error),))
        await _say_what_needs_the_relay(paths, policy, is_put_back=not done.is_failed)
        return done

    def note_end_of_relay() -> None:
        record(RelayDisabled(because="the agent was uninstalled"))

    if is_dpkgs:
        going = make_way(paths, say, whatever_is_left, note_end_of_relay=note_end_of_relay)
    else:
        going = uninstall(paths, say, unless_relayed, is_purged=args.purge, note_end_of_relay=note_end_of_relay)
    done = asyncio.run(going)
    if not done.is_failed:
        return 0
    for left in done.left:
        complain(left)
    complain(_FAILED_FOR_DPKG if is_dpkgs else _how_to_finish(done, needed))
    return 1


async def _unless_docker_needs_the_relay(
    done: Restored, paths: Paths, policy: Policy
) -> tuple[Restored, Needed | None]:
    needed = await by_whom_it_is_needed(paths, policy)
    if needed is not None:
        return msgspec.structs.replace(done, left=(*done.left, _stays(needed))), needed
    if not done.is_failed:  # else it goes on, and so do they
        await say_what_was_made_with_the_relay(paths, policy)
    return done, None


def _stays(needed: Needed) -> str:
    return f"the relay: {needed.because}, so it stays, and pulls keep working"


def _how_to_finish(done: Restored, needed: Needed | None) -> str:
    if needed is None or done.left != (_stays(needed),) or done.outcome.is_failed:
        return _FAILED
    # One that does not answer is not restarted by `--now`, either: what that would stop is not known.
    return _UNHEARD.format(restart=needed.restart) if needed.is_silent else _UNFINISHED


async def _say_what_needs_the_relay(paths: Paths, policy: Policy, *, is_put_back: bool) -> None:
    """It goes with its package: Docker until it is restarted, and containers that were made with its address."""
    first = "" if is_put_back else "sudo apt purge docker-proxy-agent; "  # or it would be given the address again
    try:
        needed = await by_whom_it_is_needed(paths, policy)
        if needed is not None:
            way = f"{first}sudo {needed.restart}"
            say(f"note         {needed.because}, where nothing listens any more. Run: {way}")
    except AgentError as error:
        complain(str(error))
        return
    await say_what_was_made_with_the_relay(paths, policy)
