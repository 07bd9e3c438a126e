"""The last good copy of each PAC, by the place where it was fetched: for when its server is down there.

A copy from one place is never used in another. But what each of them said is known everywhere, so that Docker's
settings are recognised after a move and after a restart of the agent. The places are kept as keyed digests, which do
not tell where they are. Not known here: when a copy is made or used (`pac.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agent.decide.pac import Answered
from agent.decide.way_out import way_out
from agent.system.files import LARGEST, read_file, remove_file, replace_file
from agent.system.keyed import digest, to_compare
from agent.system.state_file import StateFile
from agent.values.errors import AgentError
from agent.values.pac import PacAnswer, PacScript, read_answer
from agent.values.policy import RegistryUrl
from agent.values.settings import ProxyUrl, Scheme
from agent.values.snapshot import Snapshot

MOST: Final = 16  # copies; those not used for longest are forgotten first
_DIGITS: Final = 32
_PURPOSE: Final = "pac"


class Copy(msgspec.Struct, frozen=True):
    """What is known of one, but for its text."""

    place: str  # a digest, of the PAC's URL, too
    pac: str  # as the policy has it
    url: str  # where it was fetched
    fetched_at: float  # of the wall clock
    etag: str = ""
    last_modified: str = ""
    answers: Mapping[str, str] = {}  # by registry, in the words of a PAC

    @property
    def answered(self) -> tuple[Answered, ...]:
        return tuple(Answered(RegistryUrl(registry), read_answer(text)) for registry, text in self.answers.items())


class PacCopies:
    """Those of one state directory; only the holder of the lock may keep one."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._folder = state / "pac"
        self._file = StateFile(state / "pac.json", list[Copy], 1)
        self._known: list[Copy] | None = None

    def all(self) -> Sequence[Copy]:
        """The last used last."""
        if self._known is None:
            self._known = []
            with contextlib.suppress(AgentError):  # damaged: written anew with the next copy
                self._known = self._file.load() or []
        return self._known

    def find(self, pac: str, snapshot: Snapshot) -> tuple[PacScript, tuple[Answered, ...]] | None:
        """The copy of this place."""
        if not self.all():
            return None
        place = to_compare(self._state, _encoded(pac, snapshot))[:_DIGITS]
        found = next((one for one in self.all() if one.place == place), None)
        text = self._text(place) if found is not None else None
        if found is None or text is None:
            return None
        self._known = [*(one for one in self.all() if one is not found), found]
        script = PacScript(text, found.url, found.fetched_at, etag=found.etag, last_modified=found.last_modified)
        return script, found.answered

    def _text(self, place: str) -> str | None:
        try:
            found = read_file(self._folder / place)
        except AgentError:
            return None
        return None if found is None else found.data.decode(errors="replace")

    def keep(self, pac: str, snapshot: Snapshot, script: PacScript, answers: tuple[Answered, ...]) -> None:
        data = script.text.encode()
        if len(data) > LARGEST:  # of what was 1 MiB in other letters; it would not be read again
            return
        place = digest(self._state, _encoded(pac, snapshot))[:_DIGITS]
        before = read_file(self._folder / place)
        if before is None or before.data != data:
            replace_file(self._folder / place, data, expected=before, parent_mode=0o700)
        copy = Copy(
            place=place,
            pac=str(pac),
            url=script.url,
            fetched_at=script.fetched_at,
            etag=script.etag,
            last_modified=script.last_modified,
            answers={str(one.registry): _in_words(one.answer) for one in answers},
        )
        self._known = [*(one for one in self.all() if one.place != place), copy][-MOST:]
        self._file.save(self._known)
        self._sweep()

    def _sweep(self) -> None:
        """Remove the texts of those that were forgotten."""
        wanted = {one.place for one in self.all()}
        for path in self._folder.iterdir():
            if path.name not in wanted and (found := read_file(path)) is not None:
                remove_file(path, expected=found)


_WORDS: Final = {Scheme.HTTP: "PROXY", Scheme.HTTPS: "HTTPS"}


def _in_words(answer: PacAnswer) -> str:
    return "; ".join(_in_word(way.proxy) for way in answer.ways)


def _in_word(url: ProxyUrl | None) -> str:
    return "DIRECT" if url is None else f"{_WORDS.get(url.scheme, 'SOCKS5')} {str(url).partition('://')[2]}"


def _encoded(pac: str, snapshot: Snapshot) -> bytes:
    return msgspec.json.encode([_PURPOSE, str(pac), *way_out(snapshot)])
