"""config.json: four keys of one entry are the agent's, every other byte is the user's (FACTS 18, 19)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.targets.client_config import (
    OURS,
    ClientTexts,
    TextMarks,
    Wrote,
    edit,
    entries,
    originals,
    ours,
    put_back,
    repaired,
    texts,
    unmarked,
    without,
)
from agent.targets.json_splice import Original
from agent.targets.refused import TextRefused
from agent.values.secret import Secret
from agent.values.settings import DIRECT, Credentials, ProxyUrl, Scheme, Settings, settings

DEFAULT = "default"
LOCAL = "unix:///var/run/docker.sock"
URL = "http://proxy.example:3128"
OFFICE = settings(URL, URL, "localhost,.corp.example")
SOCKS = settings(None, None, "localhost", "socks5://proxy.example:1080")
OFFICE_SAID = {"httpProxy": URL, "httpsProxy": URL, "noProxy": ".corp.example,localhost"}
OFFICE_TEXTS = ClientTexts(URL, URL, ".corp.example,localhost")


def keyed(text: str) -> str:
    return hashlib.sha256(b"key" + text.encode()).hexdigest()


def wrote(said: ClientTexts) -> Wrote:
    return TextMarks.of(said, keyed).wrote(keyed)


AS_THE_CLIENT_WRITES = """\
{
	"auths": {
		"registry.example": {
			"auth": "dG9rZW4="
		}
	},
	"credHelpers": {
		"gcr.io": "gcloud"
	},
	"currentContext": "default"
}"""


def proxies(entry: str = DEFAULT, **values: str) -> str:
    return json.dumps({"proxies": {entry: values}})


# Set, read, delete.


@pytest.mark.parametrize(
    ("text", "entry", "wanted", "said"),
    [
        pytest.param(None, DEFAULT, OFFICE, {"proxies": {DEFAULT: OFFICE_SAID}}, id="into-no-file"),
        pytest.param(" \n", DEFAULT, OFFICE, {"proxies": {DEFAULT: OFFICE_SAID}}, id="into-a-blank-file"),
        pytest.param("{}", LOCAL, OFFICE, {"proxies": {LOCAL: OFFICE_SAID}}, id="the-local-engine's"),
        pytest.param('{"proxies": null}', DEFAULT, OFFICE, {"proxies": {DEFAULT: OFFICE_SAID}}, id="null"),
        pytest.param('{"proxies": {"default": null}}', DEFAULT, OFFICE, {"proxies": {DEFAULT: OFFICE_SAID}}, id="null-entry"),
        pytest.param(proxies(httpProxy="http://old:1", ftpProxy="f"), DEFAULT, OFFICE, {"proxies": {DEFAULT: OFFICE_SAID | {"ftpProxy": "f"}}}, id="ftp-is-the-user's"),
        pytest.param(proxies("tcp://other:2375", httpProxy="x"), DEFAULT, OFFICE, {"proxies": {"tcp://other:2375": {"httpProxy": "x"}, DEFAULT: OFFICE_SAID}}, id="other-entries-too"),
        pytest.param(proxies(httpProxy="http://old:1", httpsProxy="http://old:1", noProxy="x"), DEFAULT, SOCKS, {"proxies": {DEFAULT: {"noProxy": "localhost", "allProxy": "socks5://proxy.example:1080"}}}, id="keys-that-are-not-wanted-go"),
        pytest.param(proxies(**OFFICE_SAID), DEFAULT, DIRECT, {}, id="direct-leaves-nothing"),
        pytest.param(proxies(**OFFICE_SAID, ftpProxy="f"), DEFAULT, DIRECT, {"proxies": {DEFAULT: {"ftpProxy": "f"}}}, id="direct-leaves-ftp"),
        pytest.param('{"proxies": {"httpProxy": {}}}', DEFAULT, OFFICE, {"proxies": {"httpProxy": {}, DEFAULT: OFFICE_SAID}}, id="what-the-client-left-of-a-flat-key"),
        pytest.param('{"proxies": {"default": {"allProxy": "socks5://a:1", "httpProxy": null}}, "x": 1}', DEFAULT, DIRECT, {"x": 1}, id="null-is-nothing"),
    ],
)  # fmt: skip
def test_the_entry_says_what_is_wanted(text: str | None, entry: str, wanted: Settings, said: dict[str, object]) -> None:
    edited = edit(text, entry, wanted)

    assert json.loads(edited) == said
    assert texts(edited, entry).meaning() == wanted
    assert edit(edited, entry, wanted) == edited
    assert put_back(edited, originals(text, entry)) == (text or "")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(None, DIRECT, id="no-file"),
        pytest.param("", DIRECT, id="empty"),
        pytest.param('{"proxies": {"default": {}}}', DIRECT, id="an-empty-entry"),
        pytest.param(proxies(httpProxy=""), DIRECT, id="an-empty-value"),
        pytest.param(proxies(httpProxy=URL, noProxy="*"), DIRECT, id="all-excluded"),
        pytest.param(proxies(noProxy="localhost"), DIRECT, id="exclusions-alone"),
        pytest.param(proxies(LOCAL, **OFFICE_SAID), DIRECT, id="another-entry"),
        pytest.param(proxies(httpProxy="HTTP://Proxy.Example:3128/", httpsProxy="proxy.example:3128", noProxy=" .CORP.example , localhost"), OFFICE, id="another-spelling"),
    ],
)  # fmt: skip
def test_a_file_that_means_it_already_is_returned_as_it_is(text: str | None, wanted: Settings) -> None:
    assert edit(text, DEFAULT, wanted) == (text or "")


def test_a_new_file_is_written_as_the_client_writes_it() -> None:
    written = edit(None, DEFAULT, OFFICE)

    assert written == (
        '{\n\t"proxies": {\n\t\t"default": {\n\t\t\t"httpProxy": "http://proxy.example:3128",\n'
        '\t\t\t"httpsProxy": "http://proxy.example:3128",\n\t\t\t"noProxy": ".corp.example,localhost"\n\t\t}\n\t}\n}\n'
    )
    assert edit(edit(written, DEFAULT, DIRECT), DEFAULT, OFFICE) == written
    assert edit("{ \r\n}\r\n", DEFAULT, OFFICE) == written.replace("\n", "\r\n")


@pytest.mark.parametrize(
    "text", ["\ufeff", '\ufeff{"auths":{}}\r\n', '\ufeff{"proxies":{"default":{"httpProxy":"http://h"}}}']
)
def test_a_file_that_begins_with_a_byte_order_mark_is_refused(text: str) -> None:
    """The docker client takes nothing of it, so what stands there is never right."""
    for read in (texts, originals):
        with pytest.raises(TextRefused, match=r"line 1, column 1: .*\(BOM\)"):
            read(text, DEFAULT)
    for wanted in (OFFICE, DIRECT):
        with pytest.raises(TextRefused, match="BOM"):
            edit(text, DEFAULT, wanted)


def test_a_file_that_was_ours_and_got_a_byte_order_mark_is_still_put_back() -> None:
    kept = originals(AS_THE_CLIENT_WRITES, DEFAULT)
    marked = "\ufeff" + edit(AS_THE_CLIENT_WRITES, DEFAULT, OFFICE)

    assert put_back(marked, kept) == "\ufeff" + AS_THE_CLIENT_WRITES
    assert not unmarked(marked, DEFAULT).holds_secret


def test_a_file_of_the_client_gets_ours_in_its_own_style() -> None:
    edited = edit(AS_THE_CLIENT_WRITES, DEFAULT, settings(URL))

    ours_written = ',\n\t"proxies": {\n\t\t"default": {\n\t\t\t"httpProxy": "http://proxy.example:3128"\n\t\t}\n\t}\n}'
    assert edited == AS_THE_CLIENT_WRITES.removesuffix("\n}") + ours_written
    assert edit(edited, DEFAULT, DIRECT) == AS_THE_CLIENT_WRITES


def test_an_agent_that_goes_direct_leaves_json() -> None:
    """An empty file is none, and not every reader of config.json takes it."""
    edited = edit("", DEFAULT, OFFICE)

    assert edit(edited, DEFAULT, DIRECT, originals("", DEFAULT)) == "{}\n"
    assert put_back(edited, originals("", DEFAULT)) == ""


# Random documents.

blanks = st.text(st.sampled_from(" \t\n\r"), max_size=2)
characters = st.characters(exclude_categories=["Cs"])
scalars = st.one_of(
    st.text(characters, max_size=4).map(json.dumps),
    st.text(characters, max_size=4).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(["0", "1e5", "true", "null", "[]", "[ 1,\t{} ]", r'"\u0041\/"', "{ }"]),
)
values = st.sampled_from(
    ['""', '"http://proxy.example:3128"', '"b:2"', '"http://u:p@h:1"', '"not a url"', '"*"', '"a, b"', "null"]
)


def objects(named: dict[str, st.SearchStrategy[str]], other: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """An object with some of these names and some others, in any order, with blanks anywhere."""

    @st.composite
    def drawn(draw: st.DrawFn) -> str:
        foreign = st.text(characters, max_size=3).filter(lambda name: name.casefold() not in FOLDED)
        names = draw(st.lists(st.one_of(st.sampled_from(sorted(named)), foreign), max_size=4, unique=True))
        members = [
            f"{draw(blanks)}{json.dumps(name)}{draw(blanks)}:{draw(blanks)}{draw(named.get(name, other))}{draw(blanks)}"
            for name in names
        ]
        return "{" + (",".join(members) or draw(blanks)) + "}"

    return drawn()


FOLDED = {name.casefold() for name in ("proxies", *OURS)}
entries_of_proxies = objects(dict.fromkeys((*OURS, "ftpProxy"), values), scalars)
all_proxies = objects(
    {DEFAULT: entries_of_proxies, LOCAL: entries_of_proxies}, st.sampled_from(["{}", "null", '{"x": 1}'])
)
documents = st.builds(
    lambda before, body, after: before + body + after,
    blanks,
    objects({"proxies": st.one_of(all_proxies, st.just("null")), "auths": st.just('{"r": {"auth": "dA=="}}')}, scalars),
    blanks,
)
some_texts = st.one_of(documents, blanks)

words = st.text(characters, min_size=1, max_size=6)
urls = st.builds(
    ProxyUrl,
    st.sampled_from(Scheme),
    st.sampled_from(["proxy.example", "172.17.0.1", "fd00::1"]),
    st.integers(1, 65535),
    st.one_of(st.none(), st.builds(Credentials, words, st.one_of(st.none(), st.builds(Secret, words)))),
)
maybe_urls = st.one_of(st.none(), urls)
exclusions = st.lists(st.sampled_from(["localhost", ".corp.example", "10.0.0.0/8", "ä", 'q"\\']), max_size=3)
wanted_settings = st.builds(settings, maybe_urls, maybe_urls, exclusions, maybe_urls)
any_entry = st.sampled_from([DEFAULT, LOCAL])


@given(some_texts, any_entry, st.lists(wanted_settings, min_size=1, max_size=3))
def test_whatever_is_written_puts_back_to_the_byte(text: str, entry: str, choices: list[Settings]) -> None:
    kept = originals(text, entry)

    edited = text
    for wanted in choices:
        edited = edit(edited, entry, wanted, kept)
        assert texts(edited, entry).meaning() == wanted
        assert without_ours(edited, entry) == without_ours(text, entry)

    assert put_back(edited, kept) == text


@given(some_texts, any_entry, wanted_settings)
def test_set_and_deleted_is_the_very_same_text(text: str, entry: str, wanted: Settings) -> None:
    bare = without(text, entry, OURS)
    kept = originals(bare, entry)

    edited = edit(bare, entry, wanted, kept)

    after = edit(edited, entry, DIRECT, kept)
    assert after == bare or (not bare.strip() and json.loads(after) == {})


@given(some_texts, any_entry, wanted_settings)
def test_what_others_write_meanwhile_survives_a_restore(text: str, entry: str, wanted: Settings) -> None:
    kept = originals(text, entry)
    edited = edit(text, entry, wanted, kept)
    said = json.loads(edited) if edited.strip() else {}
    rewritten = json.dumps(said | {"auths": {"new": {"auth": "dG9rZW4="}}}, indent="\t")

    after = put_back(rewritten, kept)

    assert json.loads(after)["auths"] == {"new": {"auth": "dG9rZW4="}}
    assert texts(after, entry) == texts(text, entry)


def without_ours(text: str, entry: str) -> object:
    """What the file says beside our keys; objects that are empty without them are as if they were not there."""
    said: dict[str, Any] = json.loads(text) if text.strip() else {}
    said["proxies"] = {name: value or {} for name, value in (said.get("proxies") or {}).items()}
    mine = said["proxies"].pop(entry, {})
    return said, {name: value for name, value in mine.items() if name not in OURS}


@given(
    blanks.map(lambda blank: blank + '{"a": 1,' + blank + '"proxies":' + blank + "@}"),
    st.sampled_from(['"x"', '{"default": {"noProxy": \n 1}}', '{"a":1}']),
)
def test_an_error_names_the_very_place(around: str, broken: str) -> None:
    text = around.replace("@", broken)

    with pytest.raises(TextRefused) as refused:
        texts(text, DEFAULT)

    line = text.splitlines()[refused.value.line - 1] if "\r" not in text else text.split("\n")[refused.value.line - 1]
    assert line[refused.value.column - 1] in '"1'
    assert line[refused.value.column - 1 :].startswith(('"x"', "1"))


@given(some_texts, any_entry)
def test_originals_survive_their_file(text: str, entry: str) -> None:
    kept = originals(text, entry)

    decoded = msgspec.json.decode(msgspec.json.encode(kept), type=tuple[Original, ...])

    assert decoded == kept
    assert entries(decoded) == (entry,)


# Passwords.


def test_user_and_password_are_written_only_if_they_are_wanted() -> None:
    secret = settings(ProxyUrl(Scheme.HTTP, "proxy.example", 3128, Credentials("alice", Secret("p#ss@"))))

    edited = edit("{}", DEFAULT, secret)

    assert json.loads(edited)["proxies"][DEFAULT] == {"httpProxy": "http://alice:p%23ss%40@proxy.example:3128"}
    assert texts(edited, DEFAULT).holds_secret
    assert not texts(edit(edited, DEFAULT, OFFICE), DEFAULT).holds_secret
    assert texts(proxies(allProxy="socks5://token@a:1"), DEFAULT).holds_secret


def test_values_and_originals_never_show() -> None:
    text = proxies(httpProxy="http://alice:hunter2@a:1")

    assert "hunter2" not in repr(texts(text, DEFAULT)) + repr(originals(text, DEFAULT))


# What is broken.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"proxies": {\n"httpProxy": "http://a:1"}}', "line 2, column 14: proxies.httpProxy: expected an object; the client reads proxies.default.httpProxy", id="flat"),
        pytest.param('{"proxies": {"default": {},\n"ftpProxy": "a"}}', "line 2, column 13: proxies.ftpProxy: expected an object; the client reads proxies.default.ftpProxy", id="flat-ftp"),
        pytest.param('{"proxies": {"default": "http://a:1"}}', "line 1, column 25: proxies.default: expected an object", id="an-entry-that-is-a-string"),
        pytest.param('{"proxies": {"tcp://a:1": []}}', "line 1, column 27: proxies.tcp://a:1: expected an object", id="another-entry"),
        pytest.param('{"proxies": []}', "line 1, column 13: proxies: expected an object", id="a-list"),
        pytest.param('{"proxies": {"default": {"noProxy": ["a"]}}}', "line 1, column 37: proxies.default.noProxy: expected a string", id="a-value-that-is-a-list"),
        pytest.param('{"proxies": {"default": {"allProxy": false}}}', "line 1, column 38: proxies.default.allProxy: expected a string", id="a-value-that-is-no-string"),
        pytest.param('{"Proxies": {}}', "line 1, column 13: Proxies must be spelled proxies", id="another-spelling"),
        pytest.param('{"proxies": {"default": {"HTTPProxy": "x"}}}', "line 1, column 39: HTTPProxy must be spelled httpProxy", id="of-a-key"),
        pytest.param('{"proxies": {"default": {}, "default": null}}', 'line 1, column 29: "default" occurs a second time', id="an-entry-twice"),
        pytest.param('{"proxies": {"default": {"noProxy": "", "noProxy": "*"}}}', 'line 1, column 41: "noProxy" occurs a second time', id="a-key-twice"),
        pytest.param('{"a": 1,\n "proxies": {"default": {"x": "' + "a" * 65536 + '"}}}', "line 2, column 13: proxies: longer than 64 KiB", id="long"),
        pytest.param("{" + '"":1,' * 5000 + '"a":1}', "has more than 5000 entries", id="many-entries"),
        pytest.param("[" * 5001, "has more than 5000 entries", id="many-that-are-not-even-json"),
        pytest.param('{"a": 1,\n "proxies": {"default": {' + '"x,":1,' * 500 + '"a":1}}}', "line 2, column 13: proxies: has more than 500 entries", id="many-in-proxies"),
        pytest.param("[]", "line 1, column 1: not an object", id="a-list-for-a-file"),
        pytest.param('{"auths": {},}', "line 1, column 14: not JSON (expected a name in quotation marks)", id="not-json"),
    ],
)  # fmt: skip
def test_what_the_client_could_not_tell_is_refused_with_its_name(text: str, message: str) -> None:
    for refuse in (
        lambda: texts(text, DEFAULT),
        lambda: originals(text, DEFAULT),
        lambda: edit(text, DEFAULT, OFFICE),
        lambda: edit(text, DEFAULT, DIRECT),
        lambda: repaired(text, DEFAULT, (), wrote(OFFICE_TEXTS)),
    ):
        with pytest.raises(TextRefused) as refused:
            refuse()
        assert str(refused.value) == message


def test_the_bound_on_entries_is_the_first_number_that_is_refused() -> None:
    most = "{" + '"":1,' * 4999 + '"a":1}'

    assert texts(most, DEFAULT) == ClientTexts()
    with pytest.raises(TextRefused, match=r"^has more than 5000 entries$"):
        put_back(most.replace("1}", "[]}"), originals("{}", DEFAULT))


def test_commas_in_a_string_are_no_entries_of_proxies() -> None:
    text = proxies(noProxy=",".join(f'"a{number}\\' for number in range(1_000)))

    assert texts(text, DEFAULT).no_proxy.count(",") == 999


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{" + "\n" * 600_000 + proxies(httpProxy=URL)[1:], id="white-space-before"),
        pytest.param('{"proxies": {"default": {' + " " * 17_000 + "}}}", id="in-an-empty-object"),
        pytest.param("\n" * 600_000, id="nothing-but-white-space"),
        pytest.param('{"' + "a" * 600_000 + '": 1, "proxies": {}}', id="the-name-before"),
        pytest.param(proxies(noProxy="a" * 17_000), id="a-value"),
    ],
)
def test_what_would_have_to_be_kept_of_one_file_is_bounded(text: str) -> None:
    assert texts(text, DEFAULT).http in ("", URL)  # it is understood

    with pytest.raises(TextRefused) as refused:
        originals(text, DEFAULT)

    what = "more than 16 KiB of white space, names and values at our keys, which would have to be kept"
    assert str(refused.value) == what


def test_white_space_elsewhere_is_not_kept_and_counts_for_nothing() -> None:
    text = proxies(noProxy="a" * 2_000)[:-1] + ', "auths": {}' + "\n" * 600_000 + "}"

    kept = originals(text, DEFAULT)

    assert put_back(edit(text, DEFAULT, OFFICE, kept), kept) == text


MADE_BY_US = originals('{"auths": {}}', DEFAULT)
IN_THE_USERS_PROXIES = originals('{"proxies": {"tcp://a:1": {}}}', DEFAULT)
IN_THE_USERS_ENTRY = originals(proxies(ftpProxy="f"), DEFAULT)


@pytest.mark.parametrize(
    ("broken", "kept", "after"),
    [
        pytest.param('{"auths": {}, "proxies": []}', MADE_BY_US, '{"auths": {}}', id="proxies-that-we-made"),
        pytest.param('{"proxies": []}', IN_THE_USERS_PROXIES, None, id="proxies-of-the-user"),
        pytest.param('{"proxies": {"default": "x", "tcp://a:1": {}}}', IN_THE_USERS_PROXIES, '{"proxies": { "tcp://a:1": {}}}', id="an-entry-that-we-made"),
        pytest.param('{"proxies": {"default": "x"}}', IN_THE_USERS_ENTRY, None, id="an-entry-of-the-user"),
        pytest.param('{"proxies": {"default": {"ftpProxy": "f", "noProxy": 7}}}', IN_THE_USERS_ENTRY, '{"proxies": {"default": {"ftpProxy": "f"}}}', id="a-key-of-ours"),
        pytest.param('{"proxies": {"tcp://a:1": 7}}', MADE_BY_US, None, id="an-entry-that-is-not-ours"),
        pytest.param(json.dumps({"auths": {}, "proxies": OFFICE_SAID}), MADE_BY_US, '{"auths": {}}', id="flat-with-what-we-wrote"),
        pytest.param(json.dumps({"proxies": OFFICE_SAID | {"httpProxy": "http://other:1"}}), MADE_BY_US, None, id="flat-with-something-else"),
        pytest.param('{"proxies": {"ftpProxy": "f"}}', MADE_BY_US, None, id="flat-ftp"),
        pytest.param('{"Proxies": {}}', MADE_BY_US, None, id="another-spelling"),
        pytest.param('{"proxies": {"default": {"httpProxy": 1, "httpsProxy": [], "allProxy": {}}}}', MADE_BY_US, "{}", id="several"),
        pytest.param(proxies(**OFFICE_SAID), MADE_BY_US, proxies(**OFFICE_SAID), id="nothing-is-broken"),
    ],
)  # fmt: skip
def test_what_is_broken_is_repaired_only_if_the_agent_made_it(
    broken: str, kept: tuple[Original, ...], after: str | None
) -> None:
    if after is None:
        with pytest.raises(TextRefused):
            repaired(broken, DEFAULT, kept, wrote(OFFICE_TEXTS))
        return

    assert repaired(broken, DEFAULT, kept, wrote(OFFICE_TEXTS)) == after


def test_what_belongs_to_another_entry_repairs_nothing_in_this_one() -> None:
    with pytest.raises(TextRefused):
        repaired('{"proxies": {"default": 1}}', DEFAULT, originals("{}", LOCAL), wrote(OFFICE_TEXTS))


def test_half_a_character_is_read_as_go_reads_it() -> None:
    assert texts('{"proxies": {"default": {"noProxy": "a\\ud800,\udcff"}}}', DEFAULT) == ClientTexts(
        no_proxy="a\ufffd,\ufffd"
    )


# What was last written, by marks.

# Each list has spellings of one value of one key: all the same within, and none the same across.
SPELLINGS = [
    ("httpProxy", ["http://a:1", "HTTP://A:1/", "a:1"]),
    ("httpProxy", ["http://u:p@a:1", "u:%70@a:1"]),
    ("httpProxy", ["http://xxxxx:xxxxx@a:1", "xxxxx:xxxxx@A:1"]),
    ("httpProxy", ["not a url"]),
    ("httpProxy", ["another that is none"]),
    ("httpsProxy", ["http://a:1", "a:1"]),
    ("noProxy", ["a,b", "B, a.", "b,a,a"]),
    ("noProxy", ["a"]),
    ("allProxy", ["socks5://a", "socks5://a:1080"]),
]  # fmt: skip


def test_spellings_of_one_value_have_one_mark_and_two_values_have_two() -> None:
    for number, (key, spellings) in enumerate(SPELLINGS):
        for spelling in spellings:
            knows = wrote(ClientTexts(**{FIELD[key]: spelling}))
            for other, (name, values) in enumerate(SPELLINGS):
                assert {knows(name, value) for value in values} == {other == number}, (spelling, values)


FIELD = {"httpProxy": "http", "httpsProxy": "https", "noProxy": "no_proxy", "allProxy": "all"}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        pytest.param(ClientTexts("a:1"), ClientTexts("http://A:1/"), True, id="a-spelling"),
        pytest.param(ClientTexts("a:1"), ClientTexts("a:1", "a:1"), False, id="one-more"),
        pytest.param(ClientTexts("a:1"), ClientTexts("", "a:1"), False, id="another-key"),
        pytest.param(ClientTexts("a:1", no_proxy="*"), ClientTexts(), True, id="both-direct"),
        pytest.param(ClientTexts("u:p@a:1"), ClientTexts("u:q@a:1"), False, id="another-password"),
        pytest.param(ClientTexts("no url"), ClientTexts("none either"), False, id="neither-is-a-url"),
    ],
)
def test_whether_all_together_mean_the_same(one: ClientTexts, other: ClientTexts, is_same: bool) -> None:
    assert (one.meaning() == other.meaning()) is is_same
    assert TextMarks.of(one, keyed).means(other, keyed) is is_same


# Whose a value is.

NEVER: tuple[Original, ...] = ()


@pytest.mark.parametrize(
    ("text", "kept", "last", "mine"),
    [
        pytest.param(proxies(**OFFICE_SAID), NEVER, OFFICE_TEXTS, (), id="never-written"),
        pytest.param(proxies(**OFFICE_SAID), MADE_BY_US, OFFICE_TEXTS, ("httpProxy", "httpsProxy", "noProxy"), id="as-written"),
        pytest.param(proxies(httpProxy="PROXY.example:3128", noProxy="mine"), MADE_BY_US, OFFICE_TEXTS, ("httpProxy",), id="half-of-it-in-another-spelling"),
        pytest.param(proxies(allProxy="socks5://a:1"), MADE_BY_US, OFFICE_TEXTS, (), id="a-key-that-we-did-not-write"),
        pytest.param(proxies(httpProxy="not a url"), MADE_BY_US, ClientTexts(http="other nonsense"), (), id="other-nonsense-than-we-wrote"),
        pytest.param(proxies(httpProxy=URL), MADE_BY_US, None, ("httpProxy",), id="not-known-and-not-the-original"),
        pytest.param(proxies(httpProxy=URL, noProxy="b,a"), originals(proxies(noProxy="a,b"), DEFAULT), None, ("httpProxy",), id="not-known-and-the-original"),
    ],
)  # fmt: skip
def test_whose_a_value_is(
    text: str, kept: tuple[Original, ...], last: ClientTexts | None, mine: tuple[str, ...]
) -> None:
    assert ours(text, DEFAULT, kept, None if last is None else wrote(last)) == mine
