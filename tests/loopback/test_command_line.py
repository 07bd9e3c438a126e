"""What is said of a command line: its help, and what may be meant by one that is not understood."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import main
from agent.cli.audit.options import QUESTIONS
from agent.cli.commands import COMMANDS
from agent.cli.misused import USAGE
from agent.cli.words import tree

PAGES = [(), *((name,) for name in COMMANDS), *(("audit", question) for question in QUESTIONS)]


def helped(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("words", PAGES, ids=lambda words: " ".join(words) or "all")
def test_help_fits_the_screen(
    words: tuple[str, ...], columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = helped(capsys, *words).split("\n")

    assert [line for line in lines if len(line) > columns] == []
    assert [line for line in lines if line.endswith(("docker-proxy-", "docker-"))] == []  # a name is not cut


@pytest.mark.parametrize("words", PAGES[1:], ids=" ".join)
def test_help_of_a_command_says_whether_it_needs_root_and_has_an_example(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    page = helped(capsys, *words)

    is_asked = words[1:] and words[0] == "audit"
    sudo = "sudo " if (QUESTIONS[words[1]].reads_the_log if is_asked else COMMANDS[words[0]].needs_root) else ""
    assert ("\nNeeds root," in page, "\nNeeds no root." in page) == (bool(sudo), not sudo)
    assert re.search(rf"\nexamples?:\n  {sudo}docker-proxy-agent {' '.join(words)}\b", page)


def test_the_front_page_has_every_command_on_one_line_of_80(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = dict(re.findall(r"(?m)^  ([a-z]+)( \*)? +[a-z].*$", helped(capsys)))

    assert found == {name: " *" if command.needs_root else "" for name, command in COMMANDS.items()}


def test_help_for_an_instance_of_ones_own_is_spelled_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    page = helped(capsys, "pause", "--user")

    assert "  docker-proxy-agent pause --user 2h\n" in page
    assert "sudo" not in page


@pytest.mark.parametrize("words", [(), ("apply",), ("init",), ("audit",), ("env",)], ids=lambda words: words[:1])
def test_help_imports_nothing_that_a_command_needs(words: tuple[str, ...]) -> None:
    code = (
        "import sys; from agent.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\nprint(*sys.modules)"
    )
    run = [sys.executable, "-c", code, *words, "--help"]
    shown = subprocess.run(run, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=60)
    modules = {*shown.stdout.split("\n")[-2].split()}

    assert "agent.cli.words" in modules
    assert modules.isdisjoint({"asyncio", "ssl", "structlog", "watchdog", "h11"})


def test_every_example_is_understood() -> None:
    parser = tree()
    for name, command in COMMANDS.items():
        for example in command.examples:
            assert parser.parse_args(example.words.split()).command == name
    for name, question in QUESTIONS.items():
        assert parser.parse_args(["audit", *question.example.split()]).question == name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("staus", 'docker-proxy-agent: "staus" is not a command; did you mean "status"? See'),
        ("frobnicate", 'docker-proxy-agent: "frobnicate" is not a command. See: docker-proxy-agent --help'),
        ("--polcy x status", 'docker-proxy-agent: there is no option --polcy; did you mean "--policy"? See'),
        ("status --wach", 'docker-proxy-agent status: there is no option --wach; did you mean "--watch"? See'),
        ("audit who --bye al", 'docker-proxy-agent audit who: there is no option --bye; did you mean "--by"? See'),
        ("plan --xyzzy", "docker-proxy-agent plan: there is no option --xyzzy. See: docker-proxy-agent plan --help"),
        ("status now", 'docker-proxy-agent status: unexpected argument: "now". See: docker-proxy-agent status --help'),
        (
            "audit verfy",
            'docker-proxy-agent audit: "verfy" is not a question that audit answers; did you mean "verify"? See',
        ),
        (
            "audit xyzzy",
            '"xyzzy" is not a question that audit answers; use one of: at, ran, outages, who, report, verify, schema. '
            "See",
        ),
        (
            "env --system docker-dsktop",
            'env: --system: "docker-dsktop" is not valid here; did you mean "docker-desktop"? See',
        ),
        ("env --shell xyzzy", '--shell: "xyzzy" is not valid here; use one of: sh, fish, pwsh. See'),
        ("audit --event docker-restart", 'did you mean "docker-restarted"? See'),
        ("pause soon", 'docker-proxy-agent pause: TIME: "soon" is not a duration, such as "30s", "5m", "2h" or "400d"'),
        ("pin office --for 2x", 'docker-proxy-agent pin: --for: "2x" is not a duration, such as "30s", "5m", "2h"'),
        ("pause 0s", 'TIME: "0s" must be longer than 0 s. See'),
        ("pause 2h --for 3h", "--for: not allowed with argument TIME. See"),
        ("pin", "docker-proxy-agent pin: NAME is missing. See: docker-proxy-agent pin --help"),
        ("pause --for", "docker-proxy-agent pause: --for needs a value. See: docker-proxy-agent pause --help"),
    ],
)
def test_what_is_not_understood_is_answered_with_what_may_be_meant(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(words.split())

    out, err = capsys.readouterr()
    assert (end.value.code, out) == (USAGE, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("pause 2h", 7200), ("pause --for 2h", 7200), ("pause -v 2h", 7200), ("pause 90s --user", 90), ("pause", None),
        ("pin direct 1h30m", 5400), ("pin direct --for 45m", 2700), ("pin --for 45m direct", 2700),
        ("pin direct", None),
    ],
)  # fmt: skip
def test_a_time_may_stand_behind_a_command_as_it_is(words: str, seconds: float | None) -> None:
    assert tree().parse_args(words.split()).for_s == seconds


@pytest.mark.parametrize("words", PAGES[1:], ids=" ".join)
def test_help_offers_no_option_that_is_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    page = helped(capsys, *words)
    arguments = ["x"] if words[0] == "pin" or words[1:] == ("at",) else []

    for option in ("--policy", "--json", "--user"):
        given = [option, "x"] if option == "--policy" else [option]
        refused = (
            f"{words[0]} does not use a policy",
            f"{words[0]} has no JSON output",
            f"{words[0]} does not belong to an instance",
        )
        if f"  {option}" not in page:
            with pytest.raises(SystemExit) as end:
                main([*words, *arguments, *given, *(["-o", "x"] if words[1:] == ("report",) else [])])
            assert end.value.code == USAGE
            err = capsys.readouterr().err
            assert any(text in err for text in refused)
