"""systemd's rules for an EnvironmentFile=, and Go's view of an environment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.targets.environment import parse, quoted, texts
from agent.values.settings import Texts


# Each line of this table follows one state of parse_env_file_internal in systemd's src/basic/env-file.c.
@pytest.mark.parametrize(
    ("text", "variables"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("A=1", {"A": "1"}, id="no-line-break-at-the-end"),
        pytest.param("A=1\nB=2\n", {"A": "1", "B": "2"}, id="two"),
        pytest.param("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}, id="crlf"),
        pytest.param("A=1\nA=2\n", {"A": "2"}, id="the-last-one-wins"),
        pytest.param("A=\nB=''\nC=\"\"\n", {"A": "", "B": "", "C": ""}, id="empty-values"),
        pytest.param("  A = 1 \n\t B\t=\t2\n", {"A": "1", "B": "2"}, id="blanks-around-everything"),
        pytest.param("A=a b  c \n", {"A": "a b  c"}, id="blanks-inside-stay"),
        pytest.param("# A=1\n ; B=2\nC=3\n", {"C": "3"}, id="comments"),
        pytest.param("# A=1 \\\nB=2\n", {"B": "2"}, id="a-comment-is-not-continued"),
        pytest.param("A=1 # x\nB=2;\n", {"A": "1 # x", "B": "2;"}, id="no-comment-behind-a-value"),
        pytest.param("A\nB=2\n", {"B": "2"}, id="a-line-without-equals"),
        pytest.param("A=b=c\n", {"A": "b=c"}, id="equals-in-the-value"),
        pytest.param("export A=1\nB C=1\n1D=1\n=1\nE-F=1\n_G=1\n", {"_G": "1"}, id="names-that-are-none"),
        pytest.param("\ufeffA=1\nB=2\n", {"B": "2"}, id="a-bom-belongs-to-the-name"),
        pytest.param("A=' 1 # \\ \" '\n", {"A": ' 1 # \\ " '}, id="single-quotes-hold-anything"),
        pytest.param("A='x\ny'\nB=2\n", {"A": "x\ny", "B": "2"}, id="a-line-break-in-single-quotes"),
        pytest.param('A="x\ny"\nB=2\n', {"A": "x\ny", "B": "2"}, id="a-line-break-in-double-quotes"),
        pytest.param('A="\\"\\\\\\`\\$"\n', {"A": '"\\`$'}, id="escapes-in-double-quotes"),
        pytest.param('A="\\n\\x"\n', {"A": "\\n\\x"}, id="no-escapes-in-double-quotes"),
        pytest.param('A="x\\\ny"\n', {"A": "xy"}, id="a-continued-line-in-double-quotes"),
        pytest.param("A=\"x\"'y' z \n", {"A": "xyz"}, id="pieces-are-joined"),
        pytest.param("A=x\"y\"'z'\n", {"A": "x\"y\"'z'"}, id="quotes-inside-are-characters"),
        pytest.param("A=x\\\n  y\n", {"A": "x  y"}, id="a-continued-line"),
        pytest.param("A=x \\\n\nB=2\n", {"A": "x ", "B": "2"}, id="a-blank-before-the-continuation-stays"),
        pytest.param("A=x\\ \nB=\\ \\ \n", {"A": "x ", "B": "  "}, id="escaped-blanks-stay"),
        pytest.param("A=\\#\\x\\\"\\'\n", {"A": "#x\"'"}, id="any-character-can-be-escaped"),
        pytest.param("A='x", {"A": "x"}, id="single-quote-left-open"),
        pytest.param('A="x\\', {"A": "x"}, id="double-quote-left-open"),
        pytest.param("A=x\\", {"A": "x"}, id="backslash-at-the-very-end"),
        pytest.param("A=ä\nB=☃\n", {"A": "ä", "B": "☃"}, id="not-ascii"),
        pytest.param("A=1\nB=\udcff\n", {}, id="not-utf8-refuses-the-file"),
        pytest.param("# \udcff\nA=1\n", {"A": "1"}, id="not-utf8-in-a-comment-does-not"),
        pytest.param("A=1\nB=\0\n", {}, id="nul-refuses-the-file"),
    ],
)
def test_parse_as_systemd_does(text: str, variables: dict[str, str]) -> None:
    assert parse(text) == variables


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_quoted_value_is_read_back(value: str) -> None:
    assert parse(f"A={quoted(value)}\nB=2\n") == {"A": value, "B": "2"}


@pytest.mark.parametrize("value", ["\0", "\udcff"])
def test_what_no_environment_can_hold_is_not_written(value: str) -> None:
    with pytest.raises(ValueError, match="no environment"):
        quoted(value)


@given(st.text(st.sampled_from("A=\"'\\ \t\n\r#;$x")))
def test_parse_survives_anything(text: str) -> None:
    assert all("\0" not in value for value in parse(text).values())


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        pytest.param({}, Texts(), id="nothing"),
        pytest.param({"HTTP_PROXY": "a", "http_proxy": "b"}, Texts(http="a"), id="upper-case-first"),
        pytest.param({"HTTP_PROXY": "", "http_proxy": "b"}, Texts(http="b"), id="an-empty-one-does-not-hide"),
        pytest.param({"https_proxy": "a", "no_proxy": "b"}, Texts(https="a", no_proxy="b"), id="lower-case-counts"),
        pytest.param({"ALL_PROXY": "a", "all_proxy": "b", "Http_Proxy": "c"}, Texts(), id="others-do-not-count"),
    ],
)
def test_what_go_takes_from_an_environment(environment: dict[str, str], seen: Texts) -> None:
    assert texts(environment) == seen
