"""What is under way with Docker, and what to put back if dockerd does not come up with what was written.

A file is noted here before it is written, and forgotten only when dockerd runs with what it says: a restart may be put
off to another pass, another process, another day, and its roll-back must still know what dockerd ran with before. The
stage is on disk before the step that it names. So if the agent dies in between, the next one knows whether it was us
who took Docker down.
It names the unit that it is about, for another Docker may be served by the next pass, and must not be judged by it.
Not known here: when something is put back, and how Docker comes up again (`transaction.py`, after a crash
`recover.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.decide.probation import CRASHES, Trial
from agent.system.files import Changed
from agent.system.process_start import boot_id
from agent.system.state_file import StateFile
from agent.system.text_files import edit_text, read_text, write_text
from agent.targets import daemon_json, json_splice
from agent.targets.refused import TextRefused
from agent.values.dockerd import Phase, UnitState
from agent.values.errors import AgentError


class Stage(enum.Enum):
    """How far a transaction has come."""

    WRITING = "writing"  # dockerd has not run with all of it yet
    RESTARTING = "restarting"  # or verifying
    ROLLING_BACK = "rolling-back"  # Docker may be down because of us
    TRIED = "tried"  # dockerd runs with it, and is on trial for a minute (`decide/probation.py`)
    VERIFIED = "verified"  # only live-restore, or units that hung on Docker, have still to be restored


class Bracket(msgspec.Struct, frozen=True):
    """daemon.json says `live-restore: true` for one restart; and what it said before."""

    path: str
    was: json_splice.Original
    was_on: bool  # the file said true already
    existed: bool

    @classmethod
    def of(cls, path: str, text: str | None, now: str | None) -> Bracket:
        """`text`: what others say in the file; `now`: what is there. TextRefused if the file cannot be parsed."""
        was_on = daemon_json.live_restore(text) is True
        existed = text is not None and now is not None  # what is on its way out is not to be left there, empty
        return cls(path, json_splice.original(text or "", daemon_json.LIVE_RESTORE), was_on, existed)

    def opened(self, text: str | None) -> str:
        """The file with live-restore on."""
        return daemon_json.set_live_restore(text, to=True)

    def closed(self, text: str | None) -> str | None:
        """The file with the key as it was; None: no file."""
        if text is None:
            return None
        after = daemon_json.put_back(text, (self.was,))
        return after if self.existed or json_splice.names(after, ()) else None


class Note(msgspec.Struct, frozen=True):
    """One file: what dockerd ran with, and what was written since. None: no file. May hold passwords."""

    before: str | None
    after: str | None
    mode: int | None  # that it had before
    is_shared: bool = False  # daemon.json: only our keys in it are ours
    earlier: str | None = None  # what was written before `after`, in case that write never happened

    def __repr__(self) -> str:
        return "Note(…)"

    def is_ours(self, text: str | None) -> bool:
        """Whether this is what we wrote."""
        return text in {self.after, self.earlier}

    def put_back(self, text: str | None) -> str | None:
        """The file as it was. What others have written into a shared one since stays. TextRefused: it is not JSON."""
        if not self.is_shared or self.is_ours(text):
            return self.before
        if text is None:
            return None
        put_back = daemon_json.put_back(text, daemon_json.originals(self.before))
        return put_back if self.before is not None or json_splice.names(put_back, ()) else None


class UnderWay(msgspec.Struct, frozen=True):
    """What the journal says. Without a stage nothing is under way."""

    stage: Stage | None = None
    notes: dict[str, Note] = msgspec.field(default_factory=dict)  # by path, in the order of their first writes
    boot: str = ""  # in which this was written
    bracket: Bracket | None = None  # live-restore is on, or about to be, for this restart only
    units: tuple[str, ...] = ()  # that depend on Docker and were active when it was restarted
    trial: Trial | None = None  # of the stage "tried"
    # The last start of dockerd before the write, which did not read it; None: not known.
    start: str | None = None
    unit: str = ""  # of the Docker that this is about; '' in files of earlier versions: of whichever is served

    @property
    def is_in_the_middle(self) -> bool:
        """Whether a restart of ours is not over; what only waits for Docker's next start may be left."""
        return self.bracket is not None or self.stage not in {None, Stage.WRITING}

    def has_read_it(self, unit: UnitState) -> bool:
        """Whether the dockerd of this start has read what was written, whoever started it."""
        return self.start is not None and unit.invocation != self.start

    def is_broken_by_it(self, unit: UnitState) -> bool:
        """Whether Docker is down because of what waited for a restart, which systemd or others then made.

        A unit that systemd restarts again and again may never be `failed`: without a start limit, or with slow starts.
        """
        is_tried_again = unit.comes_back and unit.restarts < CRASHES  # the first crash may be of what ran before
        is_stuck = unit.is_stuck_in_stop and not unit.comes_back  # a start that took too long looks the same
        is_down = unit.phase is Phase.BROKEN and not (is_tried_again or is_stuck)
        return self.stage is Stage.WRITING and bool(self.notes) and is_down and self.has_read_it(unit)

    @property
    def is_unfinished(self) -> bool:
        """Whether something has still to be done for Docker, if no transaction is under way now."""
        is_over = self.stage is Stage.VERIFIED or (self.stage is Stage.TRIED and bool(self.units))
        return self.bracket is not None or self.forbids_writing or is_over

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do, other than to wait for the end of a trial."""
        is_believed_or_tried = self.stage is None or self.stage is Stage.TRIED
        return is_believed_or_tried and not self.is_unfinished

    @property
    def forbids_writing(self) -> bool:
        """Whether a write would forget that it was us who took Docker down."""
        return self.stage in {Stage.RESTARTING, Stage.ROLLING_BACK}


class Journal:
    """The journal of one Docker; 0600 in the state directory."""

    def __init__(self, state: Path, unit: str = "") -> None:
        """`unit`: that Docker's; '': of whichever it is about."""
        # The first layout held only the notes. Read as this one, it says that nothing is under way.
        self._file = StateFile(state / "journal.json", UnderWay, 1)
        self._unit = unit

    def under_way(self) -> UnderWay:
        """AgentError if the file is there and cannot be parsed."""
        found = self._file.load() or UnderWay()
        is_of_another = self._unit and found.unit not in ("", self._unit)
        return UnderWay() if is_of_another else found

    def _keep(self, under_way: UnderWay) -> None:
        """Over what waits for a start of another Docker: nobody serves that any more."""
        if under_way != UnderWay():
            unit = self._unit or self.under_way().unit
            under_way = msgspec.structs.replace(under_way, unit=unit)
        self._file.save(under_way)

    def give_up(self) -> tuple[str, ...]:
        """Put everything back, live-restore too, and let go of this Docker. What could not be put back."""
        left = self.put_back()
        bracket = self.under_way().bracket
        if bracket is not None:
            try:
                edit_text(Path(bracket.path), bracket.closed)
            except (AgentError, TextRefused) as error:
                left = (*left, str(error))
        self._keep(UnderWay())
        return left

    def note(  # noqa: PLR0913 - named at its one call
        self,
        path: str,
        before: str | None,
        after: str | None,
        mode: int | None,
        *,
        is_shared: bool = False,
        start: str | None = None,
    ) -> None:
        """Before each write. A file that is noted already keeps what it said when dockerd last read it.

        `start`: dockerd's last start.
        """
        was = self.under_way()
        first = was.notes.get(path)
        if first is None:
            noted = Note(before, after, mode, is_shared=is_shared, earlier=before)
        else:
            # What others have written since is no more ours to remove than what they wrote before.
            right = first.before if first.is_ours(before) or not is_shared else first.put_back(before)
            noted = Note(right, after, first.mode, is_shared=is_shared, earlier=before)
        if was.trial is not None:  # the trial goes on, and what is put back if it fails stays the same
            self._keep(msgspec.structs.replace(was, notes={**was.notes, path: noted}))
        else:
            self._save(Stage.WRITING, {**was.notes, path: noted}, start=was.start if was.notes else start)

    def open(self, path: str, text: str | None) -> Bracket:
        """Before live-restore is written. What is put back from now on says `true`, too, or containers would die."""
        was = self.under_way()
        if was.bracket is not None:  # an earlier one could not be closed: it knows what the file said first
            return was.bracket
        first = was.notes.get(path)
        bracket = Bracket.of(path, first.put_back(text) if first else text, text)
        notes = _with(was.notes, path, bracket.opened)
        self._keep(UnderWay(Stage.WRITING, notes, boot_id(), bracket=bracket, units=was.units, start=was.start))
        return bracket

    def close(self) -> None:
        """After the key is as it was."""
        was = self.under_way()
        if was.bracket is None:
            return
        notes = _with(was.notes, was.bracket.path, was.bracket.closed)
        self._keep(_if_anything(msgspec.structs.replace(was, notes=notes, bracket=None)))

    def note_units_up(self) -> None:
        """The units are started again, as far as that is up to us."""
        was = self.under_way()
        if was.units:
            up = msgspec.structs.replace(was, units=())
            self._keep(up if was.forbids_writing else _if_anything(up))

    def enter(self, stage: Stage, units: Sequence[str] = ()) -> None:
        """Before the step that the stage names. `units`: those that may go down with Docker now."""
        was = self.under_way()
        self._save(stage, was.notes, (*was.units, *units), was.start)

    def try_out(self, trial: Trial) -> None:
        """dockerd runs with the files as they are. What they said before stays known until the trial is over."""
        was = self.under_way()
        if was.notes:
            self._keep(UnderWay(Stage.TRIED, was.notes, boot_id(), bracket=was.bracket, units=was.units, trial=trial))
        else:  # there is nothing to go back to
            self.forget()

    def wait(self, start: str | None = None) -> None:
        """The files as they are count for dockerd's next start.

        `start`: its last one, which did not read them; None: no other than is known.
        """
        was = self.under_way()
        if was.notes:
            self._save(Stage.WRITING, was.notes, start=was.start if start is None else start)
        else:  # there is nothing to go back to
            self.forget()

    def resume(self, was: UnderWay) -> None:
        """After something that failed and was undone: what was under way before it is so again."""
        if self.under_way() == UnderWay():
            self._keep(was)

    def forget(self) -> None:
        """dockerd runs with the files as they are: there is nothing to go back to."""
        was = self.under_way()
        if was.bracket is not None or was.units:
            self._keep(UnderWay(Stage.VERIFIED, {}, boot_id(), bracket=was.bracket, units=was.units))
        elif was != UnderWay():
            self._keep(UnderWay())

    def put_back(self) -> tuple[str, ...]:
        """Put every file back, the last write first. Why some could not be; a second call tries those again."""
        left = []
        for path, note in reversed(self.under_way().notes.items()):
            try:
                _put_back(Path(path), note)
            except (AgentError, TextRefused) as error:  # the others go back all the same
                left.append(str(error))
        return tuple(left)

    def settle(self) -> None:
        """Nothing is under way any more. A file that still holds what we wrote stays noted."""
        notes = {path: note for path, note in self.under_way().notes.items() if _is_left(Path(path), note)}
        if notes:
            self._save(Stage.WRITING, notes)
        else:
            self.forget()

    def _save(
        self, stage: Stage, notes: dict[str, Note], units: Sequence[str] | None = None, start: str | None = None
    ) -> None:
        was = self.under_way()
        kept = was.units if units is None else tuple(dict.fromkeys(units))
        self._keep(UnderWay(stage, notes, boot_id(), bracket=was.bracket, units=kept, start=start))


def _if_anything(under_way: UnderWay) -> UnderWay:
    """The same, or an empty one if it holds nothing to do."""
    is_over = not under_way.notes and under_way.bracket is None and not under_way.units
    return UnderWay() if is_over else under_way


def _with(notes: Mapping[str, Note], path: str, change: Callable[[str | None], str | None]) -> dict[str, Note]:
    """The same notes, as if the file had always been like that."""
    found = notes.get(path)
    if found is None:
        return dict(notes)
    before, after, earlier = change(found.before), change(found.after), change(found.earlier)
    return {**notes, path: Note(before, after, found.mode, is_shared=found.is_shared, earlier=earlier)}


def _put_back(path: Path, note: Note) -> None:
    """Changed if others have written since into a file that is ours alone: what they wrote stays."""
    text = read_text(path)
    if text == note.before:
        return
    if not note.is_ours(text) and not note.is_shared:
        raise Changed(path)
    write_text(path, text, note.put_back(text), note.mode)


def _is_left(path: Path, note: Note) -> bool:
    try:
        text = read_text(path)
        return text != note.before and (note.is_ours(text) or (note.is_shared and note.put_back(text) != text))
    except (AgentError, TextRefused):  # it may still be ours
        return True
