"""Which of two Dockers on one system is served, where the policy names none."""

from __future__ import annotations

import pytest

from agent.decide.which_docker import Known, which

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
        pytest.param("there boots", "there runs", SNAP, id="what-runs-not-what-would-boot"),
        pytest.param("there boots served", "there runs", SNAP, id="what-runs-not-what-was-served"),
        pytest.param("there runs", "there runs served", SNAP, id="both-run-no-change"),
        pytest.param("there runs", "there runs", USUAL, id="both-run-the-first"),
        pytest.param("there boots", "there served", SNAP, id="between-two-starts"),
        pytest.param("there boots", "served", USUAL, id="removed"),
        pytest.param("there", "there boots", SNAP, id="before-docker-at-boot"),
        pytest.param("", "there", SNAP, id="stopped-and-disabled"),
        pytest.param("there", "there", USUAL, id="neither-runs-nor-boots"),
    ],
)
def test_which(usual: str, snap: str, served: str) -> None:
    assert which([docker(USUAL, usual), docker(SNAP, snap)]) == served
