"""What the documents link to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_link_leads_somewhere(document: Path) -> None:
    links = [link for link in LINK.findall(FENCE.sub("", document.read_text())) if "://" not in link]

    dead = [link for link in links if not _leads_somewhere(document, *link.partition("#")[::2])]

    assert dead == []


def test_a_dead_link_is_found() -> None:
    readme = ROOT / "README.md"

    assert _leads_somewhere(readme, "docs/restarting.md", "when-docker-is-restarted")
    assert not _leads_somewhere(readme, "docs/restarting.md", "when-it-is-not")
    assert not _leads_somewhere(readme, "docs/nowhere.md", "")


def _leads_somewhere(document: Path, path: str, anchor: str) -> bool:
    goal = document.parent / path if path else document
    return goal.exists() and (not anchor or anchor in _anchors(goal))


def _anchors(document: Path) -> set[str]:
    """As GitHub makes them of headings: lower case, no punctuation, a dash for each blank."""
    headings = HEADING.findall(FENCE.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
