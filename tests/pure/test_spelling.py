"""What is typed at a user's own instance, in what the commands print with `--user`."""

from __future__ import annotations

import json
import re

import pytest

from agent.cli import printing
from agent.cli.spelling import for_a_user, for_sudo
from tests.sources import AGENT


@pytest.mark.parametrize(
    ("systems", "users"),
    [
        (
            "to restart anyway: docker-proxy-agent apply --now",
            "to restart anyway: docker-proxy-agent apply --user --now",
        ),
        ("Try: sudo docker-proxy-agent plan", "Try: docker-proxy-agent plan --user"),
        ("sudo systemctl --user restart docker.service", "systemctl --user restart docker.service"),
        ("See: journalctl -u docker.service -n 50", "See: journalctl --user -u docker.service -n 50"),
        (
            "Remove the flag, then run: systemctl daemon-reload; systemctl restart docker.service",
            "Remove the flag, then run: systemctl --user daemon-reload; systemctl --user restart docker.service",
        ),
        (
            "Stop it first: systemctl disable --now docker-proxy-agent; or remove it: docker-proxy-agent uninstall",
            "Stop it first: systemctl --user disable --now docker-proxy-agent; or remove it: docker-proxy-agent uninstall --user",
        ),
    ],
)
def test_a_remedy_is_for_ones_own_instance(systems: str, users: str) -> None:
    assert for_a_user(systems) == users
    assert for_a_user(users) == users


@pytest.mark.parametrize(
    "text",
    [
        "docker-proxy-agent holds the lock",
        "/etc/docker-proxy-agent/config.toml",
        "sudo loginctl enable-linger alice",
        "# then: systemctl --user daemon-reload && systemctl --user restart docker",
        "a systemctl, and no more",
    ],
)
def test_anything_else_stays(text: str) -> None:
    assert for_a_user(text) == text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("To end it: docker-proxy-agent unpin", "To end it: sudo docker-proxy-agent unpin"),
        ("Try: sudo docker-proxy-agent plan", "Try: sudo docker-proxy-agent plan"),
        ("See: docker-proxy-agent status", "See: docker-proxy-agent status"),
        ("Run: docker-proxy-agent demo", "Run: docker-proxy-agent demo"),
        ("Run: docker-proxy-agent audit who", "Run: sudo docker-proxy-agent audit who"),
        ("Run: docker-proxy-agent audit schema", "Run: docker-proxy-agent audit schema"),
        (
            "systemctl daemon-reload; systemctl restart docker",
            "sudo systemctl daemon-reload; sudo systemctl restart docker",
        ),
        ("systemctl cat docker.service", "systemctl cat docker.service"),
        ("and run: systemctl reload docker.service", "and run: sudo systemctl reload docker.service"),
        ("See: journalctl -u docker -n 50", "See: sudo journalctl -u docker -n 50"),
        ("See: journalctl --user -u docker -n 50", "See: journalctl --user -u docker -n 50"),
        ("to remove both: rm -r /var/log/x; userdel x", "to remove both: sudo rm -r /var/log/x; sudo userdel x"),
        ("rm -r ~/.config/docker-proxy-agent", "rm -r ~/.config/docker-proxy-agent"),
        ("sudo -u alice docker-proxy-agent uninstall --user", "sudo -u alice docker-proxy-agent uninstall --user"),
        ("/usr/bin/docker-proxy-agent apply", "/usr/bin/docker-proxy-agent apply"),
        ("usage: docker-proxy-agent apply [-h] [--now]", "usage: docker-proxy-agent apply [-h] [--now]"),
        (
            "docker-proxy-agent pin: NAME is missing. See: docker-proxy-agent pin --help",
            "docker-proxy-agent pin: NAME is missing. See: docker-proxy-agent pin --help",
        ),
        (
            "docker-proxy-agent audit at: no such time. See: docker-proxy-agent audit at --help",
            "docker-proxy-agent audit at: no such time. See: docker-proxy-agent audit at --help",
        ),
    ],
)
def test_who_is_root_by_sudo_alone_is_told_to_type_it(said: str, shown: str) -> None:
    assert for_sudo(said) == shown
    assert for_sudo(shown) == shown


def test_each_command_of_the_agents_that_the_code_names_is_respelled() -> None:
    said = {
        match[0]
        for file in AGENT.rglob("*.py")
        for match in re.finditer(
            r"(?:[Rr]un|See|Try|again|wait|it|same): (?:sudo )?docker-proxy-agent \w+", file.read_text()
        )
    }
    assert len(said) > 10
    assert [text for text in said if not for_a_user(text).endswith(" --user")] == []


def test_all_that_is_printed_passes_it(capsys: pytest.CaptureFixture[str]) -> None:
    remedy = "See: docker-proxy-agent probe"
    printing.ready(for_a_user)
    try:
        printing.say(remedy)
        printing.page(remedy)
        printing.complain(remedy)
        printing.print_json({"conditions": [{"remedy": remedy, "count": 1}]})
    finally:
        printing.ready()
    printing.say(remedy)

    said = capsys.readouterr()
    assert said.out.splitlines()[:2] == [f"{remedy} --user"] * 2
    assert said.err.splitlines() == [f"{remedy} --user"]
    json_text = said.out.partition("{")[2].rpartition("}")[0]
    assert json.loads("{" + json_text + "}") == {"conditions": [{"remedy": f"{remedy} --user", "count": 1}]}
    assert said.out.splitlines()[-1] == remedy
