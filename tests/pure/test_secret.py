"""What may be shown."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.values.secret import HIDDEN, UNPARSABLE, Secret, escaped, redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://alice:p%40ss@proxy:3128", f"http://{HIDDEN}@proxy:3128"),
        ("http://token@proxy", f"http://{HIDDEN}@proxy"),
        ("alice:pass@proxy:3128", f"{HIDDEN}@proxy:3128"),
        ("http://alice:p@ss@proxy:3128", f"http://{HIDDEN}@proxy:3128"),
        ("http://alice:p/ss@proxy:3128", UNPARSABLE),
        ("http://alice:p#ss@proxy:3128", UNPARSABLE),
        ("http://alice:p ss@proxy:3128", UNPARSABLE),
        ("http://alice:pass@proxy:3128/path", UNPARSABLE),
        ("http://alice:pass", UNPARSABLE),
    ],
)
def test_a_url_is_shown_without_its_user(url: str, shown: str) -> None:
    assert redacted(url) == shown


@given(st.text(st.characters(codec="utf-8"), min_size=4).filter(lambda text: len(set(text)) > 3))
def test_no_password_survives_however_it_was_written(password: str) -> None:
    if password in HIDDEN + UNPARSABLE + "http://alice:@proxy:3128":
        return
    assert password not in redacted(f"http://alice:{password}@proxy:3128")


@given(st.text())
def test_text_from_the_network_is_one_short_printable_line(text: str) -> None:
    shown = escaped(text, 50)

    assert len(shown) <= 50
    assert shown == "" or shown.isprintable()


def test_a_secret_has_no_way_out_but_reveal() -> None:
    secret = Secret("hunter2-hunter2")

    assert secret.reveal() == "hunter2-hunter2"
    assert [str(secret), repr(secret), f"{secret}", f"{secret:>9}", "%s" % secret] == [HIDDEN] * 5  # noqa: UP031
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(secret)


def test_secrets_are_equal_by_what_they_hide() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
