"""The pictures of the demo in README.md: what `docker-proxy-agent demo` really prints, as SVG, light and dark.

Every stop, and of each what a passer-by reads: what a pull does, what is chosen and why, what Docker runs with. A test
compares the words with what the demo prints today; `make picture` draws them anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from tests.sources import ROOT

PICTURES: Final = {"light": ROOT / "docs/demo-light.svg", "dark": ROOT / "docs/demo-dark.svg"}
SHOWN: Final = ("pull", "because", "docker", "engine")  # the lines of a stop that are drawn, by their labels
PROMPT: Final = "$ docker-proxy-agent demo"

_NAMES: Final = ("paper", "edge", "ink", "faint", "good", "bad", "head")
_COLOURS: Final[Mapping[str, tuple[str, ...]]] = {
    "light": ("#ffffff", "#d0d7de", "#1f2328", "#59636e", "#116329", "#a40e26", "#0550ae"),
    "dark": ("#0d1117", "#3d444d", "#e6edf3", "#9198a1", "#56d364", "#ff7b72", "#79c0ff"),
}
_FONT: Final = "14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
_TITLE: Final = "Where a pull fails, Docker is given what works there, and the next pull works"
_COLUMN, _LINE, _MARGIN = 8.43, 20, 18  # of a 14-pixel monospace font
_LABEL: Final = 15  # columns of it at the beginning of a line
_ENDING: Final = {"works": "good", "fails": "bad"}
_RUN: Final = (sys.executable, "-c", "from agent.cli import main; raise SystemExit(main())", "demo")


def printed() -> str:
    """What the demo prints now."""
    run = subprocess.run(_RUN, check=True, capture_output=True, text=True, timeout=120, cwd=ROOT)
    return run.stdout


def excerpt(demo: str) -> list[str]:
    """The lines that are drawn."""
    stops = demo[demo.index("── 1 ") : demo.index("── afterwards")].rstrip("\n").split("\n")
    rows = (line for line in stops if not line.startswith(" ") or line[:_LABEL].strip() in SHOWN)
    return [PROMPT, *rows]


def constant(lines: list[str]) -> list[str]:
    """Without what differs from one run to the next: times."""
    return [re.sub(r"\d+(\.\d+)? (ms|s)\b", "N \\2", line) for line in lines]


def words_of(picture: str) -> list[str]:
    """The lines that are drawn in it."""
    found = re.findall(r'<text [^>]*class="line"[^>]*>(.*?)</text>', picture)
    plain = (re.sub(r"<[^>]+>", "", line) for line in found)
    return [line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for line in plain]


def drawn(lines: list[str], theme: str) -> str:
    """As SVG."""
    colour = dict(zip(_NAMES, _COLOURS[theme], strict=True))
    width = round(max(map(len, lines)) * _COLUMN) + 2 * _MARGIN
    height = len(lines) * _LINE + 2 * _MARGIN
    size = f'width="{width}" height="{height}"'
    fills = "".join(f".{name}{{fill:{colour[name]}}}" for name in ("faint", "good", "bad", "head"))
    edge = f'width="{width - 1}" height="{height - 1}" rx="8" fill="{colour["paper"]}" stroke="{colour["edge"]}"'
    rows = (
        f'<text x="{_MARGIN}" y="{_MARGIN + number * _LINE + 14}" class="line" xml:space="preserve">{_row(line)}</text>'
        for number, line in enumerate(lines)
    )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} role="img">',
            f"<title>{_TITLE}</title>",
            f"<style>text{{font:{_FONT};fill:{colour['ink']}}}.head,.strong{{font-weight:bold}}{fills}</style>",
            f'<rect x=".5" y=".5" {edge}/>',
            *rows,
            "</svg>\n",
        )
    )


def _row(line: str) -> str:
    if line.startswith("──"):
        return _span("head", line)
    if not line.startswith(" "):
        return _span("strong", line)
    if sign := re.match(r" +([+-]) ", line):
        return _span("good" if sign[1] == "+" else "bad", line)
    label, rest = line[:_LABEL], line[_LABEL:]
    ended = re.fullmatch(r"(.*? )(works|fails)(.*)", rest) if label.strip() == "pull" else None
    if ended is None:
        return _span("faint", label) + escape(rest)
    return _span("faint", label) + escape(ended[1]) + _span(_ENDING[ended[2]], ended[2]) + escape(ended[3])


def _span(name: str, text: str) -> str:
    return f'<tspan class="{name}">{escape(text)}</tspan>'


def draw() -> dict[Path, str]:
    """Every picture, by the file that it belongs in."""
    lines = excerpt(printed())
    return {path: drawn(lines, theme) for theme, path in PICTURES.items()}


if __name__ == "__main__":
    for path, picture in draw().items():
        path.write_text(picture)
        print(f"{path.relative_to(ROOT)} drawn")
