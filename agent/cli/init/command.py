"""`init`: a first policy from what this system has; with --add-network, one more network for where the laptop is now.

The policy goes to stdout, everything else to stderr. It is checked and planned beside config.toml, and takes its place
only after a yes at a terminal, or with --write. A policy that is there is never replaced.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from agent.cli import check, plan
from agent.cli.init.look import look
from agent.cli.options import url_without_password
from agent.cli.policy_of import loaded
from agent.cli.printing import complain, say
from agent.cli.session import quiet
from agent.decide.first_policy import Draft, becomes, first_policy, one_more
from agent.decide.first_policy_text import Nowhere, Written, as_shown, password_file, policy_text, with_network
from agent.probe.pac_fetch import shown
from agent.service.status_file import is_agent_running
from agent.system.disk import PRIVATE
from agent.system.files import is_there, read_file, remove_file
from agent.system.new_file import write_new
from agent.system.policy_file import Loaded, is_there_any
from agent.system.text_files import NEW_FILE, read_text, write_text
from agent.values.errors import AgentError
from agent.values.found import Found
from agent.values.paths import Paths

_YES: Final = frozenset({"y", "yes"})
_NO: Final = frozenset({"", "n", "no"})
_NAMED: Final = "docker-proxy-agent init --proxy http://proxy.example:3128"


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    policy: Path = (args.policy or paths.policy).absolute()
    before = read_text(policy)
    is_policy = before is not None or is_there_any(policy)
    if is_policy and args.add_network is None and args.write:
        raise AgentError(
            str(policy),
            "there is a policy already",
            "Try: docker-proxy-agent init --add-network NAME",
            then="left as it is",
        )
    # Before the look, which takes seconds.
    given = loaded(args, paths, refuses_unsafe=False) if args.add_network is not None else None
    found = asyncio.run(look(paths, args.proxy))
    folder = paths.layout.policy if args.policy is None else str(policy.parent)
    if given is None:
        draft, text = _first(found, paths, folder)
    else:
        draft, text = _with_one_more(given, before, found, paths, folder=folder, name=args.add_network)
    _show(found if given is None else found.by_others, draft, text)
    with _Beside(policy, text, _passwords(paths, draft, folder)) as beside:
        is_good = _tried(args, paths, beside.draft)
        if is_policy and given is None:
            complain(
                f"{policy}: there is a policy already; it is left as it is. "
                "To add this place: docker-proxy-agent init --add-network NAME"
            )
            return 0
        if not is_good:
            complain(f"{policy}: not written")
            return 1
        answer = "yes" if args.write else _asked(policy)
        if answer.lower() in _YES:
            beside.keep(before, _mode(draft))
            complain(f"{policy}: written{_what_now(args, paths)}")
            return 0
    if answer.lower() not in _NO:
        return _with_proxy(args, paths, answer)
    named = "".join(f" --proxy {url}" for url in args.proxy)
    complain(f"{policy}: not written. To write it: docker-proxy-agent init{named} --write")
    return 0


def _first(found: Found, paths: Paths, folder: str) -> tuple[Draft, str]:
    """A policy of what was found. `folder`: where its password files will be."""
    draft = first_policy(found)
    if not draft.upstreams and not draft.pacs:
        complain(f"note: no proxy was found here. If you know of one, name it: {_NAMED}")
    return draft, policy_text(draft, folder, offers_relay=paths.layout.bridge_is_here)


def _with_one_more(  # noqa: PLR0913 - of one caller
    given: Loaded, before: str | None, found: Found, paths: Paths, *, folder: str, name: str
) -> tuple[Draft, str]:
    """What is added, and the policy with it. Raises AgentError."""
    draft = one_more(found, given.policy, name)
    if isinstance(draft, str):
        raise AgentError("--add-network", draft)
    added = with_network(_written(given, before), given.policy, draft, snapshot=found.snapshot, folder=folder)
    if isinstance(added, Nowhere):
        say(policy_text(draft, folder, offers_relay=paths.layout.bridge_is_here))
        raise AgentError(
            added.file or str(Path(given.path).absolute()), added.wrong, "Add by hand what is printed above"
        )
    return draft, added


def _with_proxy(args: argparse.Namespace, paths: Paths, answer: str) -> int:
    """Whoever is asked whether this is right may answer with the proxy that it lacks."""
    try:
        told = url_without_password(answer)
    except argparse.ArgumentTypeError as error:
        raise AgentError("your answer", f"{error} (nor is it yes or no); nothing was written") from error
    return run(argparse.Namespace(**{**vars(args), "proxy": [*args.proxy, told]}), paths)


def _what_now(args: argparse.Namespace, paths: Paths) -> str:
    """What follows, as far as it is known: a service may read another file than this one."""
    if args.policy not in (None, paths.policy):
        return ""
    if is_agent_running(paths.status):
        return ". The service uses it at once"
    start = ". Start the service: systemctl enable --now docker-proxy-agent" if paths.is_real else ""
    return f"{start}. Without a service: docker-proxy-agent apply"


def _written(given: Loaded, text: str | None) -> Written:
    """The policy's own text, and what stands in config.d."""
    parts = given.file.parts if given.file is not None else ()
    return Written(text or "", tuple(part for part in parts if part.file != given.path), given.origins)


def _show(found: Found, draft: Draft, text: str) -> None:
    for said in found.said:
        complain(f"found {said.where}: {_values(found, said.where)}; {becomes(said)}")
    for pac in draft.pacs:
        complain(f"found {', '.join(pac.wheres)}: PAC file {shown(pac.pac) if '://' in pac.pac else pac.pac}; it stays")
    for remark in dict.fromkeys(draft.remarks):
        complain(f"note: {remark}")
    text = as_shown(text, draft)
    say(*text.rstrip("\n").split("\n"))
    sys.stdout.flush()


def _values(found: Found, where: str) -> str:
    lines = (line for said in found.said if said.where == where for line in said.means.lines())
    return " ".join(dict.fromkeys(f"{name} {value}" for name, value in lines))


def _passwords(paths: Paths, draft: Draft, folder: str) -> Mapping[Path, bytes]:
    return {
        paths.below(password_file(folder, one)): one.credentials.password.reveal().encode()
        for one in draft.upstreams
        if one.credentials is not None and one.credentials.password is not None
    }


def _mode(draft: Draft) -> int:
    """A user without a password may be a token: then the policy itself is for root alone."""
    is_secret = any(one.credentials is not None and not one.has_password for one in draft.upstreams)
    return PRIVATE if is_secret else NEW_FILE


def _tried(args: argparse.Namespace, paths: Paths, draft: Path) -> bool:
    """`check` and `plan` with it; what stands in the way of the plan now is told, and is no reason against it."""
    beside = argparse.Namespace(**{**vars(args), "policy": draft, "json": False, "offline": False})
    with contextlib.redirect_stdout(sys.stderr):
        if check.run(beside, paths, "the policy above") != 0:
            return False
        try:
            plan.run(beside, paths)
        except AgentError as error:
            complain(str(error))
    return True


def _asked(policy: Path) -> str:
    """What a person answers; '' where nobody can be asked."""
    if not sys.stdin.isatty():
        return ""
    complain(f"Write it to {policy}? [y/N], or type the URL of a proxy that is missing:")
    return sys.stdin.readline().strip()


class _Beside:
    """The draft beside the policy, and its passwords: gone at the end unless they are kept."""

    def __init__(self, policy: Path, text: str, passwords: Mapping[Path, bytes]) -> None:
        self._policy, self._text, self._passwords = policy, text, passwords
        self.draft = policy.with_name(f"{policy.name}.draft")
        self._made: list[Path] = []
        self._folder = None if is_there(policy.parent) else policy.parent

    def __enter__(self) -> _Beside:
        with _undone(self):
            for path, password in self._passwords.items():
                there = read_file(path)
                if there is None:
                    _write_new(path, password)
                    self._made.append(path)
                elif there.data.removesuffix(b"\n") != password:
                    raise AgentError(
                        str(path), "holds another password than the one found here", "Move it away, then run init again"
                    )
            if (state := read_file(self.draft)) is not None:
                remove_file(self.draft, expected=state)
            _write_new(self.draft, self._text.encode())
        return self

    def keep(self, before: str | None, mode: int) -> None:
        """The draft becomes the policy; Changed if somebody else wrote one meanwhile."""
        write_text(self._policy, before, self._text, mode if before is None else None)
        self._made.clear()
        self._folder = None

    def __exit__(self, *_: object) -> None:
        self.undo()

    def undo(self) -> None:
        for path in (self.draft, *self._made):
            if (state := read_file(path)) is not None:
                remove_file(path, expected=state)
        if self._folder is not None:
            with contextlib.suppress(OSError):  # somebody put something there
                self._folder.rmdir()


def _write_new(path: Path, data: bytes) -> None:
    """Under its own name at once: a running agent may sweep what lies beside a name."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_new(path, data)


@contextlib.contextmanager
def _undone(beside: _Beside) -> Iterator[None]:
    """What was begun does not stay if it cannot be finished."""
    try:
        yield
    except BaseException:
        beside.undo()
        raise
