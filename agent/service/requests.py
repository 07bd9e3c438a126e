"""What a person can ask of the agent, and how it is done: the same for a running agent and for a command without one.

Not known here: how a request reaches the agent (`control.py`), and the pass that follows.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from agent.audit.record import Record
from agent.decide.pac import name_in_policy
from agent.decide.rate import Asked
from agent.one_pass.overrides import Overrides, clock, in_words
from agent.one_pass.page import pass_lines
from agent.one_pass.picture import Picture
from agent.one_pass.screen import line
from agent.one_pass.seen import Pass
from agent.values.asker import Asker
from agent.values.close import did_you_mean
from agent.values.errors import NoPolicy, PolicyRefused
from agent.values.events import REQUESTED, Paused, Pinned, Requested, Resumed, Unpinned
from agent.values.policy import Duration, Policy


class Command(enum.Enum):
    """The commands that need a pass."""

    APPLY = "apply"
    RELOAD = "reload"
    PIN = "pin"
    UNPIN = "unpin"
    PAUSE = "pause"
    RESUME = "resume"


_Lasting = Annotated[float, msgspec.Meta(gt=0, le=Duration.LONGEST)]  # seconds


class Wish(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request as it is sent: one line of JSON."""

    command: Command
    upstream: str = ""  # of pin
    for_s: _Lasting | None = None  # of pin and pause; None: without an end
    is_now: bool = False  # of apply: do not wait for containers or `min_interval`
    claimed: str = ""  # who asks, says sudo
    policy: str = ""  # the policy file that the command names

    @property
    def forgives(self) -> bool:
        """Whether everything that was given up is tried again."""
        return self.is_now or self.command is Command.RELOAD

    @property
    def asks_what_is_so(self) -> bool:
        """Whether it is for looking at everything again, and for being told what came of it."""
        return self.command in (Command.APPLY, Command.RELOAD)

    @property
    def needs_no_policy(self) -> bool:
        """Whether it works without a policy: a wrong policy is when a person needs these most."""
        return self.command in (Command.PAUSE, Command.RESUME, Command.UNPIN)


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer as it is sent, redacted."""

    exit: int = 0
    lines: tuple[str, ...] = ()
    facts: Any = None  # of the pass
    obeyed: int = 0  # how many of the lines, the first, say what was obeyed, where the others say what is wrong


class Request:
    """A wish under way: whose it is, what is reported meanwhile, and the answer."""

    def __init__(self, wish: Wish, say: Callable[[str], None], asker: Asker) -> None:
        self.wish = wish
        self.asker = asker
        self.pass_id = ""  # of the pass in which it was obeyed; '' before
        self.say = say
        self.said: list[str] = []  # the first lines of the answer
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()


def asked_by(wishes: Sequence[Wish]) -> Asked:
    if any(wish.is_now for wish in wishes):
        return Asked.NOW
    return Asked.PERSON if wishes else Asked.AGENT


def obey(wish: Wish, overrides: Overrides, policy: Policy | None, record: Record) -> Answer | list[str]:
    """Do what is asked, except for the pass that follows; what to report. An `Answer` if it cannot be done."""
    match wish.command:
        case Command.PIN:
            if policy is None or wish.upstream not in policy.upstreams:
                return Answer(1, (_cannot_pin(wish.upstream, policy),))
            until = overrides.pin(wish.upstream, wish.for_s)
            record(Pinned(upstream=wish.upstream, until=clock(until)))
            return [f"pinned to {wish.upstream}{in_words(until)}"]
        case Command.UNPIN:
            was = overrides.unpin()
            if was is None:
                return ["nothing was pinned"]
            record(Unpinned(upstream=was, because=REQUESTED))
            return [f"no longer pinned to {was}"]
        case Command.PAUSE:
            until = overrides.pause(wish.for_s)
            record(Paused(until=clock(until)))
            return [f"paused{in_words(until)}: nothing is written or restarted"]
        case Command.RESUME:
            if not overrides.resume():
                return ["it was not paused"]
            record(Resumed(because=REQUESTED))
            return ["no longer paused"]
        case Command.APPLY:
            record(requested(wish.command.value, is_now=wish.is_now))
        case Command.RELOAD:
            record(requested(wish.command.value))
    return []


def _cannot_pin(named: str, policy: Policy | None) -> str:
    if policy is None:
        return "pin: there is no policy, so there is no upstream. Try: docker-proxy-agent init"
    pac = policy.upstreams.get(name_in_policy(named))
    if pac is not None and pac.is_pac:
        what = f'"{named}" cannot be pinned: a PAC file names it, and may change'
        return f"pin: {what}. Try: docker-proxy-agent pin {pac.name}. Or give this proxy an [upstream.NAME] of its own"
    close = did_you_mean(named, policy.upstreams)
    listed = f"{' It' if close else '; it'} has {', '.join(policy.upstreams)}"
    return f'pin: the policy has no upstream "{named}"{close}{listed}'


def requested(command: str, *, is_now: bool = False) -> Requested:
    """Of a command without an event of its own."""
    return Requested(command=command, options=("now",) if is_now else ())


def answer_of(said: Sequence[str], done: Pass, picture: Picture) -> Answer:
    """After the pass."""
    facts = {"said": tuple(said), **msgspec.to_builtins(picture)}
    return Answer(1 if done.is_failed else 0, (*said, *pass_lines(picture)), facts)


def obeyed_but(said: Sequence[str], wrong: Sequence[str]) -> Answer:
    """The request was met, and something else is wrong."""
    return Answer(1, (*said, *wrong), obeyed=len(said))


def without_a_pass(said: Sequence[str], missing: NoPolicy | PolicyRefused) -> Answer:
    """The request was met; why no pass follows."""
    problems = wrong_lines(missing)
    notes = (line("note", problem) for problem in problems)
    return Answer(0, (*said, *notes), {"said": tuple(said), "problems": problems})


def by_the_policy_of_before(answer: Answer, wrong: Sequence[str], still_used: str) -> Answer:
    """The request was met under an older policy than the one in the file: `still_used` says which."""
    facts = {**answer.facts, "problems": (*wrong, still_used)}
    return msgspec.structs.replace(answer, lines=(*wrong, still_used, *answer.lines), facts=facts)


def wrong_lines(missing: NoPolicy | PolicyRefused) -> tuple[str, ...]:
    """A line for each thing that is wrong."""
    if isinstance(missing, PolicyRefused):
        return missing.lines
    return (str(missing),)
