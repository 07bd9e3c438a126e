"""The lines for one container, one build, a Compose service or a shell."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from agent.decide.clients import for_programs
from agent.targets import one_off
from agent.targets.shells import Shell, exported, quoted
from agent.values.policy import Exclusion, NoProxy, Upstream
from agent.values.settings import DIRECT, Settings, settings
from tests.upstreams import url

OFFICE = settings("http://proxy.test:3128", "http://proxy.test:3129", ("localhost", "*.corp.test"))
NAMES = {
    "HTTP_PROXY": "http://proxy.test:3128",
    "http_proxy": "http://proxy.test:3128",
    "HTTPS_PROXY": "http://proxy.test:3129",
    "https_proxy": "http://proxy.test:3129",
    "NO_PROXY": "*.corp.test,localhost",
    "no_proxy": "*.corp.test,localhost",
    "ALL_PROXY": "",
    "all_proxy": "",
}


def test_both_spellings_of_all_four_names_are_there_whether_they_have_a_value_or_not() -> None:
    assert dict(one_off.variables(OFFICE)) == NAMES
    assert dict(one_off.variables(DIRECT)) == dict.fromkeys(NAMES, "")


@pytest.mark.parametrize(
    ("line", "command", "option", "end"),
    [
        pytest.param(one_off.run, ["docker", "run"], "--env", "IMAGE", id="run"),
        pytest.param(one_off.build, ["docker", "build"], "--build-arg", ".", id="build"),
    ],
)
@pytest.mark.parametrize("wanted", [OFFICE, DIRECT], ids=["office", "direct"])
def test_a_shell_takes_a_line_apart_into_these_words(
    line: type[str], command: list[str], option: str, end: str, wanted: Settings
) -> None:
    given = [word for name, value in one_off.variables(wanted) for word in (option, f"{name}={value}")]

    assert shlex.split(line(one_off.variables(wanted))) == [*command, *given, end]


def test_the_lines_of_the_article_are_there_as_it_has_them() -> None:
    assert one_off.run(one_off.variables(OFFICE)).startswith("docker run --env HTTP_PROXY=http://proxy.test:3128 ")
    assert one_off.build(one_off.variables(OFFICE)).startswith(
        "docker build --build-arg HTTP_PROXY=http://proxy.test:3128 "
    )


def test_compose_reads_every_value_as_it_is() -> None:
    """A text in YAML that is one in JSON, too; `$$` is a `$` to Compose."""
    odd = (("HTTP_PROXY", "a\"b\\c$d${e}: #'\u00e9\U0001f600"), ("NO_PROXY", "*.corp.test,::1"), ("ALL_PROXY", ""))

    text = one_off.compose(odd)

    head, args, environment = re.split(r" +args:\n| +environment:\n", text)
    assert head == "services:\n  SERVICE:\n    build:\n"
    for block, indent in ((args, 8), (environment, 6)):
        lines = [line for line in block.split("\n") if line]
        assert all(re.match(rf" {{{indent}}}\S", line) for line in lines)
        pairs = [line.strip().partition(": ") for line in lines]
        assert [(name, json.loads(value).replace("$$", "$")) for name, _, value in pairs] == list(odd)


@pytest.mark.parametrize(
    ("shell", "line", "gone"),
    [
        pytest.param(Shell.SH, "export NO_PROXY='*.x,::1'", "unset ALL_PROXY", id="sh"),
        pytest.param(Shell.FISH, "set -gx NO_PROXY '*.x,::1'", "set -eg ALL_PROXY", id="fish"),
        pytest.param(Shell.PWSH, "$env:NO_PROXY = '*.x,::1'", "$env:ALL_PROXY = $null", id="pwsh"),
    ],
)
def test_what_has_a_value_is_set_and_what_has_none_is_taken_away(shell: Shell, line: str, gone: str) -> None:
    assert exported((("NO_PROXY", "*.x,::1"), ("ALL_PROXY", "")), shell) == [line, gone]


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        pytest.param("", "''", id="empty"),
        pytest.param("http://proxy.test:3128", "'http://proxy.test:3128'", id="plain"),
        pytest.param("a'b", "'a''b'", id="a-quote-twice"),
        pytest.param("a\u2019b\u2018c\u201ad\u201be", "'a\u2019\u2019b\u2018\u2018c\u201a\u201ad\u201b\u201be'", id="typographic"),
        pytest.param('$x `n "y" \\ @{} , #', '\'$x `n "y" \\ @{} , #\'', id="nothing-else-means-anything"),
        pytest.param("a\u201cb\u201d", "'a\u201cb\u201d'", id="double-ones-mean-nothing-there"),
    ],
)  # fmt: skip
def test_powershell(text: str, spelled: str) -> None:
    """Between single quotes only those count, in five spellings: about_Quoting_Rules, CharTraits.cs."""
    assert quoted(text, Shell.PWSH) == spelled


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        pytest.param("http://proxy.test:3128", "http://proxy.test:3128", id="plain"),
        pytest.param("", "''", id="empty"),
        pytest.param("*.x,[::1]", "'*.x,[::1]'", id="a-pattern-to-a-shell"),
        pytest.param("=ls", "'=ls'", id="a-path-to-zsh"),
        pytest.param("a'b", "'a'\"'\"'b'", id="a-quote"),
    ],
)
def test_posix_shells_and_zsh(text: str, spelled: str) -> None:
    """Tried in zsh 5.9 and ksh 93u+m by hand; sh, bash and fish: tests/loopback/test_env.py."""
    assert quoted(text) == spelled


@pytest.mark.parametrize(
    ("http", "https", "wanted"),
    [
        pytest.param("http://a.test:1", "http://b.test:2", ("http://a.test:1", "http://b.test:2", ""), id="two"),
        pytest.param("socks5://a.test:1", "socks5://a.test:1", ("", "", "socks5://a.test:1"), id="socks-is-for-all"),
        pytest.param("http://a.test:1", "socks5h://b.test:2", ("http://a.test:1", "", "socks5h://b.test:2"), id="mixed"),
        pytest.param("socks5://a.test:1", "socks5h://b.test:2", ("", "", "socks5h://b.test:2"), id="https-counts"),
        pytest.param("http://127.0.0.1:7890", None, ("http://127.0.0.1:7890", "", ""), id="as-this-host-reaches-it"),
    ],
)  # fmt: skip
def test_what_programs_of_this_host_get(http: str, https: str | None, wanted: tuple[str, str, str]) -> None:
    to_http, to_https = url(http), https and url(https)
    found = for_programs(Upstream("x"), NoProxy(), http=to_http, https=to_https or None)

    assert tuple(str(one or "") for one in (found.http, found.https, found.all)) == wanted
    assert {"127.0.0.0/8", "127.0.0.1", "localhost", "10.0.0.0/8"} <= set(found.no_proxy)


def test_an_exclusion_of_everything_is_direct() -> None:
    everything = NoProxy(always=(Exclusion("*"),))
    found = for_programs(Upstream("x"), everything, http=url("http://a.test:1"), https=None)

    assert found == DIRECT
