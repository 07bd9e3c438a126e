"""The table of events in docs/audit.md, made from their types. `make docs` writes it."""

from __future__ import annotations

from typing import Final

import msgspec

from agent.audit.about_the_log import Recovered, Trimmed
from agent.audit.logs import message_id
from agent.values.events import FACTS, Facts
from tests.sources import ROOT

DOCUMENT: Final = ROOT / "docs/audit.md"
BEGIN, END = "<!-- events: make docs -->\n", "<!-- end of the events -->\n"
_SAID_BY_THE_LOG: Final[tuple[type[Facts], ...]] = (Recovered, Trimmed)


def table() -> str:
    kinds = {**FACTS, **{kind.event: kind for kind in _SAID_BY_THE_LOG}}
    rows = [
        f"| `{kind.event.value}` | {kind.severity.value} | {_facts(kind)} | `{message_id(kind.event)}` |"
        for kind in kinds.values()
    ]
    return (
        "\n".join(["| event | severity | facts; in ( ) where known | MESSAGE_ID |", "|---|---|---|---|", *rows]) + "\n"
    )


def _facts(kind: type[Facts]) -> str:
    fields = msgspec.structs.fields(kind)
    return ", ".join(f"`{field.name}`" if field.required else f"(`{field.name}`)" for field in fields)


def main() -> None:
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}{table()}{END}{after}")


if __name__ == "__main__":
    main()
