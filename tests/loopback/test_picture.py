"""The pictures of the demo in README.md show what the demo prints."""

from __future__ import annotations

from tests.picture import PICTURES, constant, excerpt, printed, words_of


def test_the_pictures_of_the_demo_show_what_it_prints_today() -> None:
    lines = constant(excerpt(printed()))

    assert {theme: constant(words_of(path.read_text())) for theme, path in PICTURES.items()} == {
        "light": lines,
        "dark": lines,
    }
    assert [line for line in lines if line.startswith("  pull")][:3] == [
        "  pull         registry.test/hello works",
        "  pull         registry.test/hello fails: connecting to registry.test:80: nothing listens there",
        "  pull         registry.test/hello works",
    ]
