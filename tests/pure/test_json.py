"""The one shape of what is shown: docs/json.md names all of it, and what is too much is counted."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import msgspec
import pytest

from agent.audit import verify
from agent.cli import pac
from agent.cli.audit import shown as audit_shown
from agent.cli.doctor import finding
from agent.cli.doctor.finding import Sign
from agent.cli.env import shown as env_shown
from agent.decide.elsewhere import Client, Sheet, Steps
from agent.one_pass import picture
from agent.one_pass.drawing import MOST, Beside, changes, picture_of
from agent.one_pass.seen import Pass
from agent.service import status_file
from agent.service.status_file import PolicyStatus, Status, StatusFile, read, status_of
from agent.values.condition import Code, Condition
from agent.values.places import File, Form
from agent.values.settings import settings
from agent.values.shown import plain
from agent.values.verdict import Outcome, Verdict

from .test_status_page import AT_THE_OFFICE, client
from .test_unattended import WRITTEN, planned

DOCUMENT = (Path(__file__).parents[2] / "docs/json.md").read_text()
SHAPES = [
    kind
    for module in (picture, status_file, pac, env_shown, finding, audit_shown, verify)
    for name, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__ and not name.startswith("_")
]


@pytest.mark.parametrize(
    "kind", [kind for kind in SHAPES if kind.__name__ != "StatusFound"], ids=lambda kind: kind.__name__
)
def test_every_field_is_documented(kind: type[msgspec.Struct]) -> None:
    named = set(re.findall(r"`([a-z_]+)`", DOCUMENT))

    assert set(kind.__struct_fields__) <= named


@pytest.mark.parametrize("kind", [Sheet, Steps, Client, File], ids=lambda kind: kind.__name__)
def test_every_field_of_a_sheet_is_documented(kind: type[msgspec.Struct]) -> None:
    section = DOCUMENT.partition("## `env --system NAME`")[2].partition("\n## ")[0]

    assert set(kind.__struct_fields__) <= set(re.findall(r"`([a-z_]+)`", section))
    assert {form.value for form in Form} <= set(re.findall(r"`([a-z-]+)`", section))


def test_every_code_is_documented_and_whether_it_fails() -> None:
    table = DOCUMENT.partition("## The codes of conditions")[2]
    rows = [row.split("|")[1:3] for row in table.splitlines() if row.startswith("| `")]
    fails = {
        code: text.lstrip().startswith("*fails*") for codes, text in rows for code in re.findall(r"`([a-z-]+)`", codes)
    }

    assert fails == {code.value: code.is_failure for code in Code}


def test_every_code_of_a_finding_is_documented() -> None:
    section = DOCUMENT.partition("`doctor --json`")[2].partition("Whatever fails")[0]

    assert {sign.value for sign in Sign} <= set(re.findall(r"`([a-z-]+)`", section))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "status.json")
    drawn = picture.Picture(**{name: getattr(AT_THE_OFFICE, name) for name in picture.Picture.__struct_fields__})
    shown = status_of(drawn, PolicyStatus("/etc/x"), AT_THE_OFFICE.last)

    file.show(shown)

    found = read(file.path)
    assert found is not None
    assert found.is_running
    assert found.status == shown


def test_a_list_of_the_largest_size_passes_uncut(tmp_path: Path) -> None:
    many = tuple(client(f"user{number}") for number in range(200))
    verdicts = {f"upstream{number}": AT_THE_OFFICE.verdicts["corp"] for number in range(200)}
    shown = msgspec.structs.replace(AT_THE_OFFICE, targets=many, verdicts=verdicts)

    written = plain(msgspec.to_builtins(shown))

    assert msgspec.convert(written, Status) == shown


def test_what_is_too_much_is_left_out_and_counted() -> None:
    verdicts = {f"upstream{number}": Verdict(Outcome.OK) for number in range(MOST + 7)}
    conditions = tuple(Condition(Code.TARGET_FAILED, f"file {number}") for number in range(MOST + 3))
    seen = msgspec.structs.replace(planned(WRITTEN), verdicts=verdicts)

    drawn = picture_of(Pass(seen), Beside(conditions=conditions))

    assert (len(drawn.verdicts), len(drawn.conditions), drawn.left_out) == (MOST, MOST, 10)


def test_one_entry_of_a_plan_says_what_changes_and_hides_the_password() -> None:
    before = settings("http://alice:one@office:3128", "http://alice:one@office:3128", "localhost")
    after = settings("http://alice:two@office:3128", None, "localhost")

    http, https = changes(before, after)

    assert http.before == http.after == "http://•••@office:3128"
    assert (https.name, https.before, https.after) == ("https", "http://•••@office:3128", None)


@pytest.mark.parametrize(
    "text",
    [
        '{"version":"0.0.1","pid":1,"started":1,"state":"steady","verdicts":null,"targets":[{"name":"x"}]}',
        '{"version":"9","pid":1,"started":1,"state":"no such state"}',
    ],
)
def test_what_another_version_wrote_is_known_for_that(tmp_path: Path, text: str) -> None:
    path = tmp_path / "status.json"
    path.write_text(text)

    found = read(path)

    assert found is not None
    assert (found.status, found.is_running) == (None, False)
    assert found.version in text
