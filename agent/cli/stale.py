"""`stale`: what was made with other settings, and the command that makes it again. Changes nothing.

Containers keep the environment that they were made with (FACTS 18), and so do builders and images. It asks Docker, and
never starts one that is stopped. Exits 0 if nothing is stale, 2 if something is, 1 if that cannot be told.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from agent.cli.known_relay import with_known_relay
from agent.cli.policy_of import loaded
from agent.cli.printing import LONGEST, page, print_json, say
from agent.cli.session import quiet
from agent.decide.clients import DEFAULT_SOCKET
from agent.decide.stale import Expected, expected, leads_to
from agent.decide.stale_things import Kind, Stale, stale_things
from agent.one_pass.drawing import MOST, shown_settings
from agent.one_pass.look import look
from agent.one_pass.page import in_words
from agent.one_pass.patiently import only_looking
from agent.one_pass.picture import StaleListShown, StaleShown
from agent.one_pass.screen import line
from agent.one_pass.seen import Offline, Planned, Seen
from agent.one_pass.world import TheWorld
from agent.values.errors import AgentError
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.secret import HIDDEN, escaped
from agent.values.settings import Settings
from agent.values.shown import BOUNDS

SOME = 2
_SEE_PLAN = "See: docker-proxy-agent plan"
_HEADINGS = {
    Kind.IMAGE: "images whose ENV holds a proxy",
    Kind.NAME_SERVERS: "DNS of another network",
}
_CONTAINERS = "containers and builders"


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    policy = loaded(args, paths, refuses_unsafe=False).policy
    shown = asyncio.run(_found(policy, with_known_relay(TheWorld(paths, policy), policy, paths), paths))
    if args.json:
        print_json(msgspec.to_builtins(shown))
    else:
        _print(shown)
    return SOME if shown.stale else 0


async def _found(policy: Policy, this: TheWorld, paths: Paths) -> StaleListShown:
    seen = await look(policy, this, only_looking(policy, this.prober, paths.state))
    upstream, expects = _expected(seen)
    found = await this.daemon.inventory()
    if found is None:
        start = f"{seen.reality.systemctl} start {seen.reality.unit_name}"
        raise AgentError(seen.reality.unit_name, "is not running, so it cannot be asked", f"Start it first: {start}")
    dns, docker = this.container_dns(), _client(paths, policy)
    things = list(stale_things(found, expects, dns, docker))
    alone = frozenset(name for one in things if one.kind is not Kind.BUILDER for name in one.containers)
    found = await this.daemon.with_sizes(found, alone)
    things = list(stale_things(found, expects, dns, docker))
    return StaleListShown(
        upstream=upstream,
        expected=shown_settings(expects.settings),
        asks=dns,
        stale=tuple(map(_shown, things[:MOST])),
        left_out=found.left_out + max(0, len(things) - MOST),
    )


async def made_with(ends: Sequence[str], paths: Paths, policy: Policy) -> tuple[StaleShown, ...] | None:
    """Everything that has one of these addresses (`host:port`) for a proxy, where new things get none of them.

    None: Docker does not run, and cannot be asked.
    """
    if not ends:
        return ()
    found = await TheWorld(paths, policy).daemon.inventory()
    if found is None:
        return None
    things = stale_things(found, Expected(Settings(), is_given=False), (), _client(paths, policy))
    return tuple(_shown(one) for one in things if leads_to(one.carries, ends))[:MOST]


def _expected(seen: Seen) -> tuple[str, Expected]:
    if not isinstance(seen, Planned):
        why = "offline" if isinstance(seen, Offline) else seen.choice.because
        raise AgentError("stale", f"nothing is chosen here, so there is nothing to compare with: {why}", _SEE_PLAN)
    clients = seen.clients
    expects = expected(clients.wanted, has_files=bool(clients.files)) if clients is not None else None
    if clients is None or expects is None:
        why = clients.wanted.because if clients is not None else seen.upstream.name
        raise AgentError("stale", f"it is not known what a new container gets: {why}", _SEE_PLAN)
    return seen.upstream.name, expects


def _client(paths: Paths, policy: Policy) -> str:
    """How the client is called so that it speaks to this Docker."""
    socket = str(paths.below(paths.socket(policy.docker.socket)))
    if socket in (DEFAULT_SOCKET, f"/var{DEFAULT_SOCKET}"):
        return "docker"
    return f"docker --host {shlex.quote(f'unix://{socket}')}"


def _shown(one: Stale) -> StaleShown:
    return StaleShown(
        kind=one.kind.value,
        name=one.name,
        containers=one.containers[:MOST],
        image=one.image,
        is_running=one.is_running,
        carries=shown_settings(one.carries),
        asks=one.name_servers,
        differs=one.differs,
        by_hand=one.by_hand,
        lost=one.lost,
        first=one.first,
        command=one.command,
        is_whole=HIDDEN not in one.command and escaped(one.command, BOUNDS.text) == one.command,
    )


def _print(shown: StaleListShown) -> None:
    page(f"a new container gets {in_words(shown.expected)}")
    if not shown.stale:
        page("nothing was created with other settings")
    print_things(shown.stale)
    if shown.left_out:
        page("", f"{shown.left_out} more were not checked")


def print_things(things: Iterable[StaleShown]) -> None:
    """Each with its command, in a line of its own."""
    heading = ""
    for one in things:
        if (under := _HEADINGS.get(Kind(one.kind), _CONTAINERS)) != heading:
            heading = under
            page("", f"{heading}:")
        page(*_lines(one))
        # Never folded: it is to be pasted. What is not whole would remove the one and make another.
        say(f"    {one.command}" if one.is_whole else f"    # {one.command}")


def _lines(one: StaleShown) -> Iterator[str]:
    what = {Kind.SERVICE.value: "service ", Kind.BUILDER.value: "builder ", Kind.DEV_CONTAINER.value: "dev container "}
    about = f"{what.get(one.kind, '')}{one.name}"
    if one.kind == Kind.IMAGE.value:
        yield f"  {about}: {in_words(one.carries)}"
    elif one.kind == Kind.NAME_SERVERS.value:
        yield f"  {about} asks {', '.join(one.asks)}"
    else:
        state = "" if one.is_running else ", which does not run,"
        yield f"  {about} ({one.image}){state} has {_difference(one)}"
    if one.first:
        yield line("first", one.first)
    if one.by_hand:
        yield line("by hand", f"{', '.join(one.by_hand)}: set by a person, not by the docker client")
    if one.lost:
        yield line("lost", " · ".join(one.lost))
    if not one.is_whole:
        yield line("not whole", f"{_why_not_whole(one.command)}: docker inspect shows it. Recreate it by hand")


def _why_not_whole(command: str) -> str:
    if HIDDEN in escaped(command, LONGEST):
        return "what may be a password is left out"
    return "it is too long" if len(command) > BOUNDS.text else "something in it is not one line of text"


def _difference(one: StaleShown) -> str:
    if one.differs == ("no_proxy",):
        return f"no_proxy {one.carries.get('no_proxy', '')}"
    return in_words(one.carries)
