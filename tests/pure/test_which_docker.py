"""Which of two Dockers on one system is served, where the policy names none."""

from __future__ import annotations

import pytest

from agent.decide.which_docker import Known, which
from agent.values.policy import Docker

USUAL, SNAP = "docker.service", "snap.docker.dockerd.service"


def docker(service: str, words: str) -> Known:
    """`words`: what is known of it."""
    known = words.split()
    return Known(
        service,
        runs="runs" in known,
        is_served="served" in known,
        starts_at_boot="boots" in known,
        is_there="there" in known,
    )


@pytest.mark.parametrize(
    ("usual", "snap", "served"),
    [
        pytest.param("there boots runs", "", USUAL, id="alone"),
        pytest.param("", "there boots runs", SNAP, id="snap-alone"),
        pytest.param("", "", USUAL, id="none-yet"),
        pytest.param("there boots", "there runs", USUAL, id="the-usual-one-is-between-two-starts"),
        pytest.param("there boots served", "there runs", USUAL, id="an-upgrade-that-stops-it-is-no-change"),
        pytest.param("there runs", "there runs served", USUAL, id="both-run-the-usual-one-whatever-was-served"),
        pytest.param("there", "there runs", SNAP, id="what-runs-not-what-is-only-there"),
        pytest.param("there runs", "there runs", USUAL, id="both-run-the-first"),
        pytest.param("there", "there served", SNAP, id="the-snap-is-between-two-starts"),
        pytest.param("there boots", "served", USUAL, id="removed"),
        pytest.param("there", "there boots", SNAP, id="before-docker-at-boot"),
        pytest.param("", "there", SNAP, id="stopped-and-disabled"),
        pytest.param("there", "there", USUAL, id="neither-runs-nor-boots"),
    ],
)
def test_which_of_two_dockers_is_served(usual: str, snap: str, served: str) -> None:
    assert which([docker(USUAL, usual), docker(SNAP, snap)]) == served


@pytest.mark.parametrize(
    ("service", "command", "named"),
    [
        ("", (), ""),
        ("", ("rc-service", "docker", "restart"), USUAL),
        (SNAP, (), SNAP),
        ("mine.service", ("x",), "mine.service"),
    ],
)
def test_what_a_command_restarts_is_the_usual_docker(service: str, command: tuple[str, ...], named: str) -> None:
    assert Docker(service=service, restart_command=command).service_named(USUAL) == named
