"""Edits of a JSON text that leave every other byte as it is.

Pure. A text is scanned once, without recursion, for the objects that a path leads through; an edit replaces a piece
of the text. New members are written as their neighbours are: indentation, line breaks, blanks around ":" and ",".
`original` remembers what a path says and how that is written, so that `put_back` restores the bytes.

Members are found by their exact names; a name that stands twice on the path is refused, because Go merges the two
field by field (FACTS 5) and an edit of either would not say what is read. Not known here: what the keys mean, and
that Go's structs take other spellings of a name, too (`names` shows them to who cares).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from agent.targets.refused import NotJson, TextRefused
from agent.values.secret import HIDDEN

Path = tuple[str, ...]

DEEPEST: Final = 10_000  # Go's encoding/json refuses more, and so do dockerd and the client
INDENT: Final = "  "  # if the text has none

_BOM: Final = "\ufeff"
_SPACE = re.compile(r"[ \t\n\r]*")
_LITERAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")


class Missing(msgspec.Struct, frozen=True):
    """No value at a path, which differs from null."""


MISSING: Final = Missing()


# Reading.


def locate(text: str, path: Path) -> tuple[int, int] | None:
    """Where the value at a path begins and ends."""
    member = _find(text, path)
    return (member.value, member.value_end) if member else None


def value_at(text: str, path: Path) -> object:
    """The value at a path, or MISSING."""
    found = locate(text, path)
    if found is None:
        return MISSING
    try:
        return json.loads(text[slice(*found)], parse_int=_integer)
    except RecursionError as error:
        raise _refused(text, found[0], "nested too deeply") from error


def names(text: str, path: Path) -> tuple[str, ...]:
    """The names in the object at a path, in their order; none if there is no object."""
    objects = _scan(text, path)
    return tuple(member.name for member in objects[-1].members) if len(objects) > len(path) else ()


def refused_at(text: str, path: Path, what: str) -> TextRefused:
    """An error about the value at a path, with its line."""
    found = locate(text, path)
    return _refused(text, found[0], what) if found else TextRefused(what)


def _integer(digits: str) -> int | float:
    # Python refuses to convert more than 4300 digits, and no caller needs that many.
    return int(digits) if len(digits) < 1000 else float(digits)


# Editing.


def set_value(text: str, path: Path, value: str | bool) -> str:  # noqa: FBT001 - a value of JSON
    """The text with this value at a path, with the objects that lead there; unchanged if it is there already."""
    text = _with_root(text)
    objects = _scan(text, path)
    member = objects[len(path) - 1].member(path[-1]) if len(objects) >= len(path) else None
    if member is None:
        return _add(text, objects, path[len(objects) - 1 :], json.dumps(value))
    if value_at(text, path) == value and text[member.value] in '"tf':  # 1 == True
        return text
    return text[: member.value] + json.dumps(value) + text[member.value_end :]


def delete(text: str, path: Path) -> str:
    """The text without the member at a path; the objects that lead there stay, even if empty.

    It takes exactly what `set_value` wrote, where that found other members beside it or `{}`.
    """
    objects = _scan(text, path)
    container = objects[len(path) - 1] if len(objects) >= len(path) else None
    index = container.index(path[-1]) if container else None
    if container is None or index is None:
        return text
    members = container.members
    if len(members) == 1:
        return text[: container.begin + 1] + text[container.end - 1 :]
    if index == len(members) - 1:
        return text[: members[index - 1].value_end] + text[members[index].value_end :]
    return text[: members[index].begin] + text[members[index].end + 1 :]


def _with_root(text: str) -> str:
    """An empty text is an empty object, to dockerd (from 23.0) and to the client."""
    return text if not _is_blank(text) else _BOM * text.startswith(_BOM) + "{}\n"


def _is_blank(text: str) -> bool:
    return not text.removeprefix(_BOM).strip(" \t\n\r")


class _Layout(msgspec.Struct, frozen=True):
    """How the members of one object, and the objects in it, are written."""

    gap: str  # between two members, with the comma
    colon: str
    line: str  # the line break and indentation before a member; "" where all is on one line
    indent: str  # by which one level is further in than the next
    pad: str  # inside the braces, where all is on one line

    def member(self, path: Path, raw: str) -> str:
        """A member, and the objects that lead from it to the value."""
        text = raw
        for depth in reversed(range(len(path))):
            if depth < len(path) - 1:
                inside = self.line + self.indent * (depth + 1) if self.line else self.pad
                outside = self.line + self.indent * depth if self.line else self.pad
                text = "{" + inside + text + outside + "}"
            text = json.dumps(path[depth]) + self.colon + text
        return text


def _add(text: str, objects: list[_Object], path: Path, raw: str) -> str:
    """A new member at the end of the last object."""
    container = objects[-1]
    layout = _layout(text, objects)
    member = layout.member(path, raw)
    if container.members:
        at = container.members[-1].value_end
        return text[:at] + layout.gap + member + text[at:]
    closing = layout.line.removesuffix(layout.indent)
    return text[: container.begin + 1] + layout.line + member + closing + text[container.end - 1 :]


def _layout(text: str, objects: list[_Object]) -> _Layout:
    """As the last object's members are written; an empty one is as the one around it, one level further in."""
    container = objects[-1]
    line_break = "\r\n" if "\r\n" in text else "\n"
    if container.members:
        return _layout_of(text, objects, line_break)
    if len(objects) == 1:
        return _Layout(gap=",", colon=": ", line=line_break + INDENT, indent=INDENT, pad="")
    around = _layout_of(text, objects[:-1], line_break)
    line = around.line + around.indent if around.line else ""
    return msgspec.structs.replace(around, line=line)


def _layout_of(text: str, objects: list[_Object], line_break: str) -> _Layout:
    members = objects[-1].members
    last = members[-1]
    lead = text[last.begin : last.key]
    colon = text[last.key_end : last.value]
    colon = ": " if "\n" in colon else colon
    if len(members) > 1:
        gap = text[members[-2].value_end : last.key]
    else:
        gap = "," + (lead or (" " if colon.endswith(" ") else ""))
    if "\n" not in lead:
        pad = lead if text[members[0].begin : members[0].key] == lead else ""
        pad = pad if text[last.value_end : last.end] == pad else ""
        return _Layout(gap, colon, line="", indent="", pad=pad)
    mine = lead.rpartition("\n")[2]
    outer = _indentation(text, objects)
    indent = mine.removeprefix(outer) if mine.startswith(outer) else ""
    indent = indent or ("\t" if "\t" in mine else INDENT)
    return _Layout(gap, colon, line=line_break + mine, indent=indent, pad="")


def _indentation(text: str, objects: list[_Object]) -> str:
    """Of the line on which the last object begins."""
    begin = text.rfind("\n", 0, objects[-1].begin) + 1
    line = text[begin : objects[-1].begin].removeprefix(_BOM)
    return line[: len(line) - len(line.lstrip(" \t"))]


# Restoring.


class Slot(msgspec.Struct, frozen=True):
    """How a member was written and where, all as raw text."""

    position: int
    key: str
    colon: str
    lead: str  # between it and the brace or comma before it
    trail: str  # between it and the comma or brace behind it
    is_last: bool
    previous: str | None  # the key before it; None: it was the first
    previous_trail: str
    previous_nth: int = 0  # how often the same key occurs before it: others may have written one twice

    def member(self, raw: str) -> str:
        return self.key + self.colon + raw


class Original(msgspec.Struct, frozen=True):
    """What a path said before the first edit. It may hold a password, so it never shows."""

    path: Path
    slots: tuple[Slot, ...]  # of the members on the path, as far as there were any
    value: str | None  # as raw text; None: there was none
    hole: str | None  # what stood between the braces of the last object, if that was empty
    blank: str | None  # the whole text, if that was empty

    def __repr__(self) -> str:
        return f"Original({'.'.join(self.path)}: {HIDDEN})"


def original(text: str, path: Path) -> Original:
    """What a path says now, for `put_back`."""
    if _is_blank(text):
        return Original(path, (), value=None, hole=None, blank=text)
    objects = _scan(text, path)
    slots = []
    value = None
    for depth, (container, name) in enumerate(zip(objects, path, strict=False)):
        index = container.index(name)
        if index is None:
            break
        slots.append(_slot(text, container, index))
        member = container.members[index]
        _check_keepable(text, member, member.value_end if depth == len(path) - 1 else member.key_end)
        if depth == len(path) - 1:
            value = text[member.value : member.value_end]
    last = objects[len(slots)] if len(slots) < len(path) else None
    hole = text[last.begin + 1 : last.end - 1] if last and not last.members else None
    return Original(path, tuple(slots), value=value, hole=hole, blank=None)


def put_back(text: str, originals: Iterable[Original]) -> str:
    """The text with what these paths said before; the same bytes if nobody else wrote since."""
    wanted = sorted(originals, key=lambda original: [slot.position for slot in original.slots])
    for one in wanted:
        text = _without(text, one.path)
    for one in wanted:
        text = _with_original(text, one)
    root = _scan(text, ())
    blank = next((one.blank for one in wanted if one.blank is not None), None)
    if blank is not None and (not root or not root[0].members):
        return blank
    return text


def _without(text: str, path: Path) -> str:
    """The text without a member, and without the objects that lead to it where they are empty then."""
    text = delete(text, path)
    for depth in range(len(path) - 1, 0, -1):
        objects = _scan(text, path[:depth])
        if len(objects) <= depth or objects[depth].members:
            break
        text = delete(text, path[:depth])
    return text


def _with_original(text: str, original: Original) -> str:
    if original.blank is not None:
        return text
    text = _with_root(text)
    for depth, slot in enumerate(original.slots):
        objects = _scan(text, original.path[: depth + 1])
        if objects[depth].member(original.path[depth]):
            continue
        if depth == len(original.path) - 1 and original.value is not None:
            text = _insert(text, objects[depth], slot, original.value)
        else:
            hole = original.hole if depth == len(original.slots) - 1 else None
            text = _insert(text, objects[depth], slot, "{" + (hole or "") + "}")
    root = _scan(text, ())[0]
    if not original.slots and original.hole is not None and not root.members:
        return text[: root.begin + 1] + original.hole + text[root.end - 1 :]
    return text


def _insert(text: str, container: _Object, slot: Slot, raw: str) -> str:
    """A member where it was: behind the one before it, or first."""
    members = container.members
    if not members:
        return text[: container.begin + 1] + slot.lead + slot.member(raw) + slot.trail + text[container.end - 1 :]
    before = [index for index, one in enumerate(members) if text[one.key : one.key_end] == slot.previous]
    behind = before[min(slot.previous_nth, len(before) - 1)] if before else -1
    if slot.previous is not None and (not before or behind == len(members) - 1):
        last = members[-1]
        trail = slot.trail if slot.is_last else text[last.value_end : last.end]
        return f"{text[: last.value_end]}{slot.previous_trail},{slot.lead}{slot.member(raw)}{trail}{text[last.end :]}"
    at = members[behind + 1].begin if before else members[0].begin
    trail = "" if slot.is_last else slot.trail
    return f"{text[:at]}{slot.lead}{slot.member(raw)}{trail},{text[at:]}"


def _check_keepable(text: str, member: _Member, end: int) -> None:
    """Originals are stored as UTF-8, which has no half of a surrogate pair."""
    if any("\ud800" <= char <= "\udfff" for char in text[member.key : end]):
        raise _refused(text, member.key, f"{json.dumps(member.name)} holds bytes that are not UTF-8")


def _slot(text: str, container: _Object, index: int) -> Slot:
    member = container.members[index]
    previous = container.members[index - 1] if index else None
    return Slot(
        position=member.key,
        key=text[member.key : member.key_end],
        colon=text[member.key_end : member.value],
        lead=text[member.begin : member.key],
        trail=text[member.value_end : member.end],
        is_last=index == len(container.members) - 1,
        previous=text[previous.key : previous.key_end] if previous else None,
        previous_trail=text[previous.value_end : previous.end] if previous else "",
        previous_nth=_nth(text, container.members[:index]),
    )


def _nth(text: str, members: list[_Member]) -> int:
    """How many of the members before the last one have its key, as it is written."""
    keys = [text[one.key : one.key_end] for one in members]
    return keys.count(keys[-1]) - 1 if keys else 0


# Scanning.


class _Member(msgspec.Struct):
    """`before "name" : value after`, by the places where each begins and ends."""

    name: str
    begin: int  # behind the brace or comma before it
    key: int
    key_end: int
    value: int
    value_end: int = 0
    end: int = 0  # at the comma or brace behind it


class _Object(msgspec.Struct):
    """An object that a path leads through or to."""

    begin: int  # at its brace
    end: int = 0  # behind its brace
    members: list[_Member] = msgspec.field(default_factory=list)

    def index(self, name: str) -> int | None:
        return next((index for index, member in enumerate(self.members) if member.name == name), None)

    def member(self, name: str) -> _Member | None:
        index = self.index(name)
        return None if index is None else self.members[index]


class _Open(msgspec.Struct):
    """A container that is not closed yet; `found` if a path leads through it, `next` is where it leads then."""

    close: str
    found: _Object | None = None
    next: str | None = None


def _find(text: str, path: Path) -> _Member | None:
    objects = _scan(text, path)
    return objects[len(path) - 1].member(path[-1]) if len(objects) >= len(path) else None


def _scan(text: str, path: Path) -> list[_Object]:
    """The objects along a path, from the root, as far as they exist; the rest only has to be JSON."""
    return [] if _is_blank(text) else _Scanner(text, path).scan()


def _no_json(word: str) -> object:
    raise ValueError(word)  # NaN and Infinity


# Only the end of a number matters: converting many digits would take long.
_WHOLE: Final = json.JSONDecoder(parse_constant=_no_json, parse_float=len, parse_int=len).raw_decode


class _Scanner:
    """One pass over a text. Open containers are a list, so that deep nesting cannot overflow the stack."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path
        self.at = len(_BOM) if text.startswith(_BOM) else 0
        self.open: list[_Open] = []
        self.objects: list[_Object] = []
        self.skips = True  # after one failure it is not tried again at each level
        self.string = json.JSONDecoder().raw_decode  # at a quotation mark it reads one string, as strictly as Go

    def scan(self) -> list[_Object]:
        leads_on = True  # whether the value that begins now is where the path leads
        while self._opens(leads_on=leads_on) or self._goes_on():
            leads_on = self.open[-1].close == "}" and self._key()
        return self.objects

    def _opens(self, *, leads_on: bool) -> bool:
        """Read a value, or only the brace or bracket of one that is not empty: then a key or value follows."""
        self._space()
        char = self.text[self.at : self.at + 1]
        literal = _LITERAL.match(self.text, self.at)
        if not literal and (not char or char not in '{["'):
            raise self._expected("a value")
        if leads_on and len(self.objects) < len(self.path) and char != "{":
            where = ".".join(self.path[: len(self.objects)])
            raise _refused(self.text, self.at, f"{where} is not an object" if where else "not an object")
        if char in ("{", "["):
            return (leads_on or not self._skip()) and self._bracket(char, leads_on=leads_on)
        if literal:
            self.at = literal.end()
        else:
            self._string()
        return False

    def _skip(self) -> bool:
        """Pass over a value off the path, ten times as fast. False if that failed: the slow way finds the fault."""
        if not self.skips:
            return False
        try:
            _, end = _WHOLE(self.text, self.at)
        except (ValueError, RecursionError):
            self.skips = False
            return False
        depth = self.text.count("{", self.at, end) + self.text.count("[", self.at, end)  # at most
        self.skips = len(self.open) + depth <= DEEPEST
        self.at = end if self.skips else self.at
        return self.skips

    def _bracket(self, char: str, *, leads_on: bool) -> bool:
        if len(self.open) == DEEPEST:
            raise _refused(self.text, self.at, f"nested deeper than {DEEPEST} levels")
        container = _Open("}" if char == "{" else "]")
        if leads_on and char == "{":
            container.found = _Object(self.at)
            container.next = self.path[len(self.objects)] if len(self.objects) < len(self.path) else None
            self.objects.append(container.found)
        self.at += 1
        inside = self._behind_space()
        if not self.text.startswith(container.close, inside):
            self.open.append(container)
            return True
        self.at = inside + 1
        if container.found:
            container.found.end = self.at
        return False

    def _key(self) -> bool:
        """Read a name and its colon: whether the path leads on to the value behind it."""
        container = self.open[-1]
        begin = self.at
        self._space()
        key = self.at
        if not self.text.startswith('"', key):
            raise self._expected("a name in quotation marks")
        name = self._string()
        key_end = self.at
        self._space()
        if not self.text.startswith(":", self.at):
            raise self._expected('":"')
        self.at += 1
        self._space()
        if container.found is None:
            return False
        leads_on = name == container.next
        if leads_on and container.found.member(name):
            raise _refused(self.text, key, f"{json.dumps(name)} occurs a second time")
        container.found.members.append(_Member(name, begin=begin, key=key, key_end=key_end, value=self.at))
        return leads_on

    def _goes_on(self) -> bool:
        """Behind a value: close what ends here, up to a comma or the end of the text."""
        while self.open:
            container = self.open[-1]
            value_end = self.at
            self._space()
            if container.found:
                container.found.members[-1].value_end = value_end
                container.found.members[-1].end = self.at
            if self.text.startswith(",", self.at):
                self.at += 1
                return True
            if not self.text.startswith(container.close, self.at):
                raise self._expected(f'"," or "{container.close}"')
            self.at += 1
            self.open.pop()
            if container.found:
                container.found.end = self.at
        self._space()
        if self.at < len(self.text):
            raise self._expected("nothing more")
        return False

    def _string(self) -> str:
        try:
            value, self.at = self.string(self.text, self.at)
        except json.JSONDecodeError as error:
            what = error.msg.removesuffix(" at").removesuffix(" starting")
            raise _not_json(self.text, error.pos, what[:1].lower() + what[1:]) from error
        return str(value)

    def _space(self) -> None:
        self.at = self._behind_space()

    def _behind_space(self) -> int:
        space = _SPACE.match(self.text, self.at)
        return space.end() if space else self.at

    def _expected(self, what: str) -> TextRefused:
        comment = ", not a comment" if self.text.startswith(("//", "/*", "#"), self.at) else ""
        return _not_json(self.text, self.at, f"expected {what}{comment}")


def _not_json(text: str, at: int, why: str) -> NotJson:
    return NotJson(f"not JSON ({why})", *_place(text, at))


def _refused(text: str, at: int, what: str) -> TextRefused:
    return TextRefused(what, *_place(text, at))


def _place(text: str, at: int) -> tuple[int, int]:
    """Line and column, from 1."""
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
