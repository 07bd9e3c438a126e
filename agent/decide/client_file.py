"""What must change in one client's file so that it says what clients should have; or so that it is as it was before us.

Pure: text in, an edit of it out. Not known here: what clients should have (`clients.py`), whose file it is, whether it
may be made, and how it is written.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from agent.decide.clients import EVERY_ENGINES, Intent, Wanted, entries_for, of_entry
from agent.targets import client_config
from agent.targets.client_config import ClientTexts, Keyed, TextMarks, Wrote
from agent.targets.json_splice import Original
from agent.targets.refused import TextRefused
from agent.values.policy import Scope
from agent.values.settings import DIRECT, Settings

SECRET_MODE: Final = 0o600


class Was(msgspec.Struct, frozen=True):
    """What was there before the agent first wrote."""

    existed: bool
    mode: int | None = None
    folder_existed: bool = True


class OwnedConfig(msgspec.Struct, frozen=True):
    """What is known of one file: before the agent first wrote there, and at its last write."""

    originals: tuple[Original, ...] = ()  # none: it never wrote there
    last: TextMarks | None = None  # None: not known
    was: Was | None = None  # None: not known, or not written yet
    further: tuple[OwnedConfig, ...] = ()  # the other entries, in the order in which they were first written

    @property
    def is_ours(self) -> bool:
        return bool(self.originals)

    @property
    def mode_before(self) -> int | None:
        """For a file that holds our password no longer: that had tightened the mode. None: it stays as it is."""
        return self.was.mode if self.was is not None and self.was.existed else None

    @property
    def parts(self) -> tuple[OwnedConfig, ...]:
        """Each of one entry."""
        alone = msgspec.structs.replace(self, further=())
        return tuple(part for part in (alone, *self.further) if part.is_ours)

    @property
    def entries(self) -> tuple[str, ...]:
        return tuple(entry for part in self.parts for entry in client_config.entries(part.originals))

    def wrote(self, keyed: Keyed) -> Wrote | None:
        return None if self.last is None else self.last.wrote(keyed)

    def is_of(self, entry: str) -> bool:
        return client_config.entries(self.originals) in ((), (entry,))


def _together(parts: Sequence[OwnedConfig], was: Was | None) -> OwnedConfig:
    if not parts:
        return OwnedConfig(was=was)
    further = tuple(msgspec.structs.replace(part, was=None) for part in parts[1:])
    return msgspec.structs.replace(parts[0], was=was, further=further)


class Change(enum.Enum):
    """Why a file is written."""

    CHOICE = "choice"  # something else is wanted
    ADOPTED = "adopted"  # a value that others wrote is replaced for the first time
    DRIFT = "drift"  # others changed our keys since
    STALE = "stale"  # a client wrote back what it had read before our write
    LEFT = "left"  # the policy no longer covers it


class OwnedEntry(msgspec.Struct, frozen=True):
    """What to remember of one of several entries."""

    owned: OwnedConfig  # as it was, with the originals
    last: ClientTexts | None = None  # what the agent writes there; None: nothing


class FileEdit(msgspec.Struct, frozen=True):
    """One client's file before and after. The texts hold tokens, so they never show."""

    entry: str
    before: str | None  # None: there is no file
    after: str
    mode: int | None  # None: the one that it has
    old: Settings
    new: Settings
    change: Change
    originals: tuple[Original, ...]  # remembered before the write
    last: ClientTexts  # what the agent writes; remembered after the write, as marks
    is_removed: bool = False  # `after` is no file at all
    parts: tuple[OwnedEntry, ...] | None = None  # if there are several entries

    def __repr__(self) -> str:
        return f"FileEdit({self.entry})"

    @property
    def text(self) -> str | None:
        """What is written; None: the file is removed."""
        return None if self.is_removed else self.after

    def owned(self, was: Was | None, keyed: Keyed) -> OwnedConfig:
        """What to remember of the file after the write."""
        if self.parts is not None:
            return _together([_written_part(part, keyed) for part in self.parts], was)
        return OwnedConfig(self.originals, TextMarks.of(self.last, keyed), was)

    def owned_before(self, known: OwnedConfig, was: Was) -> OwnedConfig:
        """What to remember before the write, so that a crash in between loses neither the old nor the new."""
        if self.parts is not None:
            return _together([part.owned for part in self.parts], was)
        return OwnedConfig(self.originals, known.last, was)


def _written_part(part: OwnedEntry, keyed: Keyed) -> OwnedConfig:
    return part.owned if part.last is None else OwnedConfig(part.owned.originals, TextMarks.of(part.last, keyed))


def plan(text: str | None, entries: Sequence[str], wanted: Wanted, owned: OwnedConfig, keyed: Keyed) -> FileEdit | None:
    """Desired against what the file says in these entries; None: nothing is to be written.

    An entry of one engine's that is the user's own stays. Entries that are kept no longer are put back first.
    """
    if wanted.intent is Intent.PUT_BACK:
        return put_back(text, owned)
    if tuple(entries) == EVERY_ENGINES and not owned.further:
        return plan_file(text, EVERY_ENGINES[0], wanted, owned, keyed=keyed)
    client_config.refuse_unread(text)
    if all(_is_left(text, (entry,), of_entry(wanted, entry, entries), owned) for entry in entries):
        return None
    known = dict(zip(owned.entries, owned.parts, strict=True))
    gone = [(entry, part) for entry, part in known.items() if entry not in entries]
    said = {entry: _said(text, entry) for entry in (*known, *entries)}
    now = text or ""
    for _, part in reversed(gone):
        now = client_config.put_back(now, part.originals)
    edits: list[FileEdit] = []
    parts: dict[str, OwnedEntry] = {}
    order = [*(entry for entry in known if entry in entries), *(entry for entry in entries if entry not in known)]
    for entry in _written_in(order, wanted):
        if entry not in known and _is_theirs(now, entry, wanted, owned) and entry not in EVERY_ENGINES:
            continue
        part = known.get(entry) or _as_without_us(now, entry, [one.owned for one in parts.values()], known.values())
        meant = msgspec.structs.replace(part, was=owned.was)
        said_here = of_entry(wanted, entry, entries)
        edit = plan_file(text if now == (text or "") else now, entry, said_here, meant, keyed=keyed)
        if edit is not None:
            now = edit.after
            edits.append(edit)
            parts[entry] = OwnedEntry(msgspec.structs.replace(part, originals=edit.originals), edit.last)
        elif entry in known:
            parts[entry] = OwnedEntry(part)
    if now == (text or ""):
        return None
    edits.sort(key=lambda edit: edit.entry in EVERY_ENGINES)  # what is said of the file is of this engine
    kept = [parts[entry] for entry in order if entry in parts]
    return _one_edit(text, now, owned, edits=edits, parts=kept, gone=[said[entry] for entry, _ in gone])


def _written_in(order: Sequence[str], wanted: Wanted) -> list[str]:
    """What was written last goes first. What other engines get is there before it is hidden from this one."""
    is_removal = wanted.intent is Intent.WITHDRAW or wanted.settings.is_direct
    turned = list(reversed(order)) if is_removal else list(order)
    return sorted(turned, key=lambda entry: entry not in EVERY_ENGINES) if is_removal and wanted.elsewhere else turned


def _as_without_us(
    text: str, entry: str, written: Sequence[OwnedConfig], known: Collection[OwnedConfig]
) -> OwnedConfig:
    """What an entry and its surroundings were before the agent wrote anything at all."""
    others = list({client_config.entries(part.originals): part for part in (*known, *written)}.values())
    if not others:
        return OwnedConfig()
    for part in reversed(others):
        text = client_config.put_back(text, part.originals)
    return OwnedConfig(client_config.originals(text, entry))


def _said(text: str | None, entry: str) -> ClientTexts:
    try:
        return client_config.texts(text, entry)
    except TextRefused:  # the fault is reported where the entry is edited
        return ClientTexts()


def _one_edit(  # noqa: PLR0913 - of one caller
    text: str | None,
    after: str,
    owned: OwnedConfig,
    *,
    edits: Sequence[FileEdit],
    parts: Sequence[OwnedEntry],
    gone: Sequence[ClientTexts],
) -> FileEdit:
    first = edits[0] if edits else None
    entry = first.entry if first else client_config.entries(owned.originals)[0]
    modes = {edit.mode for edit in edits}
    mode = SECRET_MODE if SECRET_MODE in modes or text is None else next(iter(modes - {None}), None)
    held_secret = any(said.holds_secret for said in gone)
    if mode is None and held_secret:
        mode = owned.mode_before
    old = gone[0] if gone else None
    changes = {edit.change for edit in edits}
    change = next((one for one in (Change.DRIFT, Change.ADOPTED) if one in changes), Change.CHOICE)
    return FileEdit(
        entry,
        before=text,
        after=after,
        mode=mode,
        old=old.meaning() if old is not None else first.old if first else DIRECT,
        new=first.new if first else DIRECT,
        change=change,
        originals=parts[0].owned.originals if parts else (),
        last=first.last if first else ClientTexts(),
        parts=tuple(parts),
    )


def plan_file(text: str | None, entry: str, wanted: Wanted, owned: OwnedConfig, *, keyed: Keyed) -> FileEdit | None:
    """Desired against what the file says; None: nothing is to be written. TextRefused: it cannot be told.

    Where the originals are of another entry (the policy's scope has changed), that one is put back first.
    """
    if wanted.intent is Intent.PUT_BACK:
        return put_back(text, owned)
    client_config.refuse_unread(text)
    if _is_left(text, (entry,), wanted, owned):
        return None
    base, mode_before = text or "", owned.mode_before
    if not owned.is_of(entry):
        base = client_config.put_back(base, owned.originals)
        owned = OwnedConfig()
    old = base
    try:
        said = client_config.texts(base, entry)
    except TextRefused:
        old = client_config.repaired(base, entry, owned.originals, owned.wrote(keyed))
        said = client_config.texts(old, entry)
    says_it = wanted.intent is Intent.SET and said.meaning() == wanted.settings and old == (text or "")
    is_bare = entry not in EVERY_ENGINES and wanted.settings.is_direct  # one engine's, without a proxy
    if says_it and not (is_bare and (owned.is_ours or _is_led_by_default(text, (entry,)))):
        return None
    kept = owned.originals or client_config.originals(old, entry)
    if wanted.intent is Intent.WITHDRAW:
        mine = client_config.ours(old, entry, owned.originals, owned.wrote(keyed))
        after = client_config.without(old, entry, mine, kept) if mine else old
        last = ClientTexts()  # what remains is not ours
    else:
        after = client_config.edit(old, entry, wanted.settings, kept)
        last = client_config.texts(after, entry)
    after = _hiding(after, entry, kept if owned.is_ours else ()) if is_bare else after
    if after == (text or ""):
        return None
    now = last if wanted.intent is Intent.SET else client_config.texts(after, entry)
    mode = SECRET_MODE if text is None or now.holds_secret else None
    if mode is None and said.holds_secret:
        mode = mode_before
    change = _change(said, owned, keyed, is_broken=old != base)
    return FileEdit(
        entry,
        before=text,
        after=after,
        mode=mode,
        old=said.meaning(),
        new=now.meaning(),
        change=change,
        originals=kept,
        last=last,
    )


def _is_left(text: str | None, entries: Iterable[str], wanted: Wanted, owned: OwnedConfig) -> bool:
    """Whether the file stays as it is, whatever it says."""
    if wanted.intent is Intent.WITHDRAW:
        return not owned.is_ours and not _is_led_by_default(text, entries)
    return wanted.intent is Intent.LEAVE


def _hiding(text: str, entry: str, kept: Sequence[Original]) -> str:
    """The entry of one engine without a proxy: it is there as long as `default` has one. `kept`: if it is ours."""
    if client_config.default_gives(text):
        return client_config.hides_default(text, entry)
    return client_config.without(text, entry, (), kept) if kept else text


def _is_led_by_default(text: str | None, entries: Iterable[str]) -> bool:
    """Whether the client takes `default` for one of these engines: its containers would get a proxy that is not meant
    for them, such as the one that another agent keeps there for another engine."""
    missing = (entry for entry in entries if entry not in EVERY_ENGINES and not client_config.has_entry(text, entry))
    return client_config.default_gives(text) and any(missing)


def told_apart(edit: FileEdit, stood: Collection[Settings]) -> FileEdit:
    """`docker login` and others write the whole file back as they read it. If they bring back what our last write
    replaced, that is nobody's intention. `stood`: what our writes replaced in the last minutes."""
    if edit.change is not Change.DRIFT or edit.old not in stood:
        return edit
    return msgspec.structs.replace(edit, change=Change.STALE)


def put_back(text: str | None, owned: OwnedConfig) -> FileEdit | None:
    """The file as it was before us, except for what others wrote since; None: it is gone, or was never ours.

    One that says so already is an edit, too: what it was is to be forgotten.
    """
    if text is None or not owned.is_ours:
        return None
    entry, was = client_config.entries(owned.originals)[0], owned.was
    after = _all_back(text, owned)
    is_removed = not after and not (was is not None and was.existed)
    old, new = client_config.unmarked(text, entry), client_config.unmarked(after, entry)
    held_secret = old.holds_secret or any(client_config.unmarked(text, one).holds_secret for one in owned.entries)
    mode = owned.mode_before if held_secret else None
    return FileEdit(
        entry,
        before=text,
        after=after,
        mode=mode,
        old=old.meaning(),
        new=new.meaning(),
        change=Change.LEFT,
        originals=owned.originals,
        last=ClientTexts(),
        is_removed=is_removed,
    )


def is_made_by_us(text: str | None, owned: OwnedConfig) -> bool:
    """Whether there would be no file without the agent."""
    if text is None or not owned.is_ours or owned.was is None or owned.was.existed:
        return False
    return not _all_back(text, owned)


def _all_back(text: str, owned: OwnedConfig) -> str:
    for part in reversed(owned.parts):
        text = client_config.put_back(text, part.originals)
    return text


def _change(said: ClientTexts, owned: OwnedConfig, keyed: Keyed, *, is_broken: bool) -> Change:
    if not owned.is_ours:
        return Change.CHOICE if said == ClientTexts() else Change.ADOPTED
    is_drift = is_broken or (owned.last is not None and not owned.last.means(said, keyed))
    return Change.DRIFT if is_drift else Change.CHOICE


def beaten_by(text: str | None, entries: Sequence[str], socket: str, wanted: Wanted, owned: OwnedConfig) -> str:
    """An entry of the user's own that the client uses for this engine instead; '' if ours counts (FACTS 18)."""
    asked = entries_for(Scope.LOCAL, socket)[:1] if tuple(entries) == EVERY_ENGINES else entries
    asked = [entry for entry in asked if entry not in EVERY_ENGINES]
    return next((entry for entry in asked if _is_theirs(text, entry, wanted, owned)), "")


def _is_theirs(text: str | None, entry: str, wanted: Wanted, owned: OwnedConfig) -> bool:
    if entry in owned.entries:
        return False
    try:
        said = client_config.texts(text, entry)
    except TextRefused:  # that entry is not ours, and neither are its faults
        return False
    # Also one with nothing in it: the client takes nothing of `default` then (FACTS 145).
    return client_config.has_entry(text, entry) and said.meaning() != wanted.settings
