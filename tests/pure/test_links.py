"""What is still ahead on a way through symbolic links."""

from __future__ import annotations

import errno

import pytest

from agent.system.links import MOST_LINKS, Ahead


@pytest.mark.parametrize(
    ("path", "names"),
    [
        pytest.param("/etc/docker", ("etc", "docker"), id="absolute"),
        pytest.param("//etc/./docker/", ("etc", "docker"), id="empty-steps-and-dots-lead-nowhere"),
        pytest.param("../run/x", ("..", "run", "x"), id="up-is-a-step"),
        pytest.param("/", (), id="root"),
    ],
)
def test_a_path_in_steps(path: str, names: tuple[str, ...]) -> None:
    assert Ahead(path).rest == names
    assert Ahead(path.encode()).rest == tuple(name.encode() for name in names)


def test_the_target_of_a_link_comes_before_what_was_ahead() -> None:
    ahead = Ahead("/home/alice/.docker")
    assert ahead.next() == "home"

    is_from_the_root = ahead.follow("../srv/homes")

    assert not is_from_the_root
    assert ahead.rest == ("..", "srv", "homes", "alice", ".docker")
    assert [ahead.next() for _ in range(5)] == ["..", "srv", "homes", "alice", ".docker"]
    assert not ahead


@pytest.mark.parametrize(("target", "is_from_the_root"), [("/srv", True), ("srv", False), ("./srv", False)])
def test_where_a_target_starts(target: str, *, is_from_the_root: bool) -> None:
    assert Ahead("x").follow(target) is is_from_the_root
    assert Ahead(b"x").follow(target.encode()) is is_from_the_root


def test_links_in_a_circle_come_to_an_end() -> None:
    ahead = Ahead("/x")
    for _ in range(MOST_LINKS):
        ahead.next()
        ahead.follow("x")

    with pytest.raises(OSError) as circle:  # noqa: PT011 - it has no other class
        ahead.follow("x")

    assert circle.value.errno == errno.ELOOP
