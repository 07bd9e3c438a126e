"""Edits of JSON: what is asked for changes, and no other byte."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.targets.json_splice import (
    DEEPEST,
    MISSING,
    Original,
    Path,
    delete,
    locate,
    names,
    original,
    put_back,
    set_value,
    value_at,
)
from agent.targets.refused import TextRefused

HTTP = ("proxies", "http-proxy")
NO_PROXY = ("proxies", "no-proxy")

# Documents in any spelling.

blanks = st.text(st.sampled_from(" \t\n\r"), max_size=3)
names_of_others = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
strings = st.one_of(
    st.builds(lambda text: json.dumps(text, ensure_ascii=False), st.text(st.characters(exclude_categories=["Cs"]))),
    st.builds(json.dumps, st.text(st.sampled_from('a"\\\n{}[],:/é\U0001f600'))),
    st.sampled_from([r'"\ud800"', r'"\u0041\/"', '"\udcff"']),
)
numbers = st.sampled_from(["0", "-0", "1e5", "1E+5", "0.10", "12345678901234567890123", "9" * 5000])
scalars = st.one_of(strings, numbers, st.sampled_from(["true", "false", "null"]))


def keys(*ours: str) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(ours or ("a",)), names_of_others).map(json.dumps)


def _our_name(key: str) -> object:
    """What may stand only once: our names, in whatever spelling."""
    name = json.loads(key)
    return name if name in ("proxies", "http-proxy", "no-proxy") else object()


@st.composite
def objects(draw: st.DrawFn, depth: int = 2) -> str:
    """An object whose blanks are anywhere; `proxies`, if it is there, is an object. Keys of others may stand twice."""
    written = draw(st.lists(keys("proxies", "http-proxy", "no-proxy", "a"), max_size=4, unique_by=_our_name))
    members = []
    for key in written:
        nested = key == '"proxies"' or (depth > 0 and draw(st.booleans()))
        value = draw(objects(depth=depth - 1)) if nested else draw(st.one_of(scalars, arrays()))
        members.append(f"{draw(blanks)}{key}{draw(blanks)}:{draw(blanks)}{value}{draw(blanks)}")
    return "{" + (",".join(members) or draw(blanks)) + "}"


@st.composite
def arrays(draw: st.DrawFn) -> str:
    return "[" + ",".join(draw(st.lists(st.one_of(scalars, st.just("{}"), st.just("[ ]")), max_size=3))) + "]"


def tidy(value: object, indent: int | str | None, compact: bool) -> str:
    return json.dumps(value, indent=indent, separators=(",", ":") if compact else None)


tidy_documents = st.builds(
    tidy,
    st.dictionaries(
        st.sampled_from(["a", "b", "proxies"]),
        st.dictionaries(st.sampled_from(["http-proxy", "no-proxy", "x"]), st.sampled_from(["1", "http://p:1"])),
    ),
    st.sampled_from([None, 2, 4, "\t"]),
    st.booleans(),
).map(str)

documents = st.builds(
    lambda bom, before, body, after: bom + before + body + after,
    st.sampled_from(["", "\ufeff"]),
    blanks,
    st.one_of(objects(), tidy_documents, tidy_documents.map(lambda text: text.replace("\n", "\r\n"))),
    blanks,
)
texts = st.one_of(documents, st.builds(str.__add__, st.sampled_from(["", "\ufeff"]), blanks))

edits = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([HTTP, NO_PROXY]), st.sampled_from(["http://proxy.example:3128", "*", 'q"\\é'])),
        st.tuples(st.sampled_from([HTTP, NO_PROXY]), st.none()),
        st.tuples(st.just(("proxies",)), st.none()),  # as an edit does that finds it empty
    ),
    min_size=1,
    max_size=6,
)


def edited(text: str, deeds: list[tuple[Path, str | None]]) -> str:
    for path, value in deeds:
        if path == ("proxies",):
            text = delete(text, path) if value_at(text, path) == {} else text
        else:
            text = delete(text, path) if value is None else set_value(text, path, value)
    return text


def keepable(text: str, path: Path) -> Original | None:
    try:
        return original(text, path)
    except TextRefused:
        return None


def lenient(text: str) -> Any:
    text = text.removeprefix("\ufeff").strip(" \t\r\n")
    return json.loads(text, parse_int=str) if text else {}


@given(texts, edits)
def test_what_was_there_comes_back_byte_for_byte(text: str, deeds: list[tuple[Path, str | None]]) -> None:
    kept = [keepable(text, path) for path in (HTTP, NO_PROXY)]
    if None in kept:  # bytes in our own keys that are not UTF-8: refused before anything is done
        return
    stored = msgspec.json.decode(msgspec.json.encode(kept), type=list[Original])

    changed = edited(text, deeds)

    assert put_back(changed, stored) == text
    assert put_back(text, reversed(stored)) == text


@given(texts, st.sampled_from([HTTP, ("a", "b", "c"), ("new",)]), st.sampled_from(["*", '\U0001f600"\\\n', ""]))
def test_a_value_that_is_set_is_read_back_and_the_rest_says_the_same(text: str, path: Path, value: str) -> None:
    try:
        changed = set_value(text, path, value)
    except TextRefused:
        assert not isinstance(lenient(text).get(path[0], {}), dict) or path[0] == "a"
        return

    assert value_at(changed, path) == value
    assert set_value(changed, path, value) == changed
    expected = lenient(text)
    inner = expected
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    inner[path[-1]] = value
    assert lenient(changed) == expected


@given(documents)
def test_a_member_added_beside_others_is_taken_away_without_a_trace(text: str) -> None:
    path = ("proxies", "added by nobody else")
    beside_others = bool(names(text, ("proxies",)))

    changed = set_value(text, path, "*")

    if beside_others:
        assert delete(changed, path) == text
    else:
        assert lenient(delete(changed, path)) == {**lenient(text), "proxies": {}}


@given(documents)
def test_a_deleted_member_is_gone_and_the_rest_says_the_same(text: str) -> None:
    expected = lenient(text)
    expected.get("proxies", {}).pop("http-proxy", None)

    assert lenient(delete(text, HTTP)) == expected
    assert locate(delete(text, HTTP), HTTP) is None


# How it is written.


def lines(*of: str) -> str:
    return "\n".join(of) + "\n"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        pytest.param("{}", lines("{", '  "proxies": {', '    "http-proxy": "x"', "  }", "}")[:-1], id="empty-object"),
        pytest.param("", lines("{", '  "proxies": {', '    "http-proxy": "x"', "  }", "}"), id="empty-text"),
        pytest.param('{"a":1}', '{"a":1,"proxies":{"http-proxy":"x"}}', id="compact"),
        pytest.param('{"a": 1}', '{"a": 1, "proxies": {"http-proxy": "x"}}', id="one-line"),
        pytest.param('{ "a": 1 }', '{ "a": 1, "proxies": { "http-proxy": "x" } }', id="one-line-with-room"),
        pytest.param(
            '{"a": 1, "b": 2}', '{"a": 1, "b": 2, "proxies": {"http-proxy": "x"}}', id="one-line-with-two-members"
        ),
        pytest.param('{ "a": 1}', '{ "a": 1, "proxies": {"http-proxy": "x"}}', id="room-on-one-side-only"),
        pytest.param('{"proxies":{"a":1,"b":2}}', '{"proxies":{"a":1,"b":2,"http-proxy":"x"}}', id="compact-beside"),
        pytest.param(
            lines("{", '    "a": 1', "}"),
            lines("{", '    "a": 1,', '    "proxies": {', '        "http-proxy": "x"', "    }", "}"),
            id="four-spaces",
        ),
        pytest.param(
            lines("{", '\t"a": {', '\t\t"b": 1', "\t}", "}"),
            lines("{", '\t"a": {', '\t\t"b": 1', "\t},", '\t"proxies": {', '\t\t"http-proxy": "x"', "\t}", "}"),
            id="tabs",
        ),
        pytest.param(
            lines("{", '\t"proxies": {}', "}"),
            lines("{", '\t"proxies": {', '\t\t"http-proxy": "x"', "\t}", "}"),
            id="into-an-empty-object",
        ),
        pytest.param(
            lines("{", '  "proxies": {', '    "a": 1', "  }", "}"),
            lines("{", '  "proxies": {', '    "a": 1,', '    "http-proxy": "x"', "  }", "}"),
            id="beside-another",
        ),
        pytest.param(
            '{\r\n  "a": 1\r\n}\r\n',
            '{\r\n  "a": 1,\r\n  "proxies": {\r\n    "http-proxy": "x"\r\n  }\r\n}\r\n',
            id="crlf",
        ),
        pytest.param('\ufeff{"a":1}\n', '\ufeff{"a":1,"proxies":{"http-proxy":"x"}}\n', id="bom"),
        pytest.param(
            lines("{", '  "a": 1', '  , "b": 2', "}"),
            lines("{", '  "a": 1', '  , "b": 2', '  , "proxies": {"http-proxy": "x"}', "}"),
            id="comma-first",
        ),
        pytest.param('{"proxies" : { "http-proxy" :  "y" }}', '{"proxies" : { "http-proxy" :  "x" }}', id="replaced"),
        pytest.param('{"proxies": {"http-proxy": "\\u0078"}}', '{"proxies": {"http-proxy": "\\u0078"}}', id="the-same"),
        pytest.param('{"proxies": {"http-proxy": [{}]}}', '{"proxies": {"http-proxy": "x"}}', id="of-another-type"),
        pytest.param(
            '{"a": {"http-proxy": "y"}, "b": ["http-proxy"], "proxies": {"http-proxy": "z"}}',
            '{"a": {"http-proxy": "y"}, "b": ["http-proxy"], "proxies": {"http-proxy": "x"}}',
            id="the-same-name-elsewhere",
        ),
        pytest.param(r'{"\u0070roxies": {}}', r'{"\u0070roxies": {"http-proxy": "x"}}', id="an-escaped-name"),
    ],
)
def test_it_is_written_as_the_neighbours_are(text: str, written: str) -> None:
    assert set_value(text, HTTP, "x") == written


def test_true_is_not_one() -> None:
    assert set_value('{"live-restore": 1}', ("live-restore",), True) == '{"live-restore": true}'
    assert set_value('{"live-restore": "true"}', ("live-restore",), True) == '{"live-restore": true}'


def test_what_others_wrote_meanwhile_stays() -> None:
    before = '{"proxies": {"http-proxy": "theirs", "x": 1}, "z": 1}'
    kept = [original(before, HTTP), original(before, NO_PROXY)]
    ours = set_value(set_value(before, HTTP, "ours"), NO_PROXY, "*")
    meanwhile = set_value(set_value(delete(ours, ("z",)), ("proxies", "y"), "2"), ("new",), "3")

    assert put_back(meanwhile, kept) == '{"proxies": {"http-proxy": "theirs", "x": 1, "y": "2"}, "new": "3"}'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"proxies": {"no-proxy": "a",  "http-proxy": "b" }}', id="ours-in-another-order"),
        pytest.param('{"proxies": {"x": 1, "no-proxy": "a",\t"http-proxy": "b"}}', id="ours-behind-another"),
        pytest.param('{"a": 1, "proxies": { \n }, "b": 2}', id="an-empty-object-with-room"),
        pytest.param("{ \t}", id="an-empty-document-with-room"),
    ],
)
def test_what_an_edit_took_away_comes_back_where_it_was(text: str) -> None:
    kept = [original(text, HTTP), original(text, NO_PROXY)]

    taken = edited(text, [(HTTP, None), (NO_PROXY, None), (("proxies",), None)])

    assert put_back(taken, kept) == text
    assert put_back(set_value(taken, NO_PROXY, "*"), kept) == text


def test_a_member_that_was_the_last_one_comes_back_before_one_added_behind_it() -> None:
    before = lines("{", '  "x": 1,', '  "http-proxy": "theirs"', "}")
    meanwhile = set_value(set_value(before, ("http-proxy",), "ours"), ("z",), "1")

    assert put_back(meanwhile, [original(before, ("http-proxy",))]) == lines(
        "{", '  "x": 1,', '  "http-proxy": "theirs",', '  "z": "1"', "}"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"live-restore":false,"live-restore":false,"proxies":{}}', id="before-it"),
        pytest.param('{"a":1,"proxies":{"http-proxy":"x"},"a":1,"a":2}', id="around-it"),
        pytest.param('{"proxies":{"a":1,"a":1,"http-proxy":"x","a":1}}', id="in-it"),
    ],
)
def test_a_key_of_others_that_stands_twice_moves_nothing(text: str) -> None:
    kept = [original(text, HTTP), original(text, NO_PROXY)]

    changed = delete(delete(set_value(set_value(text, HTTP, "y"), NO_PROXY, "z"), HTTP), NO_PROXY)

    assert put_back(changed, kept) == text


@pytest.mark.parametrize("text", ["", " ", "\n", " \t\r\n", "\ufeff", "\ufeff\n"])
def test_a_file_of_blanks_comes_back_as_blanks(text: str) -> None:
    kept = [original(text, HTTP)]

    assert put_back(set_value(text, HTTP, "x"), kept) == text
    assert put_back(delete(set_value(text, HTTP, "x"), ("proxies",)), kept) == text
    assert put_back(text, kept) == text


def test_an_original_comes_back_into_an_object_that_somebody_took_away() -> None:
    before = '{"a": 1, "proxies": {"http-proxy": "theirs"}}'

    assert json.loads(put_back('{"b": 2}', [original(before, HTTP)])) == {"b": 2, "proxies": {"http-proxy": "theirs"}}
    assert json.loads(put_back("", [original(before, HTTP)])) == {"proxies": {"http-proxy": "theirs"}}


def test_an_original_does_not_show_what_it_keeps() -> None:
    assert "secret" not in repr(original('{"proxies": {"http-proxy": "http://a:secret@p"}}', HTTP))


# What is read.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("", MISSING, id="empty"),
        pytest.param("{}", MISSING, id="no-parent"),
        pytest.param('{"proxies": {}}', MISSING, id="no-key"),
        pytest.param('{"proxies": {"http-proxy": null}}', None, id="null-is-not-missing"),
        pytest.param('{"proxies": {"http-proxy": ""}}', "", id="empty-is-not-missing"),
        pytest.param('{"proxies": {"http-proxy": [1, {"a": "b"}]}}', [1, {"a": "b"}], id="anything"),
        pytest.param('{"proxies": {"http-proxy": ' + "9" * 5000 + "}}", float("inf"), id="a-number-beyond-all-limits"),
    ],
)
def test_value_at(text: str, value: object) -> None:
    assert value_at(text, HTTP) == value


def test_names_are_listed_in_their_order() -> None:
    text = '{"b": 1, "proxies": {"y": 1, "x": 2}, "a": []}'

    assert names(text, ()) == ("b", "proxies", "a")
    assert names(text, ("proxies",)) == ("y", "x")
    assert names(text, ("a",)) == names(text, ("nowhere",)) == names("", ()) == ()


# What is refused.


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        pytest.param('{\n\n"a": 1\n "b": 2}', 'line 4: not JSON (expected "," or "}")', 2, id="no-comma"),
        pytest.param('{"a": [1 2]}', 'line 1: not JSON (expected "," or "]")', 10, id="no-comma-in-a-list"),
        pytest.param('{"a": 1,}', "line 1: not JSON (expected a name in quotation marks)", 9, id="trailing-comma"),
        pytest.param('{"a": [1,]}', "line 1: not JSON (expected a value)", 10, id="trailing-comma-in-a-list"),
        pytest.param("{a: 1}", "line 1: not JSON (expected a name in quotation marks)", 2, id="bare-name"),
        pytest.param('{"a" 1}', 'line 1: not JSON (expected ":")', 6, id="no-colon"),
        pytest.param('{"a": NaN}', "line 1: not JSON (expected a value)", 7, id="nan"),
        pytest.param('{"a": -Infinity}', "line 1: not JSON (expected a value)", 7, id="infinity"),
        pytest.param('{"a": 01}', 'line 1: not JSON (expected "," or "}")', 8, id="leading-zero"),
        pytest.param('{"a": ١}', "line 1: not JSON (expected a value)", 7, id="other-digits"),
        pytest.param("{'a': 1}", "line 1: not JSON (expected a name in quotation marks)", 2, id="single-quotes"),
        pytest.param("// x\n{}", "line 1: not JSON (expected a value, not a comment)", 1, id="comment-first"),
        pytest.param(
            '{\n  "a": 1 // x\n}', 'line 2: not JSON (expected "," or "}", not a comment)', 10, id="comment-behind"
        ),
        pytest.param('{"a": "x\ny"}', "line 1: not JSON (invalid control character)", 9, id="line-break-in-a-string"),
        pytest.param('{"a": "x}', "line 1: not JSON (unterminated string)", 7, id="string-left-open"),
        pytest.param(r'{"a": "\x"}', r"line 1: not JSON (invalid \escape)", 8, id="no-such-escape"),
        pytest.param('{"a": 1', 'line 1: not JSON (expected "," or "}")', 8, id="object-left-open"),
        pytest.param("{", "line 1: not JSON (expected a name in quotation marks)", 2, id="only-a-brace"),
        pytest.param("{}\n{}", "line 2: not JSON (expected nothing more)", 1, id="two-documents"),
        pytest.param("\ufeff\ufeff{}", "line 1: not JSON (expected a value)", 2, id="two-boms"),
        pytest.param("\xa0{}", "line 1: not JSON (expected a value)", 1, id="a-blank-that-is-none"),
        pytest.param("[]", "line 1: not an object", 1, id="a-list"),
        pytest.param("null", "line 1: not an object", 1, id="null"),
        pytest.param('{"proxies": null}', "line 1: proxies is not an object", 13, id="parent-is-null"),
        pytest.param('{\n"proxies": "x"}', "line 2: proxies is not an object", 12, id="parent-is-a-string"),
        pytest.param(
            '{"proxies": {},\n "proxies": {}}', 'line 2: "proxies" occurs a second time', 2, id="parent-twice"
        ),
        pytest.param(
            '{"proxies": {"http-proxy": "x", "http-prox\\u0079": "y"}}',
            'line 1: "http-proxy" occurs a second time',
            33,
            id="key-twice",
        ),
        pytest.param(
            '{"a": ' + "[" * DEEPEST + "]" * DEEPEST + "}",
            f"line 1: nested deeper than {DEEPEST} levels",
            DEEPEST + 6,
            id="too-deep",
        ),
    ],
)
def test_what_cannot_be_edited_is_refused_with_its_place(text: str, message: str, column: int) -> None:
    questions: list[Callable[[str, Path], object]] = [partial(set_value, value="x"), delete, value_at, original]
    for ask in questions:
        with pytest.raises(TextRefused) as refused:
            ask(text, HTTP)
        assert str(refused.value) == message.replace(": ", f", column {column}: ", 1)


def test_what_stands_twice_elsewhere_is_none_of_our_business() -> None:
    text = '{"a": 1, "a": 2, "proxies": {"x": 1, "x": 2}}'

    assert delete(set_value(text, HTTP, "x"), HTTP) == text


def test_depth_that_go_reads_is_no_obstacle() -> None:
    text = '{"a": ' + "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1) + "}"

    assert delete(set_value(text, ("b",), "x"), ("b",)) == text
    with pytest.raises(TextRefused, match="line 1, column 7: nested too deeply"):
        value_at(text, ("a",))


def test_bytes_of_ours_that_are_no_utf8_are_refused_and_those_of_others_survive() -> None:
    theirs = '{"a": "\udcff", "proxies": {"no-proxy": "x"}}'

    assert put_back(set_value(theirs, HTTP, "x"), [original(theirs, HTTP)]) == theirs
    with pytest.raises(TextRefused, match='"http-proxy" holds bytes that are not UTF-8'):
        original('{"proxies": {"http-proxy": "\udcff"}}', HTTP)


@given(st.text(st.sampled_from('{}[]",:\\ \n01-.eEtrufalsn/#')))
def test_json_is_what_python_takes_for_json(text: str) -> None:
    try:
        value = json.loads(text, parse_constant=lambda _: pytest.fail("not in this alphabet"))
    except ValueError:
        value = MISSING
    if text.strip(" \n") == "":
        value = {}
    if isinstance(value, dict):
        assert set(names(text, ())) == set(value)
    elif value is not MISSING:
        assert names(text, ()) == ()
    else:
        with pytest.raises(TextRefused):
            names(text, ())


@given(st.lists(st.sampled_from(["a", "b", "c"]), unique=True, min_size=1), st.sampled_from([None, 2, "\t"]))
def test_members_can_be_deleted_in_any_order(members: list[str], indent: int | str | None) -> None:
    text = json.dumps(dict.fromkeys("abc", 1), indent=indent)
    results = set()
    for order in itertools.permutations(members):
        changed = text
        for name in order:
            changed = delete(changed, (name,))
        results.add(changed)

    assert len(results) == 1
    assert json.loads(results.pop()) == {name: 1 for name in "abc" if name not in members}


@pytest.mark.parametrize(
    ("value", "what"),
    [
        pytest.param("[1, NaN]", "not JSON (expected a value)", id="no-number"),
        pytest.param('{"a": Infinity}', "not JSON (expected a value)", id="nor-that"),
        pytest.param("[1,]", "not JSON (expected a value)", id="a-comma-too-many"),
        pytest.param('{"a": 01}', 'not JSON (expected "," or "}")', id="a-zero-too-many"),
        pytest.param("[" * 10_000 + "]" * 10_000, "nested deeper than 10000 levels", id="too-deep"),
        pytest.param("[" * 9_999 + "]" * 9_999, None, id="just-not-too-deep"),
        pytest.param("[" + "[]," * 20_000 + "[]]", None, id="many-that-are-flat"),
        pytest.param("[" + "1" * 10_000 + "]", None, id="a-long-number"),
    ],
)
def test_what_nobody_asks_for_is_judged_no_less(value: str, what: str | None) -> None:
    """It is passed over by a faster way than what leads on."""
    text = '{"other": ' + value + ', "proxies": {}}'

    if what is None:
        assert value_at(text, ("proxies",)) == {}
    else:
        with pytest.raises(TextRefused) as refused:
            value_at(text, ("proxies",))
        assert refused.value.what == what
