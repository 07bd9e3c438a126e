"""The relay at the end of the agent: it is ended once Docker is known to run without its address, whatever the policy
says.

For `restore` and `uninstall`, which put Docker's files back before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec

from agent.audit.record import Record
from agent.cli.printing import complain, say
from agent.cli.stale import made_with, print_things
from agent.decide.effective import is_unheard, runs_with
from agent.decide.relay import for_docker, port_had, ports_of
from agent.docker.which import serving_by
from agent.one_pass.local_daemon import LocalDaemon
from agent.one_pass.picture import StaleShown
from agent.one_pass.relay_units import RelayUnits
from agent.system.files import read_file, remove_file
from agent.system.systemd import OF_THE_SYSTEM
from agent.values.errors import AgentError
from agent.values.events import RelayDisabled
from agent.values.paths import Paths
from agent.values.policy import Policy, Relay

_NOT_ASKED: Final = (
    "note         Docker does not run, so it cannot be asked which containers were created with the relay's address."
    " Until they are recreated they reach nothing, or whoever listens there next, which any user of this host may"
)
_REACH: Final = "They reach nothing, or whichever user listens there next, until they are recreated"


async def end_relay(paths: Paths, policy: Policy, record: Record) -> tuple[str, ...]:
    """After everything was put back. What there is to say of it; the units stay, as the service does."""
    units = RelayUnits(paths, OF_THE_SYSTEM)
    if (where := units.where()) is None:
        return ()
    if (needed := await by_whom_it_is_needed(paths, policy)) is not None:
        way = f"After restarting Docker ({needed.restart}), run: docker-proxy-agent restore"
        return (f"relay        stays, since {needed.because}. {way}",)
    things: Sequence[StaleShown] | None = ()
    with contextlib.suppress(AgentError):  # `stale` says so
        things = await made_with(where, paths, policy)
    await units.bring_down()
    if (orders := read_file(paths.relay_orders)) is not None:  # it holds passwords
        remove_file(paths.relay_orders, expected=orders)
    record(RelayDisabled(because="files were restored"))
    stopped = "relay        stopped, and disabled at boot"
    if things is None:
        return (stopped, _NOT_ASKED)
    if not things:
        return (stopped,)
    note = f"note         there are containers and builders with its address. {_REACH}"
    return (stopped, f"{note}. See: docker-proxy-agent stale")


def relay_ports(paths: Paths) -> tuple[int, ...]:
    """Whatever the policy says by now; (): it is not in use."""
    listens = RelayUnits(paths, OF_THE_SYSTEM).where()
    return () if listens is None else ports_of(listens) or (Relay().port,)


class Needed(msgspec.Struct, frozen=True):
    """A Docker that would pull nothing any more without the relay."""

    restart: str  # the command after which it would
    is_silent: bool = False  # it does not answer, and no restart by the agent is to be expected

    @property
    def because(self) -> str:
        if self.is_silent:
            return "Docker does not answer, and may still run with its address"
        return "Docker still runs with its address"


async def by_whom_it_is_needed(paths: Paths, policy: Policy) -> Needed | None:
    """None: it is known that Docker does not run with its address. One that says nothing may."""
    ports = relay_ports(paths)
    if not ports:
        return None
    here = serving_by(paths, policy.docker)
    reality = await LocalDaemon(here, policy).reality(*(for_docker(Relay(port=port)) for port in ports))
    running = runs_with(reality)
    if not is_unheard(reality) and (running is None or port_had([running], ports) is None):
        return None
    restart = f"{reality.systemctl} restart {reality.unit_name}" if reality.is_systemd else "restart dockerd"
    return Needed(restart, is_silent=running is None or reality.engine is None)


async def say_what_was_made_with_the_relay(paths: Paths, policy: Policy) -> None:
    """`stale` is gone once it is asked for."""
    try:
        things = await made_with(RelayUnits(paths, OF_THE_SYSTEM).where() or (), paths, policy)
    except AgentError as error:
        complain(str(error))
        return
    if things is None:
        say(_NOT_ASKED)
    elif things:
        say(f"note         these were created with the relay's address. {_REACH}:")
        print_things(things)
