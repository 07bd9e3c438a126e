"""A Docker whose unit starts a script that stays, so that dockerd is not the unit's main process."""

from __future__ import annotations

import pytest

from .lab.laptop import Laptop
from .test_apply import applied, office_policy

ON_TRIXIE = pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
SCRIPT = "/usr/local/sbin/start-docker"
GATE = "/run/may-start"


def started_by_a_script(laptop: Laptop, *flags: str, type_: str = "notify", before: str = "") -> None:
    """dockerd is its child, and has made its socket itself: none that it inherits through a script is meant for it."""
    listens = "-H unix:///run/docker.sock --containerd=/run/containerd/containerd.sock"
    lines = ("#!/bin/sh", before, f"dockerd {listens} {' '.join(flags)} &", 'trap "kill $!" TERM', "wait; wait")
    laptop.write(SCRIPT, "\n".join(lines) + "\n", 0o755)
    laptop.run("systemctl", "stop", "docker.service", "docker.socket")
    laptop.write(
        "/etc/systemd/system/docker.socket.d/away.conf", "[Socket]\nListenStream=\nListenStream=/run/away.sock\n"
    )
    laptop.docker.drop_in(f"[Service]\nType={type_}\nNotifyAccess=all\nExecStart=\nExecStart={SCRIPT}\n")


def main_and_dockerd(laptop: Laptop) -> tuple[str, str]:
    names = [
        laptop.run("cat", f"/proc/{pid}/comm").stdout.strip()
        for pid in (laptop.docker.show("MainPID"), laptop.read("/run/docker.pid").strip())
    ]
    return names[0], names[1]


@ON_TRIXIE
def test_flags_of_a_dockerd_that_a_script_started_are_seen(laptop: Laptop) -> None:
    started_by_a_script(laptop, "--https-proxy=http://other.example:1")
    laptop.until(laptop.docker.reports, https="http://other.example:1")
    assert main_and_dockerd(laptop) == ("start-docker", "dockerd")
    office_policy(laptop)
    laptop.plug("office")

    ran = laptop.agent("apply")

    assert ran.code == 1, ran
    assert "dockerd is started with --https-proxy: that overrides every file; nothing is written" in ran.stdout


@ON_TRIXIE
def test_what_such_a_script_takes_from_dockerd_is_seen_in_its_process(laptop: Laptop) -> None:
    started_by_a_script(laptop, before="unset HTTPS_PROXY https_proxy")
    office_policy(laptop)
    laptop.plug("office")

    ran = laptop.agent("apply")
    again = laptop.agent("apply")

    assert ran.code == 1, ran
    assert again.code == 1, again
    assert "ExecStart= itself sets HTTPS_PROXY, https_proxy" in again.stdout
    assert laptop.audit.events().count("docker-restarted") == 1


@ON_TRIXIE
def test_a_unit_that_is_active_before_there_is_a_dockerd_counts_as_starting(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    laptop.write(GATE, "")
    started_by_a_script(laptop, type_="simple", before=f"until [ -e {GATE} ]; do sleep 0.1; done")
    laptop.until(laptop.docker.reports, https="")
    laptop.run("rm", GATE)
    laptop.docker.restart()
    assert laptop.docker.is_active()

    planned = laptop.agent("plan")

    assert "Docker is still starting" in planned.stdout, planned
    laptop.write(GATE, "")
    laptop.until(laptop.docker.reports, https="")
    applied(laptop)
    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)
    assert "rolled-back" not in laptop.audit.events()


@ON_TRIXIE
def test_a_dockerd_that_ends_after_its_unit_was_active_has_its_old_settings_back(laptop: Laptop) -> None:
    started_by_a_script(laptop, type_="simple", before='[ -z "$HTTPS_PROXY" ] || { sleep 1; exit 1; }')
    laptop.until(laptop.docker.reports, https="")
    office_policy(laptop)
    laptop.plug("office")

    ran = laptop.agent("apply")

    assert ran.code == 1, ran
    assert "Docker runs with the old settings again" in ran.stdout
    assert laptop.docker.reports(https="")
    assert "rolled-back" in laptop.audit.events()
