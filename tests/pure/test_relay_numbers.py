"""The numbers that docs/relay.md gives are those that the relay goes by. Other tests take them from the code."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.decide.relay import MOST_FAILURES, SOFT_AGAIN_S
from agent.probe.exchange import MOST_LINES
from agent.relay import draining, forward
from agent.relay.connections_log import LARGEST
from agent.relay.conversation import HEAD_LIMIT
from agent.relay.limits import Limits
from agent.relay.names import MOST, MOST_OF_ONE
from agent.relay.noted import NOTED_EVERY_S
from agent.relay.open import WITHIN_S
from agent.relay.process import DRAINS_S
from agent.relay.serving import _MOST_OF_ONE, _MOST_WAITING
from agent.relay.state_file import GROWN_WITHIN_S, NEWS_WITHIN_S
from agent.relay.visit import PATIENCE
from agent.relay.weight import MARKS
from agent.relay.who import KEPT_S, NO_KEPT_S
from agent.service.watch.relay import APART_S
from agent.values.policy import Relay

PAGE = " ".join((Path(__file__).parents[2] / "docs/relay.md").read_text().split())
KEEPALIVE = {option: value for _, option, value in draining.KEEPALIVE}
NOBODY_ANSWERS_S = KEEPALIVE[socket.TCP_KEEPIDLE] + KEEPALIVE[socket.TCP_KEEPINTVL] * KEEPALIVE[socket.TCP_KEEPCNT]


@pytest.mark.parametrize(
    ("said", "is_so"),
    [
        ("head of a request | 64 KB, within 10 s", (HEAD_LIMIT, PATIENCE.head_s) == (64 * 1024, 10)),
        ("A head may have 64 KB and 256 lines (431)", MOST_LINES == 256),
        ("the client waits for 10 s in all", WITHIN_S == 10),
        ("| after 20 s | nothing is confirmed", draining.SILENT_MS == 20_000),
        ("| after 35 s | the connection is idle, and nobody answers", NOBODY_ANSWERS_S == 35),
        ("| after 5 min | one direction is closed", {draining.HALF_OPEN_S, forward.HALF_OPEN_S} == {5 * 60}),
        ("| after 1 h | nothing comes", {draining.IDLE_S, forward.IDLE_S} == {60 * 60}),
        ("after 1 s, also if the client closed it before the end", forward.LEAVES_S == 1),
        ("hold more than 384 MB that nobody reads", MARKS.most == 384 * 1024**2),
        ("above 640 MB also those that still move", MARKS.too_much == 640 * 1024**2),
        ("From 128 MB on, each connection gets smaller buffers", MARKS.much == 128 * 1024**2),
        ("| within 10 s | the relay is restarted", DRAINS_S == 10),
        ("`relay.max_connections`, 1024. One source may have a quarter", Relay().max_connections == 1024),
        ("One source may have a quarter of them", Limits(1024).most_of_one == 256),
        ("all containers together three", Limits(1024).most_of_containers == 768),
        ("256 connections for each network, 64 of one source", (_MOST_WAITING, _MOST_OF_ONE) == (256, 64)),
        ("256 for 8 s, 64 of one source", (_MOST_WAITING, PATIENCE.word_s, _MOST_OF_ONE) == (256, 8, 64)),
        ("60 at once, 12 for one source, 24 for all containers", (MOST, MOST_OF_ONE) == (60, 12)),
        ("the journal has a line a minute", NOTED_EVERY_S == 60),
        (
            "asked again after a minute, and after a no, or where the bridge does not have a name that Docker makes, in a second",
            (KEPT_S, NO_KEPT_S) == (60, 1),
        ),
        ("at most once a second, and how much it has carried every 10 s", (NEWS_WITHIN_S, GROWN_WITHIN_S) == (1, 10)),
        ("at most once in five seconds, to ask Docker about its networks", APART_S == 5),
        ("If three probes in a row fail while the upstream itself works", MOST_FAILURES == 3),
        ("a failure that may pass by itself, the probe is repeated after 15 s", SOFT_AGAIN_S == 15),
        ("connections.jsonl`, of 10 MB and one older file", LARGEST == 10 * 1000**2),
    ],
)
def test_the_numbers_of_the_page_are_those_of_the_relay(said: str, is_so: bool) -> None:
    assert said in PAGE
    assert is_so
