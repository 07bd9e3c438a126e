"""A pass that was made, and what is shown of it: every file that did not become right is there, with why."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.clients.clients import ClientFile, ClientsSeen
from agent.clients.users import Account, FoundBy
from agent.decide.client_file import Change, FileEdit
from agent.decide.clients import Intent, Wanted
from agent.docker.transaction import Applied
from agent.one_pass.drawing import MOST, Beside, picture_of
from agent.one_pass.page import pass_lines
from agent.one_pass.picture import Picture, Role, State, TargetShown, TargetState, public
from agent.one_pass.seen import Pass, Planned
from agent.service.status_file import PolicyStatus, status_of
from agent.targets.client_config import ClientTexts
from agent.values.condition import down, gave_up
from agent.values.dockerd import GOES_DOWN, Layer, Phase, Reality, UnitState
from agent.values.errors import Unexpected
from agent.values.policy import Method
from agent.values.settings import settings

from .test_unattended import WRITTEN, planned

BY_HAND = settings("http://secret.example:1", "http://secret.example:1", "private.example")
OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
READ_ONLY = "/home/alice/.docker/config.json: read-only; left as it is"


def account(name: str) -> Account:
    home = Path("/home", name)
    config = home / ".docker/config.json"
    return Account(name, 1000, 1000, (), home, config, may_create=False, found_by=FoundBy.DOCKER)


def to_write(name: str) -> ClientFile:
    return ClientFile(account(name), _edit(Change.CHOICE))


def to_put_back(name: str) -> ClientFile:
    return ClientFile(account(name), _edit(Change.LEFT))


def _edit(change: Change) -> FileEdit:
    old, new = (OFFICE, BY_HAND) if change is Change.LEFT else (BY_HAND, OFFICE)
    return FileEdit("default", "x", "", None, old, new, change, originals=(), last=ClientTexts())


def beats(path: str) -> Reality:
    """A running Docker whose drop-in overrides what another file says."""
    says = {"HTTP_PROXY": "http://secret.example:1", "NO_PROXY": "private.example"}
    return Reality(UnitState(Phase.RUNNING), beaten=(Layer(path, says),))


def found(*files: ClientFile) -> Planned:
    wanted = Wanted(Intent.SET, "office is in use", OFFICE)
    return msgspec.structs.replace(planned(WRITTEN), clients=ClientsSeen(wanted, files))


def failed(name: str, error: str) -> ClientFile:
    return ClientFile(account(name), error=error)


def test_a_put_back_that_failed_is_shown() -> None:
    done = Pass(found(to_put_back("alice")), clients=(failed("alice", READ_ONLY),))

    drawn = picture_of(done)

    assert [(target.state, target.error) for target in drawn.targets] == [(TargetState.FAILED, READ_ONLY)]
    assert f"  not written  alice: {READ_ONLY}" in pass_lines(drawn)


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(ClientFile(account("alice"), error=READ_ONLY), id="read-only"),
        pytest.param(
            ClientFile(account("alice"), error="five times", gave_up=gave_up("/home/alice", "five times")), id="gave-up"
        ),
        pytest.param(
            ClientFile(account("alice"), error="odd", unexpected=Unexpected("/home/alice", "odd")), id="internal-error"
        ),
    ],
)
def test_what_fails_in_a_persons_file_alone_fails_a_command_and_not_the_state(file: ClientFile) -> None:
    """Else anybody with a home could turn the whole machine's status red."""
    done = Pass(found(file))

    drawn = picture_of(done)

    assert drawn.state is State.STEADY
    assert [target.state for target in drawn.targets if target.role is Role.CLIENT] == [TargetState.FAILED]
    assert done.is_failed


def test_a_file_that_was_put_back_is_no_target_any_more() -> None:
    done = Pass(found(to_put_back("alice")), clients=(to_put_back("alice"),))

    assert picture_of(done).targets == ()


def test_what_is_shown_to_everybody_quotes_nobodys_file() -> None:
    seen = found(to_write("alice"), to_put_back("bob"))
    plan = msgspec.structs.replace(WRITTEN, method=Method.DROP_IN)
    seen = msgspec.structs.replace(seen, plan=plan, reality=beats("/etc/proxy.env"))
    drawn = picture_of(Pass(seen))

    shown = str(msgspec.to_builtins(status_of(drawn, PolicyStatus("/etc/x"), ())))

    assert str(msgspec.to_builtins(drawn)).count("secret.example") == 5
    assert "secret.example" not in shown
    assert "private.example" not in shown
    assert all(name in shown for name in ("alice", "bob", "/etc/proxy.env"))


def test_what_docker_would_run_with_is_shown_to_everybody() -> None:
    says = {"proxy": "direct"}
    kept = TargetShown(path="/x", name="daemon.json", role=Role.DAEMON, state=TargetState.KEPT, says=says)
    of_alice = TargetShown(path="/y", name="alice", role=Role.CLIENT, state=TargetState.KEPT, says=says)

    shown = public(Picture(state=State.STEADY, targets=(kept, of_alice)))

    assert [target.says for target in shown.targets] == [says, None]


def test_only_what_is_written_is_said_to_be_and_the_rest_is_still_to_be_written() -> None:
    seen = found(*map(to_write, ("alice", "bob", "carol")))
    late = ClientFile(account("carol"), is_late=True)
    done = Pass(seen, clients=(to_write("alice"), failed("bob", READ_ONLY), late))

    drawn = picture_of(done)

    assert drawn.done is not None
    assert drawn.clients is not None
    assert drawn.done.clients == ("alice",)
    assert [write.names for write in drawn.clients.writes] == [("bob", "carol")]
    assert "  written      client of alice" in pass_lines(drawn)


def test_where_the_system_goes_down_nothing_is_done_and_the_plan_still_stands() -> None:
    plan = msgspec.structs.replace(WRITTEN, needs_daemon_reload=True)
    left = Applied(deferred=GOES_DOWN, goes_down=True)

    drawn = picture_of(Pass(msgspec.structs.replace(found(), plan=plan), left))

    assert drawn.done is None
    assert drawn.plan is not None
    assert (drawn.plan.reloads, drawn.plan.put_off) == (True, GOES_DOWN)
    assert f"  write        later: {GOES_DOWN}" in pass_lines(drawn)


def test_what_was_written_before_the_system_went_down_is_done() -> None:
    written = Applied(written=("/x",), deferred=GOES_DOWN, goes_down=True)

    drawn = picture_of(Pass(planned(WRITTEN), written))

    assert drawn.plan is None
    assert drawn.done is not None
    assert drawn.done.written == ("/x",)


def test_files_whose_turn_comes_after_dockers_restart_are_kept_meanwhile() -> None:
    right = TargetShown(path="/y", name="alice", role=Role.CLIENT, state=TargetState.RIGHT)

    drawn = picture_of(Pass(planned(WRITTEN)), Beside(clients=(right,)), is_working=True)

    assert [target.state for target in drawn.targets] == [TargetState.KEPT]


def test_a_docker_that_stays_down_is_said_once() -> None:
    is_down = Applied(rolled_back="docker.service: did not come up", condition=down("docker.service"))

    shown = list(pass_lines(picture_of(Pass(planned(WRITTEN), is_down))))

    assert shown[0] == str(down("docker.service"))
    assert [text for text in shown if str(down("docker.service")) in text] == shown[:1]


def test_what_is_too_much_to_be_shown_is_said() -> None:
    drawn = picture_of(Pass(found(*(to_write(f"user{number}") for number in range(MOST + 7)))))

    assert "  note         7 more upstreams, files and notes are not shown" in pass_lines(drawn)
