"""`env`: the lines for one container, one build or one shell, or what the Docker of another system wants.

Prints text to be pasted or evaluated, so not a character of it is changed on its way to stdout. It holds no user and no
password unless `--show-secrets` asks for them. Exits 1 if there is no upstream, or containers cannot reach it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final

import msgspec

from agent.cli.env.chosen import Chosen, chosen
from agent.cli.env.shown import EnvShown, LinesShown
from agent.cli.misused import Misused
from agent.cli.printing import complain, exact, exact_bytes, exact_json
from agent.cli.session import quiet
from agent.decide.bridge import other_way
from agent.decide.clients import Intent, Wanted, for_programs
from agent.decide.elsewhere import Sheet, lines, merged, needs_password, sheet
from agent.one_pass.picture import UpstreamShown
from agent.system.files import read_file
from agent.targets import one_off
from agent.targets.refused import TextRefused
from agent.targets.shells import Shell, Variable, exported
from agent.values.condition import Code, Condition
from agent.values.errors import AgentError, TargetFailed
from agent.values.paths import Paths
from agent.values.places import PLACES
from agent.values.policy import Upstream
from agent.values.secret import escaped
from agent.values.settings import Settings

_HERE: Final = "env"


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    _check_options(args)
    found = chosen(args, paths)
    _check_password(found.upstream, args)
    if args.merge is not None:
        exact_bytes(_merged(args, found))
        return 0
    if args.system is not None:
        _print_sheet(_sheet(args, found), args)
        return 0
    is_hidden = found.upstream.credentials is not None and not args.show_secrets
    if is_hidden and not (found.is_by_relay and args.shell is not None):
        remedy = "They are left out; to print them, add: --show-secrets"
        complain(f"{found.upstream.name} asks for a user and password. {remedy}")
    return _one_off(args, paths, _shown_to(found, args), hides_password=is_hidden)


def _check_options(args: argparse.Namespace) -> None:
    if args.merge is not None and args.system is None:
        raise Misused("docker-proxy-agent env: --merge needs --system. See: docker-proxy-agent env --help")
    if args.json and (args.shell is not None or args.merge is not None):
        what = "--shell" if args.shell is not None else "--merge"
        raise Misused(
            f"docker-proxy-agent env: {what} has no JSON output: leave --json out. See: docker-proxy-agent env --help"
        )


def _check_password(upstream: Upstream, args: argparse.Namespace) -> None:
    if args.show_secrets and upstream.sends_password and upstream.password is None:
        if upstream.password_file:
            why, remedy = "cannot be read by you", "Try: sudo docker-proxy-agent env"
        else:
            why, remedy = "is known only to the service (password_credential)", "Leave --show-secrets out"
        raise AgentError(_HERE, f"the password of {upstream.name} {why}", remedy)


def _shown_to(found: Chosen, args: argparse.Namespace) -> Chosen:
    """With user and password, or without them: they are asked for here, whatever `clients.credentials` says. But a
    proxy that the policy names for containers alone gets them only if it says so."""
    upstream, policy = found.upstream, found.policy
    if not args.show_secrets:
        upstream = upstream.without_credentials()
    is_theirs = upstream.container_url is None or policy.clients.credentials
    clients = msgspec.structs.replace(policy.clients, credentials=args.show_secrets and is_theirs)
    return msgspec.structs.replace(found, upstream=upstream, policy=msgspec.structs.replace(policy, clients=clients))


# For this host and its containers.


def _one_off(args: argparse.Namespace, paths: Paths, found: Chosen, *, hides_password: bool) -> int:
    programs = one_off.variables(_of_programs(found))
    if args.shell is not None:
        exact("".join(f"{line}\n" for line in exported(programs, Shell(args.shell))))
        return 0
    from agent.cli.env.look import needed_by_containers  # noqa: PLC0415 - not for the programs of a shell

    wanted = needed_by_containers(found.upstream, found.policy, paths)
    containers = _of_containers(wanted)
    shown = _drawn(found, wanted, programs, containers, hides_password=hides_password)
    if args.json:
        exact_json(msgspec.to_builtins(shown))
    elif shown.lines is not None:
        exact(_page(shown, shown.lines))
    for condition in shown.conditions:
        complain(f"{condition.text}. {condition.remedy}")
    is_reached = all(condition.code is not Code.CLIENT_UNREACHABLE for condition in shown.conditions)
    return 0 if containers is not None and is_reached else 1


def _of_programs(found: Chosen) -> Settings:
    """By the relay, where Docker runs with it, as choice.env says: it adds the password, and follows each move."""
    upstream, exclusions = found.upstream, found.policy.no_proxy
    if found.is_by_relay:
        from agent.decide.relay import as_upstream, exclusions_of_clients  # noqa: PLC0415 - few have it, and a shell waits

        upstream, exclusions = as_upstream(found.policy.relay.port), exclusions_of_clients(exclusions)
    return for_programs(
        upstream, exclusions, http=upstream.http_with_credentials, https=upstream.https_with_credentials
    )


def _of_containers(wanted: Wanted) -> tuple[Variable, ...] | None:
    return one_off.variables(wanted.settings) if wanted.intent is Intent.SET else None


def _drawn(
    found: Chosen,
    wanted: Wanted,
    programs: tuple[Variable, ...],
    containers: tuple[Variable, ...] | None,
    *,
    hides_password: bool,
) -> EnvShown:
    return EnvShown(
        upstream=UpstreamShown(name=found.upstream.name, why=found.because),
        hides_password=hides_password,
        programs=dict(programs),
        containers=None if containers is None else dict(containers),
        lines=None
        if containers is None
        else LinesShown(
            run=one_off.run(containers), build=one_off.build(containers), compose=one_off.compose(containers)
        ),
        conditions=tuple(_conditions(found, wanted)),
    )


def _conditions(found: Chosen, wanted: Wanted) -> Iterator[Condition]:
    if wanted.condition is not None and wanted.condition.code is not Code.CLIENT_NO_CREDENTIALS:  # said already
        yield wanted.condition
    elif wanted.intent is not Intent.SET:
        yield Condition(Code.CLIENT_UNREACHABLE, wanted.because, f"Set {other_way(found.upstream)}")


def _page(shown: EnvShown, made: LinesShown) -> str:
    """What begins with `#` is for a person; all else is to be copied."""
    name = escaped(shown.upstream.name or "")
    parts = (
        f"# {name}, {escaped(shown.upstream.why)}",
        f"# For one container:\n{made.run}",
        f"# For one build:\n{made.build}",
        f"# In a Compose file, for a service and its build:\n{made.compose}",
    )
    return "\n\n".join(parts)


# For the Docker of another system.


def _sheet(args: argparse.Namespace, found: Chosen) -> Sheet:
    upstream = msgspec.structs.replace(found.upstream, name=escaped(found.upstream.name))
    return sheet(
        PLACES[args.system],
        upstream,
        found.policy.no_proxy,
        found.policy.clients,
        shows_password=args.show_secrets,
    )


def _print_sheet(made: Sheet, args: argparse.Namespace) -> None:
    if args.json:
        exact_json(msgspec.to_builtins(made))
    else:
        exact("".join(f"{line}\n" for line in lines(made)))


def _merged(args: argparse.Namespace, found: Chosen) -> bytes:
    place = PLACES[args.system]
    if needs_password(place, found.upstream) and not args.show_secrets:
        what = f"the file would contain the user and password of {found.upstream.name}"
        raise AgentError(str(args.merge), what, "To print them, add: --show-secrets")
    whole = f"docker-proxy-agent env --system {place.name}"
    try:
        there = read_file(args.merge)
    except TargetFailed as failed:  # its remedy is for who writes there
        raise AgentError(str(args.merge), failed.wrong, f"For a complete file: {whole}") from failed
    if there is None:
        raise AgentError(str(args.merge), "there is no such file", f"For a complete file: {whole}")
    try:
        made = merged(place, there.data, found.upstream, found.policy.no_proxy)
    except TextRefused as refused:
        raise AgentError(str(args.merge), str(refused), "Fix it first") from refused
    if made is None:
        raise AgentError(_HERE, f"{place.title} has no file that keys can be set in", f"See: {whole}")
    return made
