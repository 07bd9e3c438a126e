"""A system that goes down, or stands still, in the middle of what the service does with a real Docker.

The moments are those of test_crash.py, but nobody dies in them: systemd begins to go down just before, or the whole box is
frozen. Docker is held up on its way down, so that there is time to do the wrong thing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.loopback import crash
from tests.loopback.crash import Moment

from .lab.laptop import Laptop
from .test_apply import DAEMON_JSON, DROP_IN, ENVIRONMENT, office_policy
from .test_crash import ABOUT, PYTHON, STATE, shared, values, wrong
from .test_restart import nothing_under_way
from .test_service import NAME, installed

HOLDS_DOCKER_UP = """
[Unit]
After=docker.service
[Service]
ExecStart=/bin/sleep infinity
ExecStop=/bin/sleep 3
[Install]
WantedBy=multi-user.target
"""
# In /run, as all of it: the next boot starts the agent as it is.
WATCHED = f"""
[Service]
ExecStart=
ExecStart={PYTHON} /run/crash/watched.py
ReadWritePaths=/run/crash
"""
AFTER = "after the restart: "
RUN = """\
import json, os, pathlib, sys, time
sys.path.insert(0, "/run/crash")
import crash

def comes(self):
    self.dies = None
    {comes}

def counted(self, what, is_after=[]):
    count(self, what)
    is_after += ["try-restart"] * ("try-restart" in what)
    if is_after:  # how often Docker was looked at before is not always the same
        count(self, f"{AFTER}{{what}}")

count, crash.Watched._comes = crash.Watched._comes, counted
crash.Watched.die = comes
crash.begun("", "agent", *json.load(open("/run/crash/asked.json")), os.getpid())
from agent.cli import main
raise SystemExit(main(["run"]))
"""
# What logind does.
REBOOT = 'os.system("systemctl start --no-block --job-mode=replace-irreversibly reboot.target")'
SAYS_SO = 'pathlib.Path("/run/crash/now").touch(); time.sleep(1)'
LOOKS = (
    (f"{AFTER}run systemctl show LoadState,ActiveState,Sub", 1),
    (f"{AFTER}run systemctl show LoadState,ActiveState,Sub", 4),
    (f"{AFTER}connect run/docker.sock", 1),
)
RESTARTS = """\
import asyncio
from agent.docker.unit import Unit
from agent.values.errors import NotTried
try:
    asyncio.run(Unit("docker.service").restart())
except NotTried as error:
    print(error)
"""
TOLD = "/run/crash/told"
QUARANTINE = f"{STATE}/quarantine.json"
FAILURES = {"rolled-back", "target-failed"}


def watched(laptop: Laptop, comes: Moment | None, what: str = "") -> None:
    """The service started, offline; in this moment something comes. None: it tells all of them."""
    laptop.write("/run/crash/crash.py", Path(crash.__file__).read_text())
    laptop.write("/run/crash/watched.py", RUN.format(comes=what or "pass", AFTER=AFTER))
    laptop.write("/run/crash/asked.json", json.dumps([comes, None if comes else TOLD]))
    laptop.write(f"/run/systemd/system/{NAME}.d/watched.conf", WATCHED)
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "start", NAME, timeout=30)


def as_before(laptop: Laptop) -> None:
    """Offline, no service, nothing of ours stands anywhere, and Docker runs directly."""
    laptop.run("systemctl", "stop", NAME)
    laptop.unplug()
    restored = laptop.agent("restore", "--now")
    assert restored.ok, restored
    laptop.run("rm", "-f", QUARANTINE)


def moments(laptop: Laptop) -> list[Moment]:
    """Those of a roam to the office."""
    laptop.run("rm", "-f", TOLD)
    watched(laptop, None)
    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=40)
    laptop.until(nothing_under_way, laptop, within=10)
    return [Moment(*json.loads(line)) for line in laptop.read(TOLD).splitlines()]


def worth_it(told: Sequence[Moment]) -> list[Moment]:
    steps = [one for one in told if not one.what.startswith(AFTER) and any(about in one.what for about in ABOUT)]
    return [*steps, *(one for one in told if (one.what, one.nth) in LOOKS)]


def goes_down(laptop: Laptop) -> bool:
    return laptop.run("systemctl", "is-system-running", check=False).stdout == "stopping\n"


@pytest.mark.long
def test_a_system_that_goes_down_at_any_step_has_whole_files_and_docker_up_at_the_next_boot(laptop: Laptop) -> None:
    laptop.write("/etc/systemd/system/holds-docker-up.service", HOLDS_DOCKER_UP)
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "enable", "--now", "holds-docker-up.service")
    office_policy(laptop)
    installed(laptop)
    moments(laptop)
    as_before(laptop)  # what is there from the second time on
    found = shared(laptop, worth_it(moments(laptop)))
    tried: dict[str, list[str]] = {}
    for moment in found:
        as_before(laptop)
        before = len(laptop.audit.records())

        watched(laptop, moment, REBOOT)
        laptop.plug("office")
        laptop.has_rebooted(within=60)

        problems = []
        if (now := values(laptop)) and "HTTPS_PROXY=" not in now:
            problems.append(f"torn: {now!r}")
        laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=40)
        laptop.until(nothing_under_way, laptop, within=20)
        problems += wrong(laptop, laptop.office.tinyproxy.url)
        records = laptop.audit.records()[before:]
        problems += [str(record) for record in records if record["event"] in FAILURES]
        if laptop.exists(QUARANTINE):
            problems.append(laptop.read(QUARANTINE))
        if laptop.run("systemctl", "--failed", "--no-legend", "--plain").stdout:
            problems.append(laptop.run("systemctl", "--failed", "--no-legend", "--plain").stdout)
        tried[str(moment)] = problems
    for name, problems in tried.items():
        print(name, *problems, sep="\n    ")
    assert len(tried) >= 4
    assert [name for name, problems in tried.items() if problems] == []


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_while_the_system_goes_down_nothing_is_written_or_restarted(laptop: Laptop) -> None:
    laptop.write("/etc/systemd/system/holds-docker-up.service", HOLDS_DOCKER_UP.replace("sleep 3", "sleep 20"))
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "start", "holds-docker-up.service")
    office_policy(laptop)
    installed(laptop)
    laptop.run("systemctl", "start", NAME, timeout=30)
    was = laptop.docker.invocation_id()

    laptop.run("systemctl", "reboot", "--no-block")
    assert goes_down(laptop)
    laptop.plug("office")
    laptop.until(laptop.audit.has, "upstream-chosen", within=15)
    ran = laptop.agent("apply")

    assert "the system is going down; the next boot continues it" in ran.stdout
    assert not laptop.exists(ENVIRONMENT)
    assert not laptop.exists(DROP_IN)
    assert laptop.docker.invocation_id() == was
    assert "apply-started" not in laptop.audit.events()
    assert not FAILURES & set(laptop.audit.events())
    laptop.has_rebooted(within=60)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=40)


def test_for_a_restart_of_ours_a_shutdown_would_be_given_up(laptop: Laptop) -> None:
    """One by `systemctl start poweroff.target`, that is: it is for us to see to it."""
    laptop.write("/etc/systemd/system/holds-docker-up.service", HOLDS_DOCKER_UP.replace("sleep 3", "sleep 20"))
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "start", "holds-docker-up.service")
    laptop.run("systemctl", "start", "--no-block", "poweroff.target")

    ran = laptop.run(PYTHON, "-c", RESTARTS)

    assert ran.stdout == "docker.service: is left alone: the system is going down\n"
    assert goes_down(laptop)
    laptop.run("systemctl", "try-restart", "docker.service")
    assert not goes_down(laptop)


@pytest.mark.long
@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_a_box_that_stands_still_in_the_middle_is_no_failure_of_docker(laptop: Laptop) -> None:
    """For longer than dockerd has to report its settings, and than systemd waits for the agent's sign of life: whether
    it then comes too late, and the next agent goes on, is chance."""
    office_policy(laptop, docker='[docker]\nmethod = "daemon-json"\n')
    installed(laptop)
    look = next(one for one in moments(laptop) if (one.what, one.nth) == LOOKS[-1])
    as_before(laptop)
    before = len(laptop.audit.records())
    laptop.run("rm", "-f", "/run/crash/now")

    watched(laptop, look, SAYS_SO)
    laptop.plug("office")
    laptop.until(laptop.exists, "/run/crash/now", within=40)
    laptop.stand_still(65)

    laptop.until(nothing_under_way, laptop, within=20)
    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)
    assert "proxies" in laptop.read(DAEMON_JSON)
    events = [record["event"] for record in laptop.audit.records()[before:]]
    assert not FAILURES & set(events), events
    assert events.count("docker-restarted") == 1
