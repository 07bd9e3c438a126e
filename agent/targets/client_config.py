"""A client's own file, ~/.docker/config.json: four keys of one entry of `proxies`.

Pure: text in, text out; an empty text is a file without keys. All else in the file is the user's: logins, other
entries, `ftpProxy`, keys that nobody knows, and how all of it is written. What the client does with the file: FACTS
18 and 19.

Whose file it is may want to keep the agent busy: what has too many entries is refused before it is scanned.

A file that begins with a byte order mark is refused: the client takes nothing of it. So is what the client cannot read
as proxies (a flat `proxies`, an entry that is no object, a value that is no string), with its name; `repaired` takes it
out first where the agent itself made what is broken now. A `{}` that the client leaves of a flat key is an entry that
nothing asks for: it is no fault, and stays.

Not known here: whose file it is, whether it is there, and what clients should have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from agent.targets import json_splice
from agent.targets.json_splice import MISSING, Original, Path
from agent.targets.refused import TextRefused
from agent.values.secret import HIDDEN
from agent.values.settings import Masked, Proxy, ProxyUrl, Settings, Unparsable, proxy, settings
from agent.values.settings import no_proxy as no_proxy_set

PROXIES: Final[Path] = ("proxies",)
DEFAULT: Final = "default"  # of every engine that has no entry of its own
HTTP: Final = "httpProxy"
HTTPS: Final = "httpsProxy"
NO_PROXY: Final = "noProxy"
ALL: Final = "allProxy"
LONGEST: Final = 64 * 1024  # characters of `proxies`: hundreds of entries. More would only keep the agent busy
# Counted are commas, braces and brackets, also in strings: the time to scan a foreign text grows with them.
MOST_ENTRIES: Final = 5_000
MOST_IN_PROXIES: Final = 500  # not in strings; `proxies` is scanned for every key
# Bytes remembered of one file. All files share one state file, which no user may fill.
MOST_KEPT: Final = 16 * 1024
OURS: Final = (HTTP, HTTPS, NO_PROXY, ALL)

_BOM: Final = "\ufeff"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NO_MEMBERS = re.compile(r"([ \t\r\n]*)(?:\{[ \t\r\n]*\})?([ \t\r\n]*)")
_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")


class ClientTexts(msgspec.Struct, frozen=True):
    """The four values as one entry has them, not interpreted; '' is absent.

    They may hold a password, so they never show.
    """

    http: str = ""
    https: str = ""
    no_proxy: str = ""
    all: str = ""

    def __repr__(self) -> str:
        return f"ClientTexts({HIDDEN})"

    def meaning(self) -> Settings:
        return settings(self.http, self.https, self.no_proxy, self.all)

    @property
    def holds_secret(self) -> bool:
        """Whether there is a user or a password in it, so that nobody else may read the file."""
        return any("@" in url for url in (self.http, self.https, self.all))

    def by_name(self) -> dict[str, str]:
        return dict(zip(OURS, (self.http, self.https, self.no_proxy, self.all), strict=True))


Keyed = Callable[[str], str]  # a keyed hash: it tells two texts apart without revealing them
Wrote = Callable[[str, str], bool]  # given a key and a value: whether the agent last wrote that value there


class TextMarks(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent last wrote, as hashes that can only be compared: of each value, and of their meaning together.

    '' is absent, here too. Two spellings of one value have one mark.
    """

    http: str = ""
    https: str = ""
    no_proxy: str = ""
    all: str = ""
    meaning: str = ""

    @classmethod
    def of(cls, said: ClientTexts, keyed: Keyed) -> TextMarks:
        marks = {name: _mark(name, value, keyed) if value else "" for name, value in said.by_name().items()}
        return cls(
            http=marks[HTTP],
            https=marks[HTTPS],
            no_proxy=marks[NO_PROXY],
            all=marks[ALL],
            meaning=_meaning_mark(said, keyed),
        )

    def wrote(self, keyed: Keyed) -> Wrote:
        marks = dict(zip(OURS, (self.http, self.https, self.no_proxy, self.all), strict=True))
        return lambda name, value: marks[name] == _mark(name, value, keyed)

    def means(self, said: ClientTexts, keyed: Keyed) -> bool:
        """Whether together they still mean what was written."""
        return self.meaning == _meaning_mark(said, keyed)


def _mark(name: str, value: str, keyed: Keyed) -> str:
    meant = no_proxy_set(value) if name == NO_PROXY else proxy(value)
    return keyed(json.dumps([name, _canonical(meant)]))


def _meaning_mark(said: ClientTexts, keyed: Keyed) -> str:
    meant = said.meaning()
    values = [_canonical(one) for one in (meant.http, meant.https, meant.all)]
    return keyed(json.dumps([*values, *meant.no_proxy]))


def _canonical(meant: Proxy | tuple[str, ...] | None) -> object:
    """The same for all spellings of one value; for anything but a proxy URL only if the text is the same."""
    if isinstance(meant, ProxyUrl):
        masked = isinstance(meant.credentials, Masked)
        return ["masked", str(meant)] if masked else ["url", meant.reveal()]
    return ["text", meant.text.reveal()] if isinstance(meant, Unparsable) else meant


# Reading and editing.


def texts(text: str | None, entry: str) -> ClientTexts:
    """What an entry says. TextRefused if the client could not read it either."""
    text = text or ""
    refuse_unread(text)
    _check_spelling(text, (), PROXIES)
    alone = _alone(text)
    fault = _fault(alone, entry)
    if fault is not None:
        raise fault.refused(alone)
    if not _has_object(alone, PROXIES) or not _has_object(alone, (*PROXIES, entry)):
        return ClientTexts()
    return ClientTexts(*(_string(alone, (*PROXIES, entry, name)) for name in OURS))


def has_entry(text: str | None, entry: str) -> bool:
    """Whether there is such an entry, also one with nothing in it: the client counts it, and null as well."""
    alone = _alone(text or "")
    return _has_object(alone, PROXIES) and json_splice.value_at(alone, (*PROXIES, entry)) is not MISSING


def default_gives(text: str | None) -> bool:
    """Whether an engine without an entry of its own gets a proxy."""
    try:
        return not texts(text, DEFAULT).meaning().is_direct
    except TextRefused:  # the client takes nothing of such a file
        return False


def hides_default(text: str, entry: str) -> str:
    """The file with this entry, if only with nothing in it: the client takes nothing of `default` then (FACTS 145)."""
    if has_entry(text, entry):
        return text
    path = (*PROXIES, entry, HTTP)
    return json_splice.delete(json_splice.set_value(text, path, ""), path)


def refuse_unread(text: str | None) -> None:
    """TextRefused if the file is too large, or the client would refuse it as a whole (FACTS 19)."""
    _refuse_many(text)
    if text is not None and text.startswith(_BOM):
        what = "it begins with a byte order mark (BOM), and the docker client ignores such a file"
        raise TextRefused(what, 1, 1)


def unmarked(text: str, entry: str) -> ClientTexts:
    """The same, also for a file that the client refuses."""
    return texts(text.removeprefix(_BOM), entry)


def _refuse_many(text: str | None) -> None:
    if text is not None and _entries(text) > MOST_ENTRIES:
        raise TextRefused(f"has more than {MOST_ENTRIES} entries")


def _entries(text: str) -> int:
    return sum(map(text.count, ",[{"))


def edit(text: str | None, entry: str, wanted: Settings, kept: Sequence[Original] = ()) -> str:
    """The file with the wanted settings in the entry; unchanged if it says them already.

    `kept`, the originals, make a removal exact where somebody had empty objects before.
    """
    text = text or ""
    if texts(text, entry).meaning() == wanted:
        return text
    if wanted.is_direct:
        return without(text, entry, OURS, kept)
    values = _written(wanted).by_name()
    if not json_splice.names(text, ()):
        return _new(text, entry, values)
    for null in _nulls(text, entry):
        text = _as_object(text, null)
    for name, value in values.items():
        path = (*PROXIES, entry, name)
        text = json_splice.set_value(text, path, value) if value else json_splice.delete(text, path)
    return text


def without(text: str, entry: str, names: Iterable[str], kept: Sequence[Original] = ()) -> str:
    """The file without these keys of ours, and without objects that are empty then."""
    said = texts(text, entry).by_name()
    removed = set(names)
    is_all = not any(value for name, value in said.items() if name not in removed)
    if is_all and kept and not any(_said_in(one.value) for one in kept if _is_of_a_key(one)):
        before = put_back(text, kept)
        if before.strip():  # an empty text is no JSON: `{}` is left instead
            return before
    alone = _alone(text)
    if not _has_object(alone, PROXIES) or not _has_object(alone, (*PROXIES, entry)):
        return text
    for name in OURS:
        if name in removed:
            text = json_splice.delete(text, (*PROXIES, entry, name))
    return _pruned(text, entry)


def _written(wanted: Settings) -> ClientTexts:
    return ClientTexts(_url(wanted.http), _url(wanted.https), wanted.no_proxy_text, _url(wanted.all))


def _url(value: Proxy | None) -> str:
    return "" if value is None else value.reveal()


def _new(text: str, entry: str, values: dict[str, str]) -> str:
    """A file without keys gets them as the client itself writes them: indented by tabs (`json.MarshalIndent`)."""
    said = {name: value for name, value in values.items() if value}
    written = json.dumps({PROXIES[0]: {entry: said}}, indent="\t")
    if "\r\n" in text:
        written = written.replace("\n", "\r\n")
    around = _NO_MEMBERS.fullmatch(text)
    if around is None or not text.strip():
        return written + "\n"
    return around[1] + written + around[2]


def _nulls(text: str, entry: str) -> tuple[Path, ...]:
    """Where null is in an object's place. Go reads it as nothing; no key can be added to it."""
    alone = _alone(text)
    if json_splice.value_at(alone, PROXIES) is None:
        return (PROXIES,)
    path = (*PROXIES, entry)
    return (path,) if _has_object(alone, PROXIES) and json_splice.value_at(alone, path) is None else ()


def _as_object(text: str, null: Path) -> str:
    begin, end = json_splice.locate(text, null) or (0, 0)
    return text[:begin] + "{}" + text[end:]


def _pruned(text: str, entry: str) -> str:
    alone = _alone(text)
    proxies = json_splice.value_at(alone, PROXIES)
    if isinstance(proxies, dict) and proxies.get(entry) == {}:
        text = json_splice.delete(text, (*PROXIES, entry) if len(proxies) > 1 else PROXIES)
    elif proxies == {}:
        text = json_splice.delete(text, PROXIES)
    return text


# Restoring: what stands in the file by now may be others' work.


def originals(text: str | None, entry: str) -> tuple[Original, ...]:
    """What our keys say now, for `put_back`; also whether `proxies` or the entry is null."""
    text = text or ""
    texts(text, entry)  # refuses what must not be remembered
    nulls = []
    for null in _nulls(text, entry):
        nulls.append(json_splice.original(text, null))
        text = _as_object(text, null)
    kept = (*(json_splice.original(text, (*PROXIES, entry, name)) for name in OURS), *nulls)
    if len(msgspec.json.encode(kept)) > MOST_KEPT:
        what = f"more than {MOST_KEPT // 1024} KiB of white space, names and values at our keys"
        raise TextRefused(f"{what}, which would have to be kept")
    return kept


def put_back(text: str | None, kept: Sequence[Original]) -> str:
    """The file with what our keys said then; the same bytes if nobody else wrote since."""
    text = text or ""
    _refuse_many(text)
    for entry in entries(kept):
        for null in _nulls(text, entry):
            text = _as_object(text, null)
    text = json_splice.put_back(text, [one for one in kept if _is_of_a_key(one)])
    for was_null in (one for one in kept if not _is_of_a_key(one)):
        alone = _alone(text)
        if _has_object(alone, was_null.path[:-1]) and json_splice.value_at(alone, was_null.path) == {}:
            begin, end = json_splice.locate(text, was_null.path) or (0, 0)
            text = text[:begin] + (was_null.value or "null") + text[end:]
    if any(map(_had_others, kept)) and json_splice.value_at(_alone(text), PROXIES) == {}:
        return json_splice.delete(text, PROXIES)
    return text


def _had_others(original: Original) -> bool:
    """Whether `proxies` was there for the sake of other entries. With the last of them it goes, whoever takes it out:
    two agents with an entry each, of which the second to come is the last to leave."""
    return _is_of_a_key(original) and len(original.slots) == len(PROXIES) and original.hole is None


def entries(kept: Sequence[Original]) -> tuple[str, ...]:
    """The entry that the originals belong to, if any."""
    return tuple(dict.fromkeys(one.path[1] for one in kept if _is_of_a_key(one)))


def _is_of_a_key(original: Original) -> bool:
    return len(original.path) == len(PROXIES) + 2


# Whose it is.


def ours(text: str | None, entry: str, kept: Sequence[Original], wrote: Wrote | None) -> tuple[str, ...]:
    """Those of our keys that still say what the agent wrote.

    Where it is not known what it `wrote` last, what stands there is its own if it is not the original.
    """
    if not kept:
        return ()
    said = texts(text, entry).by_name()
    if wrote is not None:
        return tuple(name for name in OURS if said[name] and wrote(name, said[name]))
    before = {one.path[-1]: one.value for one in kept if _is_of_a_key(one)}
    return tuple(name for name in OURS if said[name] and not _same(name, said[name], _said_in(before.get(name))))


def repaired(text: str | None, entry: str, kept: Sequence[Original], wrote: Wrote | None) -> str:
    """The file without the faults in `proxies` that the agent made; TextRefused for faults of others.

    Its own are: `proxies` and the entry if they were not there before its first write; its four keys after that
    write; and a flat key that says what it last wrote into the entry.
    """
    text = text or ""
    _refuse_many(text)
    _check_spelling(text, (), PROXIES)
    while (fault := _fault(alone := _alone(text), entry)) is not None:
        if not _is_ours(fault, alone, entry, kept=kept, wrote=wrote):
            raise fault.refused(alone)
        text = _pruned(json_splice.delete(text, fault.path), entry)
    return text


class _Fault(msgspec.Struct, frozen=True):
    """What the client cannot read, and where it is."""

    path: Path
    what: str

    def refused(self, text: str) -> TextRefused:
        return json_splice.refused_at(text, self.path, self.what)


def _fault(text: str, entry: str) -> _Fault | None:
    """The first fault in `proxies`, from the outside in."""
    proxies = json_splice.value_at(text, PROXIES)
    if proxies is MISSING or proxies is None:
        return None
    if not isinstance(proxies, dict):
        return _Fault(PROXIES, "proxies: expected an object")
    for name, value in proxies.items():
        if value is not None and not isinstance(value, dict):
            return _Fault((*PROXIES, name), _not_an_entry(name, entry))
    path = (*PROXIES, entry)
    if proxies.get(entry) is None:
        json_splice.locate(text, path)  # refuses a name that occurs twice
        return None
    _check_spelling(text, path, OURS)
    for name in OURS:
        value = json_splice.value_at(text, (*path, name))
        if value is not MISSING and value is not None and not isinstance(value, str):
            return _Fault((*path, name), f"{'.'.join((*path, name))}: expected a string")
    return None


def _not_an_entry(name: str, entry: str) -> str:
    what = f"proxies.{name}: expected an object"
    return f"{what}; the client reads proxies.{entry}.{name}" if name in (*OURS, "ftpProxy") else what


def _check_spelling(text: str, place: Path, exact: Sequence[str]) -> None:
    """Go reads `HTTPProxy` as `httpProxy` and merges the two: after an edit of one, something else would be read."""
    folded = {name.casefold(): name for name in exact}
    for name in json_splice.names(text, place):
        meant = folded.get(name.casefold(), name)
        if meant != name:
            raise json_splice.refused_at(text, (*place, name), f"{name} must be spelled {meant}")


def _is_ours(fault: _Fault, text: str, entry: str, *, kept: Sequence[Original], wrote: Wrote | None) -> bool:
    if not kept or entries(kept) != (entry,):
        return False
    depth = len(fault.path)
    if depth == len(PROXIES) + 2:
        return True
    name = fault.path[-1]
    if depth == len(PROXIES) or name == entry:
        return all(len(one.slots) < depth for one in kept if _is_of_a_key(one))
    value = json_splice.value_at(text, fault.path)
    return name in OURS and wrote is not None and isinstance(value, str) and wrote(name, value)


def _same(name: str, one: str, other: str) -> bool:
    if name == NO_PROXY:
        return no_proxy_set(one) == no_proxy_set(other)
    return one == other or (isinstance(meant := proxy(one), ProxyUrl) and meant == proxy(other))


def _said_in(raw: str | None) -> str:
    value = None if raw is None else json.loads(raw)
    return _as_go_reads(value) if isinstance(value, str) else ""


# Values.


def _alone(text: str) -> str:
    """`proxies` alone, on its line and column: whoever reads it need not see the logins in the file.

    A scan of a large file takes long; so it is not scanned for each key.
    """
    found = json_splice.locate(text, PROXIES)
    if found is None:
        return "{}"
    begin, end = found
    if end - begin > LONGEST:
        raise json_splice.refused_at(text, PROXIES, f"proxies: longer than {LONGEST // 1024} KiB")
    if _entries(text[begin:end]) > MOST_IN_PROXIES and _entries(_STRING.sub("", text[begin:end])) > MOST_IN_PROXIES:
        raise json_splice.refused_at(text, PROXIES, f"proxies: has more than {MOST_IN_PROXIES} entries")
    lines = text.count("\n", 0, begin)
    column = begin - (text.rfind("\n", 0, begin) + 1)
    opening = f"{{{json.dumps(PROXIES[0])}:"
    return opening + "\n" * lines + " " * (column if lines else column - len(opening)) + text[begin:end] + "}"


def _has_object(text: str, path: Path) -> bool:
    """Whether there is an object at a path, below objects."""
    return not path or isinstance(json_splice.value_at(text, path), dict)


def _string(text: str, path: Path) -> str:
    """A value that is known to be a string, null or missing."""
    value = json_splice.value_at(text, path)
    return _as_go_reads(value) if isinstance(value, str) else ""


def _as_go_reads(value: str) -> str:
    return _HALF_A_CHARACTER.sub("\ufffd", value)
