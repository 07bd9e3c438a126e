"""Whatever somebody else wrote: what is shown of it is short, prints, can be encoded, and has no password in it."""

from __future__ import annotations

import io
import json
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from agent.audit.facts import LARGEST, of_a_record
from agent.audit.facts import plain as plain_facts
from agent.cli import printing
from agent.targets import client_config, daemon_json
from agent.targets.refused import TextRefused
from agent.values.errors import TargetFailed
from agent.values.policy import Problems
from agent.values.policy_text import parse
from agent.values.secret import HIDDEN, MORE, UNPARSABLE, escaped, escaped_lines, without_userinfo
from agent.values.settings import settings
from agent.values.shown import BOUNDS, Bounds, plain

MARK = "Zecret9"
NOTHING_SHOWS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

on_a_busy_machine = examples(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
anything = st.text(st.characters(exclude_categories=()), max_size=60)
# What a text of somebody else is likely to be made of.
pieces = st.sampled_from(
    ["://", "@", ":", "/", "//", " ", "\n", '"', "'", ",", "http", "h", "3128", "[::1]", "…", HIDDEN, UNPARSABLE, "\x1b[2K",
     "\u202e", "\ud800", "ü", "漢", "u:p@", "proxy.example", "; ", ": ", "(", ")", "=", "#", "?"]
)  # fmt: skip
somebodys = st.one_of(anything, st.lists(pieces, max_size=30).map("".join))


def prints(text: str) -> bool:
    return not {unicodedata.category(char) for char in text} & NOTHING_SHOWS and bool(text.encode()) is bool(text)


# One text.


@on_a_busy_machine
@given(somebodys, st.integers(1, 80))
def test_a_text_is_one_short_line_that_can_be_encoded(text: str, limit: int) -> None:
    shown = escaped(text, limit)

    assert len(shown) <= limit
    assert prints(shown)


@on_a_busy_machine
@given(somebodys)
def test_what_is_shown_is_shown_again_as_it_is(text: str) -> None:
    shown = escaped(text, 2000)

    assert escaped(shown, 2000) == shown
    assert plain(plain({text: [text]})) == plain({text: [text]})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Café 漢字 ÅÄÖ שלום", "Café 漢字 ÅÄÖ שלום"),
        ("\x1b]0;title\x07\r\n  note", r"\x1b]0;title\x07\x0d\x0a  note"),
        ("\u202egnp.exe\u2066\u200f", r"\u202egnp.exe\u2066\u200f"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("\ud800\udcff", r"\ud800\udcff"),
        ("\ue000\U000e0041", r"\ue000\U000e0041"),
    ],
)
def test_letters_stay_and_what_does_not_print_is_written_out(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('proxies["tcp://u:p@host"]: expected an object', f'proxies["tcp://{HIDDEN}@host"]: expected an object'),
        ("http://u:p a@ss@host x", f"http://{UNPARSABLE} x"),
        ("http://u:p@ss w@host", f"http://{UNPARSABLE}"),
        ("http://u: pass@host", f"http://{UNPARSABLE}"),
        ("http://u:pa\nss@host", f"http://{UNPARSABLE}"),
        ("http://u:p@ pass @host", f"http://{UNPARSABLE}"),
        ("http://u:p@a, pass b@host", f"http://{UNPARSABLE}"),
        ("http://u:pass", f"http://{UNPARSABLE}"),
        ("http://u:p#a?s/s@host:1", f"http://{HIDDEN}@host:1"),
        ("u:p@host:3128", f"{HIDDEN}@host:3128"),
        ("u:pa ss@host", UNPARSABLE),
        ("http://u:2024 my pass@proxy:3128 is bad", f"http://{UNPARSABLE} is bad"),
        ("http://u:12 34 5678@proxy.corp.example", f"http://{UNPARSABLE}"),
        ("http://u:123) (pass x@proxy:3128", f"http://{UNPARSABLE}"),
        ("http://u:1, pass@proxy:3128", f"http://{UNPARSABLE}"),
        ("u:pass1 pass2 pass3@proxy:3128", UNPARSABLE),
        ("token@host:3128", f"{HIDDEN}@host:3128"),
        ("localhost,u:p@h,.corp", f"{HIDDEN}@h,.corp"),
        ("u:p://w@h", f"{HIDDEN}@h"),
        ('{"http":"http://u:p@h","no":"x"}', f'{{"http":"http://{HIDDEN}@h","no":"x"}}'),
        ('parse "http://u:pass/x@h": invalid port ":pass" after host', f'parse "http://{HIDDEN}@h": invalid port "{HIDDEN}" after host'),
        ("int() with base 10: 'pass', of http://u:pass/@h", f"int() with base 10: '{HIDDEN}', of http://{HIDDEN}@h"),
        ("http://al:1, word@proxy.corp.example", f"http://{UNPARSABLE}"),
        ("http://al:1; word@h.example and bob@h.example", f"http://{UNPARSABLE}"),
        ("al:7461 :0 0@proxy:3128", f"{UNPARSABLE}"),
        ("http://alice:pass; word@proxy;http://z:1", f"http://{UNPARSABLE}"),
        ("http=alice:word@h;https=http://u:p@h", f"{HIDDEN}@h;https=http://{HIDDEN}@h"),
        ("http://u:p@h;http://a:b c", f"http://{HIDDEN}@h;http://{UNPARSABLE} c"),
        ("alice:1, word@mail.example", f"{UNPARSABLE}"),
        ("ask alice:7461. word more@mail.example of it", f"ask {UNPARSABLE} of it"),
        ("alice.smith:1, word@mail.example", f"{UNPARSABLE}"),
        ("http://alice.smith:1, word@mail.example", f"http://{UNPARSABLE}"),
        ("alice/x:word, more word@mail.example", f"{UNPARSABLE}"),
        ("http://alice:1/pa, word@mail.example", f"http://{UNPARSABLE}"),
        ("user:pa@ss@proxy.example", f"{HIDDEN}@proxy.example"),
        ("say alice:word@mail.example again", f"say {HIDDEN}@mail.example again"),
        ("http://john.smith:7 apples word@proxy.corp.example", f"http://{UNPARSABLE}"),
        ("http://alice:12, my word@proxy.corp.example", f"http://{UNPARSABLE}"),
        ('parse "http://john.smith:2024 my word@proxy.corp.example": invalid', f'parse "http://{UNPARSABLE}": invalid'),
        ("http://10.0.0.1:12 my word@proxy.corp.example", f"http://{UNPARSABLE}"),
        ("john.smith:7 apples and a word@mail.example", f"{UNPARSABLE}"),
        # Alike, so hidden alike.
        ("10.0.0.1:3128, admin@corp.example", f"{UNPARSABLE}"),
        ("http://proxy:3128, mail admin@corp.example", f"http://{UNPARSABLE}"),
        ("office: proxy.corp.example:3128 refused; ask admin@example.com", f"office: {UNPARSABLE}"),
        ("http://proxy.corp.example:3128 refused. Ask admin@example.com", f"http://{UNPARSABLE}"),
        # What is no secret.
        ("localhost:3128, mail admin@corp.example", "localhost:3128, mail admin@corp.example"),
        ("http://[fd00::1]:3128, admin@corp.example", "http://[fd00::1]:3128, admin@corp.example"),
        ("http://localhost:3128, admin@corp.example", "http://localhost:3128, admin@corp.example"),
        ("http://proxy:3128, busybox@sha256:12ab", "http://proxy:3128, busybox@sha256:12ab"),
        ("through http://proxy:3128; user@1000.service is active", "through http://proxy:3128; user@1000.service is active"),
        ("mail alice@corp.example, image busybox@sha256:12ab, unit user@1000.service", "mail alice@corp.example, image busybox@sha256:12ab, unit user@1000.service"),
        ("dial http://proxy:3128: refused", "dial http://proxy:3128: refused"),
        ("http://[fd00::1]:80/x, unix:///var/run/docker.sock, fd://", "http://[fd00::1]:80/x, unix:///var/run/docker.sock, fd://"),
        ('such as "socks5://…"', 'such as "socks5://…"'),
        ("12:30:01 started docker-proxy-agent@…, then user@1000.service", "12:30:01 started docker-proxy-agent@…, then user@1000.service"),
        ("match.gateway_mac 02:00:5e:10:00:01 at 12:30", "match.gateway_mac 02:00:5e:10:00:01 at 12:30"),
    ],
)  # fmt: skip
def test_what_is_hidden_of_a_text_and_what_is_not(text: str, shown: str) -> None:
    assert without_userinfo(text) == shown


# A password, wherever it stands.

in_a_password = st.text(st.sampled_from("aZ9 .:/@#?,;=%&'\"\\()[]\n\t\x1b\u202e\ud800ü"), max_size=6)
passwords = st.builds(lambda before, after: f"{before}{MARK}{after}", in_a_password, in_a_password).filter(
    lambda text: "://" not in text
)
users = st.sampled_from(["u", "alice", "al-ice", "john.smith", "10.0.0.1", "zoë", "a%40b"])
WHERE: Mapping[str, Callable[[str, str], str]] = {
    "alone": lambda user, password: f"http://{user}:{password}@proxy.example:3128",
    "quoted": lambda user, password: f'cannot take "http://{user}:{password}@proxy:3128": refused',
    "go": lambda user, password: f'parse "socks5://{user}:{password}@h": invalid port ":{password}" after host',
    "in-a-key": lambda user, password: f"line 1, column 9: proxies.tcp://{user}:{password}@h: expected an object",
    "behind-another": lambda user, password: f"http://a:1, https://b:2/x and then http://{user}:{password}@h",
    "before-another": lambda user, password: f"http://{user}:{password}@h, not http://proxy:1 or alice@example.com",
    "in-a-list": lambda user, password: f"localhost,.corp,http://{user}:{password}@h,127.0.0.1",
    "as-json": lambda user, password: json.dumps({"httpProxy": f"http://{user}:{password}@h"}),
    "as-repr": lambda user, password: repr(f"http://{user}:{password}@h"),
    "encoded": lambda user, password: f"http://{user}:{quote(password.encode(errors='replace'), safe='')}@h",
}


@pytest.mark.parametrize("where", WHERE)
@on_a_busy_machine
@given(user=users, password=passwords, limit=st.integers(1, 300))
def test_the_password_of_a_url_is_not_shown_wherever_the_text_is_cut(
    where: str, user: str, password: str, limit: int
) -> None:
    text = WHERE[where](user, password)

    for shown in (escaped(text, limit), escaped(escaped(text, limit), 200), "\n".join(escaped_lines(text, limit))):
        assert MARK not in shown
        for cut in range(4, len(MARK)):
            assert MARK[:cut] not in shown


@on_a_busy_machine
@given(
    user=users,
    password=passwords.filter(lambda text: not any(char.isspace() for char in text)),
    limit=st.integers(1, 99),
)
def test_nor_that_of_one_without_a_scheme(user: str, password: str, limit: int) -> None:
    text = f"no_proxy: localhost,{user}:{password}@proxy:3128 is not understood"

    assert MARK[:4] not in escaped(text, limit)


# Words of a password, of digits or with anything at their ends; no two of them are alike, and none is said elsewhere.
in_a_word = st.text(st.sampled_from("0123456789.,;:!?/#@=%&'\"()[]{}<>-_\\"), max_size=4)
words = st.lists(
    st.builds(lambda before, word, after: f"{before}{word}{after}", in_a_word, st.sampled_from(["", "7461", MARK, "zöe-9", "1"]), in_a_word),
    min_size=1,
    max_size=4,
).map(lambda many: " ".join(filter(None, many)))  # fmt: skip
proses = st.sampled_from(
    [
        "",
        "cannot dial",
        "office: refused,",
        "at 12:30:01 by proxy.corp.example:3128;",
        "user@1000.service",
        "a (b) c: d.",
    ]
)


@on_a_busy_machine
@given(
    around=st.tuples(proses, proses),
    user=st.tuples(st.sampled_from(["", "http://", "socks5://"]), users).map("".join),
    password=words.filter(lambda text: text != "" and "://" not in text),
    host=st.sampled_from(["proxy:3128", "proxy", "proxy.example:8080", "[::1]:3128"]),
    limit=st.integers(1, 300),
)
def test_nor_any_word_of_a_password_that_has_several(
    around: tuple[str, str], user: str, password: str, host: str, limit: int
) -> None:
    text = f"{around[0]} {user}:{password}@{host} {around[1]}"

    for shown in (escaped(text, 2000), escaped(text, limit)):
        for word in re.findall(r"\w{4,}", password):
            if word not in f"{around} {host} http socks5 {UNPARSABLE}":
                assert word not in shown


@on_a_busy_machine
@given(
    around=st.tuples(proses.filter(lambda text: "@" not in text), proses),
    user=st.tuples(st.sampled_from(["", "http://", "socks5://"]), users).map("".join),
    password=words.filter(lambda text: text != "" and "://" not in text),
    limit=st.integers(1, 300),
)
def test_nor_one_before_what_may_be_a_mail_address(
    around: tuple[str, str], user: str, password: str, limit: int
) -> None:
    text = f"{around[0]} {user}:{password}@mail.example {around[1]}"

    for shown in (escaped(text, 2000), escaped(text, limit)):
        for word in re.findall(r"\w{4,}", password):
            if word not in f"{around} mail.example http socks5 {UNPARSABLE}":
                assert word not in shown


@on_a_busy_machine
@given(user=users, password=passwords, scheme=st.sampled_from(["", "http://", "socks5://"]))
def test_nor_one_in_settings_in_any_of_their_values(user: str, password: str, scheme: str) -> None:
    url = f"{scheme}{user}:{password}@proxy:3128"
    for made in (
        settings("http://h", no_proxy=url),
        settings("http://h", no_proxy=f"localhost,{url},.corp"),
        settings(url, url),
        settings(all=url),
    ):
        shown = " ".join(value for _, value in made.lines())
        assert MARK.lower() not in shown.lower()
        assert MARK.lower() not in json.dumps(plain_facts(made)).lower()


def test_no_proxy_is_shown_as_far_as_it_names_hosts() -> None:
    entries = "localhost,.corp.example,*.lan,10.0.0.0/8,fd00::/8,[::1]:80,intern:8080,192.168.*,zürich.example"
    in_ascii = entries.replace("zürich", "xn--zrich-kva")  # as Docker takes it

    assert dict(settings("http://h", no_proxy=entries).lines())["no_proxy"] == ",".join(sorted(in_ascii.split(",")))
    odd = settings("http://h", no_proxy="localhost,http://intern,a b,\x1b[2K")
    assert dict(odd.lines())["no_proxy"].split(",") == [UNPARSABLE, "localhost"]


@on_a_busy_machine
@given(password=passwords)
def test_nor_one_in_the_error_of_a_file_or_a_policy(password: str) -> None:
    url = f"http://alice:{password}@proxy:3128"
    said = []
    for read, document in (
        (lambda text: client_config.texts(text, "default"), {"proxies": {url: 1}}),
        (lambda text: client_config.texts(text, "default"), {"proxies": {"default": {"httpProxy": [url]}}}),
        (daemon_json.texts, {"proxies": {"http-proxy": {url: url}}}),
    ):
        try:
            read(json.dumps(document))
        except TextRefused as error:
            said.append(str(error.failed("/home/alice/.docker/config.json")))
    assert len(said) == 3
    for text in (
        f"[upstream.a]\nurl = {json.dumps(url)}\n[[network]]\nuse = ['a']",
        f"[probe]\nregistry = [{json.dumps(url)}]",
        f"[upstream.{json.dumps(url)}]\n[[network]]\nuse = [{json.dumps(url)}]",
        f"{json.dumps(url)} = 1",
        f"[docker]\nservice = {json.dumps(url)}",
    ):
        found = parse(text)
        assert isinstance(found, Problems)
        said += found.lines

    for line in said:
        assert MARK not in escaped(line, 2000)


# Values.

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | somebodys,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(somebodys, inner, max_size=5),
    max_leaves=12,
)
SMALL = Bounds(text=20, items=3, depth=2)


def texts_in(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for item in value for text in texts_in(item)]
        case dict():
            return [*map(str, value), *(text for item in value.values() for text in texts_in(item))]
    return []


def depth_of(value: object) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + max(map(depth_of, inner)) if inner else 0


@pytest.mark.parametrize("text", ["000://0000000000000:0", "http://alice:1 http://proxy:3128/" + "0" * 9000])
def test_a_url_that_is_cut_says_the_same_again(text: str) -> None:
    for bounds in (BOUNDS, SMALL):
        shown = plain(text, bounds=bounds)
        assert plain(shown, bounds=bounds) == shown


@on_a_busy_machine
@example(":: 0[:://@0")
@given(values)
def test_a_value_is_bounded_and_every_encoder_takes_it(value: Any) -> None:
    for bounds in (BOUNDS, SMALL):
        shown = plain(value, bounds=bounds)

        assert plain(shown, bounds=bounds) == shown
        assert depth_of(shown) <= bounds.depth
        assert all(len(text) <= bounds.text and prints(text) for text in texts_in(shown))
        assert msgspec.json.decode(msgspec.json.encode(shown)) == shown
        assert json.loads(json.dumps(shown, ensure_ascii=False, allow_nan=False).encode()) == shown


def test_what_is_left_out_is_counted() -> None:
    assert plain(list(range(99)), bounds=SMALL) == [0, 1, "… and 97 more"]
    assert plain(dict.fromkeys("abcd", 1), bounds=SMALL) == {"a": 1, "b": 1, MORE: "and 2 more"}
    assert plain([[[1]], []], bounds=SMALL) == [[MORE], []]
    assert plain("x" * 99, bounds=SMALL) == "x" * 19 + MORE


@on_a_busy_machine
@given(st.dictionaries(st.sampled_from(["because", "error", "targets", "old"]), values))
def test_facts_that_fit_are_whole(facts: dict[str, Any]) -> None:
    assert of_a_record(facts) == {name: plain_facts(fact) for name, fact in facts.items()}


def test_a_record_has_a_bound_whatever_is_in_it() -> None:
    deep: list[Any] = ["漢" * 5000] * 999
    for _ in range(20):
        deep = [deep] * 999
    for fact in (["://" * 21_000] * 500, {f"{number}://": "x" * 9999 for number in range(500)}, deep[0][0][0]):
        facts = of_a_record({"error": fact, "targets": [fact, fact], "old": fact})

        assert set(facts) == {"error", "targets", "old"}
        assert len(msgspec.json.encode(facts)) <= LARGEST


@pytest.mark.parametrize(
    "unit",
    ["://", "@", ":", "//", "a:b@", "://a@", "http://a:b@", " a:b", " @", "://[", "'", '"a:b@" ', "://x ", "\x1b", "x"],
)
def test_a_quarter_of_a_megabyte_of_anything_takes_no_time(unit: str) -> None:
    """It took 19 s of the event loop for 63 KB; quadratic, this would take five minutes."""
    text = unit * (250_000 // len(unit))
    began = time.process_time()

    assert len(escaped(text, 8000)) <= 8000
    assert len(msgspec.json.encode(of_a_record({"error": text, "old": {text: [text] * 3}}))) <= LARGEST
    escaped_lines(text, 64 * 1024)
    without_userinfo(text)

    assert time.process_time() - began < 30


# A screen.


def on(encoding: str, say: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> bytes:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    printing.ready()
    say()
    stream.flush()
    monkeypatch.undo()
    return raw.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
def test_every_terminal_takes_every_line(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = "ü漢\ud800\x1b[2K\u202e\n😀 http://u:Zecret9@h"

    lines = on(encoding, lambda: printing.say(odd, odd), monkeypatch).decode(encoding).split("\n")

    assert len(lines) == 3
    assert lines[2] == ""
    assert all(prints(line) and MARK not in line for line in lines)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("as_it_stands", [True, False])
def test_json_is_json_in_every_encoding(encoding: str, as_it_stands: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"ü漢😀": ["http://u:Zecret9@h", "\ud800\x1b\u202e"]}
    say = (
        (lambda: printing.print_json_line(json.dumps(facts))) if as_it_stands else (lambda: printing.print_json(facts))
    )

    shown = on(encoding, say, monkeypatch).decode(encoding)

    assert json.loads(shown) == {"ü漢😀": [f"http://{HIDDEN}@h", r"\ud800\x1b\u202e"]}
    assert prints(shown.replace("\n", ""))


def test_a_line_of_json_that_hides_nothing_is_printed_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    line = '{"seq":1, "facts":{"because":"é"},"hash":"0"}'

    assert on("utf-8", lambda: printing.print_json_line(line), monkeypatch).decode() == f"{line}\n"


def test_an_exception_that_nobody_expected_is_shown_as_any_other_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        error = TargetFailed("/a", "\x1b[2K\r http://u:Zec ret9@h")
        sys.excepthook(type(error), error, error.__traceback__)

    shown = on("ascii", fails, monkeypatch).decode()

    assert shown.endswith("\\x1b[2K\\x0d http://<unparsable>\n")
    assert prints(shown.replace("\n", ""))
