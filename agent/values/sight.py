"""Where a person can see what Docker runs with, and what each of these places says.

Values only: who looks is `docker/sights.py`, how it reads `service/sights_page.py`.
"""

from __future__ import annotations

import enum

import msgspec

from agent.values.settings import Settings, Texts, agrees


class Where(enum.Enum):
    """The places, in the order in which a value comes to dockerd."""

    UNIT = "unit"
    FILE = "file"
    FLAGS = "flags"
    DAEMON_JSON = "daemon.json"
    PROCESS = "process"
    ENGINE = "docker info"


class Sight(msgspec.Struct, frozen=True):
    """One place. `at`: the command or the file that shows it."""

    where: Where
    at: str
    says: Texts | None = None  # None: not known
    why_not: str = ""


class Sights(msgspec.Struct, frozen=True):
    """All that were looked at."""

    places: tuple[Sight, ...]
    next_start: Texts | None = None  # what the unit and its files give to dockerd's next start; None: not known
    file: str = ""  # the agent's own, if the unit names it
    takes_file: bool = True  # whether this dockerd reads proxies from daemon.json

    def said(self, where: Where) -> Texts | None:
        """What the first place of a kind says; nothing where there is none of it, None where that is not known."""
        return next((sight.says for sight in self.places if sight.where is where), Texts())

    @property
    def agrees(self) -> bool | None:
        """Whether dockerd reports what it was given. None: one of the two is not known."""
        given, reported = self._given, self.said(Where.ENGINE)
        return None if given is None or reported is None else agrees(reported.meaning(), given)

    @property
    def changes_with_the_next_start(self) -> bool:
        """Whether the unit and its files say something else by now than they did when dockerd started."""
        before = self.said(Where.PROCESS)
        return before is not None and self.next_start is not None and before.meaning() != self.next_start.meaning()

    @property
    def _given(self) -> Settings | None:
        """By its flags, else its file, else its environment, key by key (FACTS 3)."""
        flags, file, environment = map(self.said, (Where.FLAGS, Where.DAEMON_JSON, Where.PROCESS))
        if not self.takes_file:
            file = Texts()
        if flags is None or file is None or environment is None:
            return None
        return flags.over(file).over(environment).meaning()
