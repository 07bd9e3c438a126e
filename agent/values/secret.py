"""What may be shown, and the type of what may not.

A `Secret` never shows itself; only the encoders of targets and streams call `.reveal()`, so that one grep finds
every place. A value that is known to be a proxy's URL passes `redacted`. Every other text of somebody else passes
`escaped`: cut, redacted and on one line. `cli/printing.py` lets nothing onto a screen that did not, and `shown.py`
nothing into what a program reads or a file keeps; so whoever composes a text may, and need not, do it before.

What stands in a text is not known, so what might be a user or a password is taken for one: too much is hidden rather
than too little. Nothing here takes longer than the length of the text.
"""

from __future__ import annotations

import re
import string
from typing import Final, NoReturn

import msgspec

HIDDEN: Final = "•••"
UNPARSABLE: Final = "‹unparsable›"
CUT: Final = 200  # characters of foreign text: enough for a sentence, too little for a page
MORE: Final = "…"  # where something was cut

_URL = re.compile(
    r"""(?P<scheme>[a-z][a-z0-9+.-]*://)?
        (?:(?P<user>[^/?\#\s]*)@)?
        (?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)
        (?P<port>:[0-9]{1,5})?
        /?""",
    re.VERBOSE | re.IGNORECASE,
)


class Secret:
    """A text that `str`, `repr`, formats, pickles and encoders do not show."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the encoder of a target or a stream and for nobody else."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, _spec: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied into a message")


# A value that is a URL.


def redacted(url: str) -> str:
    """A proxy's URL without its user and password; `‹unparsable›` rather than a guess where they may lie."""
    if not url:
        return ""
    parts = _URL.fullmatch(url)
    if parts is None:
        return UNPARSABLE
    user = "" if parts["user"] is None else f"{HIDDEN}@"
    return f"{parts['scheme'] or ''}{user}{parts['host']}{parts['port'] or ''}"


# Any text.


def escaped(text: str, limit: int = CUT) -> str:
    """Foreign text on one line: at most `limit` characters, no user or password, nothing that does not print.

    What a terminal would obey, a line break, a mark that turns the direction of writing and half a character are
    written as `\\x1b`, `\\u202e`; letters of every language stay.
    """
    shown = without_userinfo(printable(text[:limit]), text[limit:])
    is_cut = len(text) > limit
    if len(shown) + is_cut <= limit:
        return f"{_whole(shown)}{MORE}" if is_cut else shown
    return f"{_whole(shown[: limit - 1])}{MORE}"


def _whole(text: str) -> str:
    """Without the half of a URL, or of a mark, at its end: nobody who sees it again knows the other half."""
    url = text.find("://", text.rfind(" ") + 1)
    if url >= 0:
        return text[: url + len("://")]
    for mark in (UNPARSABLE, f"{HIDDEN}@"):
        for length in range(len(mark) - 1, 0, -1):
            if text.endswith(mark[:length]):
                return text[:-length]
    return text


def escaped_lines(text: str, limit: int) -> list[str]:
    """The same of a text that has lines, such as a traceback: each of them, so that none can be put between them."""
    shown = without_userinfo("\n".join(map(printable, text[:limit].split("\n"))), text[limit:])
    lines = shown.removesuffix("\n").split("\n")
    return [*lines, MORE] if len(text) > limit else lines


def printable(text: str) -> str:
    """The text with everything that does not print written out. It can be encoded in UTF-8."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_WORD = re.compile(r"\S+")
_OPENING: Final = "\"'`([{<“„«"
_CLOSING: Final = ",;:.!?)]}>\"'`”»"
_IN_SCHEME: Final = string.ascii_letters + string.digits + "+.-"
_SEGMENT_ENDS: Final = "\"'`=([{<,;"
_HIDDEN_BEFORE: Final = tuple(f"{end}{HIDDEN}" for end in _SEGMENT_ENDS)
_PORT = re.compile(r":[0-9]{1,5}(?!\w)")
_NO_PORT = re.compile(r"://[\w.-]+:\Z")
_HOST = re.compile(r"\ue000*(?:\[[0-9A-Fa-f:.%]+\]|[\w.-]*)(?::[0-9]{1,5})?")
# What may stand behind a host and a port where no user or password is meant.
_BEHIND_HOST = re.compile(r"""[/?#,;)\]}>"'`”»]|\\["'/]|[:!]*\Z""")
# A `:` after which no password begins: of a digest, of a clock, of a network card.
_NO_PASSWORD = re.compile(
    r"""[\w./:-]*@sha256:[0-9a-f]+
        |(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T)?[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?
        |(?:[0-9a-f]{2}:){5}[0-9a-f]{2}""",
    re.VERBOSE | re.IGNORECASE,
)
_USER = re.compile(r":(?=\S)")
# A host that is hardly a user: an address or a name with a dot, or one with a port at the end of a clause.
_SURELY_HOST = re.compile(
    r"""(?:\[[0-9a-f:.%]+\]|[\w-]+(?:\.[\w-]+)+)(?::[0-9]{1,5})?(?![\w:@])
        |[\w-]+(?::[0-9]{1,5})?[,;.)\]}"'`”»/]
        |/""",
    re.VERBOSE | re.IGNORECASE,
)
# Behind the `@` of a proxy, and not of a mail address or a unit: a name without a dot, or a port.
_SURELY_PROXY = re.compile(r"@(?:\[[0-9a-f:.%]+\]|[\w.-]*:[0-9]{1,5}(?!\w)|[\w-]+\.?(?![\w.:-]))", re.IGNORECASE)
# What nobody has for a user, whatever stands behind it.
_NO_USER = re.compile(r"(?:localhost|\[[0-9a-f:.%]+\])(?![\w.-])[^:]*(?::[0-9]{1,5}(?![\w:@]))?", re.IGNORECASE)
# A host without a dot, and a port. But a user, and a number with which a password begins, look the same.
_BARELY_HOST = re.compile(r"[\w-]+:")
_OF_A_UNIT = re.compile(r"@[\w.:-]*\.(?:service|socket|scope|slice|target|mount|timer|path|device|swap)\b")
_REMEMBERED: Final = 4096  # characters of what was hidden
_PIECES: Final = (
    re.compile(r"""(?P<quote>["'])(?P<it>(?:(?!(?P=quote)).){2,})(?:(?P=quote)|\Z)""", re.DOTALL),
    re.compile(r"""(?P<it>[^\s"']{4,})"""),
)
# What was hidden before counts as nothing, so that no text is hidden twice: a character that does not print, as often.
_NOTHING: Final = "\ue000"
_MASKS: Final = {f"://{shown}": "://" + _NOTHING * len(shown) for shown in (f"{HIDDEN}@", UNPARSABLE, MORE)}


def without_userinfo(text: str, rest: str = "") -> str:
    """A text in which no URL has a user or a password left. `rest` follows on it, and is not shown.

    Hidden is what stands before an `@`: from `://` on, or from the beginning of a word with a `:` in it. A password may
    hold blanks: so what stands behind `://` and is no host hides all up to the last `@` there is; what was hidden goes
    on to a later `@` that has no URL of its own; and so does all that may be a user and a password, which a host and a
    port may be, too. But what is surely a host does not go on to the `@` of a unit or a digest, `http://proxy:3128;
    user@1000.service`, nor do `localhost` and an IPv6 address go on to that of a mail address.
    """
    if ":" not in text and "@" not in text and "@" not in rest:
        return text
    return _Redaction(text, rest).shown()


class _Span(msgspec.Struct):
    """What is shown instead of a part of the text."""

    begin: int
    end: int
    shown: str


class _Redaction:
    """One way through a text, word by word."""

    def __init__(self, text: str, rest: str) -> None:
        self._text = text
        self._spans: list[_Span] = []
        self._open: _Span | None = None  # no host behind `://`: it goes on to the last `@` there is
        self._begun: int | None = None  # where the last begins that was hidden up to an `@`
        # Since the last `://`, where the first begins that may be a user and a password.
        self._maybe: int | None = None
        self._likely: int | None = None  # the same, but of what somebody may have for a user
        self._rather: int | None = None  # the same, but of what is not surely a host
        self._find(rest)

    def _find(self, rest: str) -> None:
        begun: int | None = None  # where, in the word before, a user and a password with a blank may begin
        for match in _WORD.finditer(self._text):
            begun = self._word(match[0], match.start(), rest if match.end() == len(self._text) else "", begun)
        if self._open is not None:
            begun = self._open.begin
        may_begin = [begin for begin in (begun, self._begun, self._maybe) if begin is not None]
        if may_begin and "@" in rest:
            self._hide(min(may_begin), len(self._text))

    def shown(self) -> str:
        pieces, hidden, at = [], [], 0
        for span in self._spans:
            pieces += [self._text[at : span.begin], span.shown]
            hidden.append(self._text[span.begin : span.end])
            at = span.end
        text = "".join((*pieces, self._text[at:]))
        return _not_again(text, "\n".join(hidden)[:_REMEMBERED]) if hidden else text

    def _word(self, word: str, at: int, rest: str, begun: int | None) -> int | None:
        """Hides what is to be hidden of it; where in it something may begin that the next word goes on with."""
        end = at + len(word)
        masked = _masked(word)
        first = masked.find("://")
        if begun is None and first < 0:
            begun = self._begun
        if self._open is not None:
            begun = self._open.begin
        goes_on = _WORD.match(rest)
        if goes_on is not None and "@" in goes_on[0]:
            self._hide(at if begun is None else begun, end)
            return None
        before = self._begun_before(masked)
        if "@" in masked and (begun is not None or before is not None):
            self._hide(min(one for one in (begun, before) if one is not None), end)
            return None
        if first >= 0:
            self._url(masked, at, first, is_cut=goes_on is not None)
        else:
            self._without_scheme(masked, at)
        self._remember(masked, at, first)
        if masked[-1] in _CLOSING and not _NO_PORT.search(masked):
            return None
        return at + (first + len("://") if first >= 0 else _begin(masked)) if ":" in masked else None

    def _begun_before(self, word: str) -> int | None:
        """Where in the words before it may begin what ends at its `@`, if that is of no URL of its own."""
        if "@" not in word.partition("://")[0]:
            return None
        if _OF_A_UNIT.search(word) is not None or _is_digest(word):
            return self._rather
        # Else a mail address looks like the end of a password: `http://john.smith:7 apples word@proxy.example`.
        return self._maybe if _is_proxy(word) else self._likely

    def _remember(self, word: str, at: int, first: int) -> None:
        begin = _begin(word)
        if first >= 0:
            begin = first + len("://")
            self._maybe = self._likely = self._rather = None
        elif not _USER.search(word, begin) or _NO_PASSWORD.fullmatch(word[begin:].rstrip(_CLOSING)):
            return
        if _NOTHING in word:
            return
        if self._maybe is None:
            self._maybe = at + begin
        if self._likely is None and not _is_no_user(word, begin):
            self._likely = at + begin
        if self._rather is None and not _is_surely_host(word, begin, has_scheme=first >= 0):
            self._rather = at + begin

    def _url(self, word: str, at: int, first: int, *, is_cut: bool) -> None:
        last = word.rfind("@")
        if last > first:
            begin = first + len("://")
            segment = _segment(word[:first].rstrip(_IN_SCHEME))
            if segment is not None:  # `alice:pass://word@host`
                begin = segment
            self._without_scheme(word[: first if segment is None else segment], at)
            if _is_host(word, last + 1, is_cut=is_cut, may_be_empty=False):
                self._spans.append(_Span(at + begin, at + last + 1, f"{HIDDEN}@"))
                self._begun = at + begin
            else:
                self._hide(at + begin, at + len(word))
                return
            first = word.find("://", last)
        else:
            self._without_scheme(word[:first], at)
        while first >= 0:
            if not _is_host(word, first + len("://"), is_cut=is_cut, may_be_empty=True):
                self._hide(at + first + len("://"), at + len(word))
                return
            first = word.find("://", first + 1)

    def _without_scheme(self, word: str, at: int) -> None:
        """`alice:pass@host`, `token@host:3128`; but not `alice@example.com`, `user@1000.service`, `image@sha256:…`."""
        begin, last, end = _begin(word), word.rfind("@"), len(word)
        while last >= 0 and word.endswith(_HIDDEN_BEFORE, begin, last):
            end = last - len(HIDDEN)
            last = word.rfind("@", 0, last)
        if last >= 0 and (":" in word[begin:last] or _PORT.search(word, last, end)):
            self._spans.append(_Span(at + begin, at + last + 1, f"{HIDDEN}@"))
            self._begun = at + begin

    def _hide(self, begin: int, end: int) -> None:
        """Nothing of it is shown, but for punctuation at its end."""
        while self._spans and self._spans[-1].begin >= begin:
            self._spans.pop()
        while end > begin and self._text[end - 1] in _CLOSING:
            end -= 1
        self._open = _Span(begin, end, UNPARSABLE)
        self._spans.append(self._open)


def _not_again(text: str, hidden: str) -> str:
    """Go and Python say once more what they do not like of a URL, which may be a piece of the password."""

    def shown(piece: re.Match[str]) -> str:
        return piece[0].replace(piece["it"], HIDDEN) if piece["it"] in hidden else piece[0]

    for pieces in _PIECES:
        text = pieces.sub(shown, text)
    return text


def _is_digest(word: str) -> bool:
    return _NO_PASSWORD.fullmatch(word[_begin(word) :].rstrip(_CLOSING)) is not None


def _is_proxy(word: str) -> bool:
    """Whether its `@` stands before a proxy. A digest, a mail address, and a unit have one, too."""
    begin = _begin(word)
    if _is_digest(word):
        return False
    return ":" in word[begin : word.rfind("@")] or _SURELY_PROXY.search(word, word.rfind("@")) is not None


def _masked(word: str) -> str:
    for hidden, nothing in _MASKS.items():
        word = word.replace(hidden, nothing)
    for hidden in _HIDDEN_BEFORE:
        word = word.replace(f"{hidden}@", hidden[0] + _NOTHING * len(f"{HIDDEN}@"))
    begin = _begin(word)
    if word.startswith(f"{HIDDEN}@", begin):
        return word[:begin] + _NOTHING * len(f"{HIDDEN}@") + word[begin + len(f"{HIDDEN}@") :]
    return word


def _begin(word: str) -> int:
    """Where it begins behind quotation marks and brackets."""
    return len(word) - len(word.lstrip(_OPENING))


def _is_no_user(word: str, begin: int) -> bool:
    host = _NO_USER.match(word, begin)
    return host is not None and not _USER.search(word, host.end())


def _is_surely_host(word: str, begin: int, *, has_scheme: bool) -> bool:
    """Whether nothing of it is a user and the beginning of a password: without a scheme, `alice:7461,` may be."""
    host = _SURELY_HOST.match(word, begin)
    if host is None or _USER.search(word, host.end()):
        return False
    return has_scheme or _is_no_user(word, begin) or not _BARELY_HOST.match(word, begin)


def _segment(before: str) -> int | None:
    """Where the part begins that stands before a scheme, if it may be a user and the beginning of a password."""
    begin = max(before.rfind(char) for char in _SEGMENT_ENDS) + 1
    return begin if ":" in before[begin:] else None


def _is_host(word: str, at: int, *, is_cut: bool, may_be_empty: bool) -> bool:
    host = _HOST.match(word, at)
    if host is None or not (host[0] or may_be_empty):
        return False
    if not host[0].strip(_NOTHING) and word.endswith(MORE) and host.end() == len(word) - 1:
        return True
    behind = _BEHIND_HOST.match(word, host.end())
    return behind is not None and not (is_cut and behind.end() == len(word))
