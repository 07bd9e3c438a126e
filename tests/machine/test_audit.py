"""What the journal knows of the audit log: forged by a container, missed when the log is gone, ended by an uninstall."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .lab.laptop import Laptop
from .test_apply import office_policy
from .test_service import NAME, started

STATE, LOG = "/var/lib/docker-proxy-agent", "/var/log/docker-proxy-agent"


@pytest.fixture
def at_work(laptop: Laptop) -> Laptop:
    """The service has recorded a move."""
    office_policy(laptop)
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    laptop.until(laptop.audit.has, "docker-restarted")
    return laptop


def is_whole(laptop: Laptop) -> str:
    """What is broken, if anything is. The journal has been asked, and has anchors."""
    laptop.run("journalctl", "--sync")
    verified = laptop.agent("audit", "verify", "--json")
    found = json.loads(verified.stdout)
    assert verified.code == (0 if found["broken"] is None else 1)
    assert "the journal was not read" not in found["notes"]
    return "" if found["broken"] is None else found["broken"]["what"]


def in_journal(laptop: Laptop) -> int:
    found = json.loads(laptop.agent("audit", "verify", "--json").stdout)
    return next(int(one["anchors"]) for one in found["compared"] if one["source"] == "journal")


def begun_anew(laptop: Laptop) -> None:
    started(laptop)
    laptop.until(laptop.audit.has, "agent-started")


def test_a_container_cannot_forge_an_anchor(at_work: Laptop) -> None:
    laptop = at_work
    before = in_journal(laptop)
    assert before > 3
    an_anchor = {"DPA_AUDIT_SEQ": "9998", "DPA_AUDIT_HASH": "0" * 64}
    an_end = an_anchor | {"DPA_AUDIT_SEQ": "9999", "DPA_AUDIT_ENDED": "1"}

    for fields in (an_anchor, an_end):
        written = _by_a_container(laptop, fields)

        assert (written["_UID"], written["SYSLOG_IDENTIFIER"]) == ("0", "docker-proxy-agent")
        assert fields.items() <= written.items()
        assert is_whole(laptop) == ""
        assert in_journal(laptop) == before


def _by_a_container(laptop: Laptop, fields: dict[str, str]) -> dict[str, Any]:
    """What the journal has of it, with these fields among its own."""
    labels = [f"--label={name}={value}" for name, value in fields.items()]
    options = ("--log-opt", "tag=docker-proxy-agent", "--log-opt", f"labels={','.join(fields)}")
    laptop.docker.start_container("--log-driver", "journald", *options, *labels, command="echo forged; sleep 1000")
    with_them = ("journalctl", "--no-pager", "--output=json", f"DPA_AUDIT_SEQ={fields['DPA_AUDIT_SEQ']}")
    laptop.until(lambda: "forged" in laptop.run(*with_them).stdout)
    found: dict[str, Any] = json.loads(laptop.run(*with_them).stdout.partition("\n")[0])
    return found


@pytest.mark.trixie
def test_what_a_command_wrote_is_anchored_by_the_services_next_record(at_work: Laptop) -> None:
    laptop = at_work
    laptop.run("systemctl", "stop", NAME)
    by_service = in_journal(laptop)
    assert laptop.agent("pin", "direct").ok
    assert is_whole(laptop) == ""
    assert in_journal(laptop) == by_service
    count = len(laptop.audit.records())

    laptop.run("systemctl", "start", NAME, timeout=30)

    laptop.until(lambda: len(laptop.audit.records()) > count)
    assert is_whole(laptop) == ""
    assert in_journal(laptop) > by_service
    first, *_, last = laptop.audit.records()
    laptop.run("sed", "-i", f"{count}s/direct/office/", f"{LOG}/audit.jsonl")
    assert "is not as it was written" in is_whole(laptop)
    assert (first["seq"], last["seq"]) == (1, len(laptop.audit.records()))


def test_a_log_that_is_gone_with_its_anchor_is_missed(at_work: Laptop) -> None:
    laptop = at_work
    laptop.run("systemctl", "stop", NAME)
    laptop.run("sh", "-euc", f"rm -r {LOG}/*.jsonl {STATE}/anchors.json")

    assert "gone with the whole log" in is_whole(laptop)
    begun_anew(laptop)
    assert is_whole(laptop) != ""


@pytest.mark.trixie
@pytest.mark.parametrize("how", ["purge", "by-hand"])
def test_after_an_uninstall_nobody_misses_the_log(at_work: Laptop, how: str) -> None:
    laptop = at_work
    assert laptop.agent("uninstall", *(["--purge"] if how == "purge" else [])).ok
    assert is_whole(laptop) == ""
    if how == "by-hand":
        laptop.run("rm", "-r", LOG)
        assert is_whole(laptop) == ""

    office_policy(laptop)
    begun_anew(laptop)

    assert is_whole(laptop) == ""
    laptop.run("systemctl", "stop", NAME)
    laptop.run("sh", "-euc", f"rm -r {LOG}/*.jsonl {STATE}/anchors.json")
    assert "gone with the whole log" in is_whole(laptop)


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_reload_is_no_start_and_a_failed_one_has_its_time(at_work: Laptop) -> None:
    """`at_work` has a proxy at the office; at home Docker is not to start without one."""
    laptop = at_work
    laptop.docker.drop_in(
        "[Service]\nExecStartPre=/bin/sh -c 'case \"$HTTPS_PROXY\" in *8888*) ;; *) exit 1;; esac'\nRestart=no\n"
    )
    came_up, moved = (
        laptop.docker.show(name) for name in ("ActiveEnterTimestampMonotonic", "StateChangeTimestampMonotonic")
    )
    laptop.until(lambda: facts_of(laptop, "docker-started")[-1]["invocation"] == laptop.docker.invocation_id())
    started_at = facts_of(laptop, "docker-started")[-1]["started_at"]

    laptop.run("systemctl", "reload", "docker.service")

    assert laptop.docker.show("ActiveEnterTimestampMonotonic") == came_up
    assert laptop.docker.show("StateChangeTimestampMonotonic") != moved
    laptop.plug("home")
    laptop.until(laptop.audit.has, "rolled-back", within=60)
    *_, last, again = facts_of(laptop, "docker-started")
    stopped = facts_of(laptop, "docker-stopped")[-1]
    assert (last["started_at"], last["cause"]) == (started_at, "others")
    assert (stopped["cause"], again["cause"]) == ("agent", "agent")
    assert started_at < stopped["stopped_at"] == again["down_since"] < again["started_at"]
    assert again["effective"] == last["effective"]


def facts_of(laptop: Laptop, event: str) -> list[dict[str, Any]]:
    return [record["facts"] for record in laptop.audit.records() if record["event"] == event]
