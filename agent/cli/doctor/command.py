"""`doctor`: what stands in the way of a pull, and the command that helps. Changes nothing, and wakes no stopped Docker.

Exits 1 if something is broken now, else 0. `--bundle FILE` also writes a file for the helpdesk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator

import msgspec

from agent.cli.doctor.bundle import made
from agent.cli.doctor.facts import judged
from agent.cli.doctor.finding import finding_lines, shown
from agent.cli.doctor.gather import gathered
from agent.cli.doctor.look import looked
from agent.cli.misused import Misused
from agent.cli.policy_of import loaded
from agent.cli.printing import complain, page, print_json
from agent.cli.session import private_file, quiet
from agent.system.new_file import check_new, write_new
from agent.values.condition import Code, Condition
from agent.values.errors import NoPolicy, PolicyRefused
from agent.values.paths import Paths
from agent.values.policy import Policy


def run(args: argparse.Namespace, paths: Paths) -> int:
    if args.full and args.bundle is None:
        raise Misused("docker-proxy-agent doctor: --full needs --bundle. See: docker-proxy-agent doctor --help")
    quiet(args.verbose)
    if args.bundle is not None:
        check_new(args.bundle)  # now, for the look takes its time
    policy, refused = _policy(args, paths)
    facts = asyncio.run(looked(paths, policy, refused))
    found = shown(judged(facts), facts.unseen)
    if args.bundle is not None:
        bundle = asyncio.run(gathered(paths, policy=policy, facts=facts, found=found, is_full=args.full))
        text = json.dumps(made(bundle, is_full=args.full), indent=2, ensure_ascii=False) + "\n"
        write_new(args.bundle, text.encode())
        complain(private_file(args.bundle, "read it before you send it"))
    if args.json:
        print_json(msgspec.to_builtins(found))
    else:
        page(*finding_lines(found))
    return 1 if found.broken else 0


def _policy(args: argparse.Namespace, paths: Paths) -> tuple[Policy | None, tuple[Condition, ...]]:
    """Without a valid policy all else is looked at nevertheless."""
    try:
        return loaded(args, paths, refuses_unsafe=False).policy, ()
    except NoPolicy as error:
        return None, (Condition(Code.NO_POLICY, error.what, error.remedy, error.where),)
    except PolicyRefused as error:
        return None, tuple(_mistakes(error))


def _mistakes(error: PolicyRefused) -> Iterator[Condition]:
    """The same one at several keys is one."""
    keys: dict[tuple[str, str], list[str]] = {}
    for wrong in error.found:
        key, _, what = wrong.text.partition(": ")
        keys.setdefault((wrong.at(error.path), what), []).append(key)
    for (file, what), where in keys.items():
        text = ", ".join(where) + (f": {what}" if what else "")
        yield Condition(Code.POLICY_ERROR, text, "To see whether it is right: docker-proxy-agent check", file)
