"""`docker-proxy-agent audit report`: one private file, and nothing else is touched."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agent.cli.misused import Misused
from agent.values.asker import Asker, Via
from agent.values.errors import AgentError
from agent.values.events import Event

from .test_audit_command import Host, host

__all__ = ["host"]  # the fixture


@pytest.fixture
def diary(host: Host) -> Host:
    host.hours_ago(3).write(Event.NETWORK_CHANGED, pass_id="1", network="office")
    host.hours_ago(2).write(Event.DOCKER_RESTARTED, pass_id="1", due="direct does not work", took_s=0.7)
    return host


def test_the_page_is_one_file_for_whoever_asked_alone(diary: Host, tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    status, out, err = diary.audit("report", "-o", str(page))

    assert (status, out) == (0, [])
    assert err[0] == f"{page}: written, readable only by you. Open it in a browser"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert page.read_text().startswith("<!doctype html>")
    assert page.read_text().rstrip().endswith("</html>")


@pytest.mark.needs_root
def test_a_page_of_roots_says_how_its_person_can_open_it(
    diary: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser of alice's may not read what root has made."""
    monkeypatch.setenv("SUDO_USER", "alice")
    page = tmp_path / "my page.html"

    _, _, err = diary.audit("report", "-o", str(page))

    made = f"{page}: written, readable only by root. Make it yours, then open it in a browser"
    assert err[0] == f"{made}: sudo chown \"$USER\" '{page}'"


@pytest.mark.parametrize("kind", ["file", "link", "dead-link", "folder"])
def test_what_is_there_stays(diary: Host, tmp_path: Path, kind: str) -> None:
    page, other = tmp_path / "page.html", tmp_path / "other"
    if kind == "file":
        page.write_text("mine")
    elif kind == "folder":
        page.mkdir()
    else:
        page.symlink_to(other)
    if kind == "link":
        other.write_text("mine")

    with pytest.raises(AgentError, match="already exists, and is left as it is"):
        diary.audit("report", "-o", str(page))

    assert not page.is_file() or page.read_text() == "mine"
    assert kind == "link" or not other.exists()


def test_a_page_goes_to_stdout_if_that_is_asked_for(diary: Host) -> None:
    status, out, err = diary.audit("report", "-o", "-")

    assert (status, err) == (0, [])
    assert out[0] == "<!doctype html>"


def test_a_page_of_a_stretch_of_time_has_that_alone(host: Host) -> None:
    host.at("09:00").write(Event.NETWORK_CHANGED, network="office")
    host.at("10:00").write(Event.NETWORK_CHANGED, network="cafe")
    host.at("11:00").write(Event.NETWORK_CHANGED, network="home")

    _, out, _ = host.audit("report", "--since", "2026-03-01T09:30Z", "--until", "2026-03-01T10:30Z", "-o", "-")

    text = "\n".join(out)
    assert 'id="r2"' in text
    assert 'id="r1"' not in text
    assert 'id="r3"' not in text
    assert "Sunday, 1 March 2026, 15:00 to 16:00" in text  # in the reader's own time
    assert "office" in text  # where it was at the beginning


def test_without_an_agent_a_page_ends_with_the_newest_record(host: Host) -> None:
    host.at("09:00").write(Event.NETWORK_CHANGED, network="office")
    host.at("11:00").write(Event.NETWORK_CHANGED, network="home")

    assert "Sunday, 1 March 2026, 14:30 to 16:30" in "\n".join(host.audit("report", "-o", "-")[1])


def test_a_log_that_was_changed_is_shown_and_the_page_says_so(diary: Host) -> None:
    log = diary.paths.audit_log
    log.write_text(log.read_text().replace("office", "orifice"))

    status, out, err = diary.audit("report", "-o", "-")

    assert status == 0
    assert "A record was altered: record 1: is not as it was written" in "\n".join(out)
    assert "See: docker-proxy-agent audit verify" in err[0]


def test_the_page_keeps_an_anchor_that_verify_takes(diary: Host) -> None:
    _, out, _ = diary.audit("report", "-o", "-")
    anchor = "\n".join(out).partition("--anchor ")[2].partition("<")[0]

    status, said, _ = diary.audit("verify", "--anchor", anchor)
    assert status == 0
    assert any("anchor" in line and anchor.partition(":")[0] in line for line in said)


def test_who_asked_is_on_it_and_no_password_is(host: Host) -> None:
    host.write(Event.REQUESTED, by=Asker(Via.CONTROL, 0, 1000, "alice"), command="apply", options=["now"])
    host.write(Event.DRIFT_CORRECTED, targets=["/x"], found={"http": "http://bob:hunter2@proxy.example:3128"})

    text = "\n".join(host.audit("report", "-o", "-")[1])
    assert "alice (claimed by sudo), login uid 1000" in text
    assert "hunter2" not in text
    assert "bob" not in text


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--since", "2026-03-01T09:30Z", "--until", "2026-03-01T09:00Z"), "is not before"),
        (("--since", "2036-03-01T09:30Z"), "is not before"),
    ],
)
def test_a_time_in_which_nothing_can_have_happened_is_refused(diary: Host, words: tuple[str, ...], why: str) -> None:
    with pytest.raises(AgentError, match=why):
        diary.audit("report", *words, "-o", "-")


def test_a_log_without_records_makes_no_page(host: Host, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="has no records"):
        host.audit("report", "-o", str(tmp_path / "page.html"))

    assert not (tmp_path / "page.html").exists()


def test_a_page_is_no_json(diary: Host) -> None:
    with pytest.raises(Misused):
        diary.audit("--json", "report", "-o", "-")
