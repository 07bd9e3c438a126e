"""What a person copies from a sheet of `env --system`, on a real systemd and a real Docker, and without the agent."""

from __future__ import annotations

import base64

import pytest

from agent.decide.elsewhere import Steps, merged, sheet
from agent.values.places import PLACES, Form
from agent.values.policy import NoProxy, Upstream
from agent.values.secret import Secret
from agent.values.settings import ProxyUrl, proxy

from .lab.laptop import Laptop
from .lab.places import Proxy

WINDOWS = '{\r\n    "debug": false,\r\n    "registry-mirrors": []\r\n}\r\n'
ENCODINGS = {"utf-8": b"", "utf-8-sig": b"", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


def through(office: Proxy) -> Upstream:
    url = proxy(office.url)
    assert isinstance(url, ProxyUrl)
    return Upstream("office", url, url, username=office.user, password=Secret(office.password))


def way(office: Proxy, form: Form) -> Steps:
    found = sheet(PLACES["linux"], through(office), NoProxy(), shows_password=True)
    return next(one for one in found.ways if one.form is form)


def gone(laptop: Laptop, steps: Steps) -> str:
    """Somebody types it all, as root; what the last command shows."""
    (file,) = steps.files
    for command in steps.before:
        laptop.run("sh", "-c", command.removeprefix("sudo "))
    laptop.write(file.path, "".join(f"{line}\n" for line in steps.lines))
    for command in steps.after:
        laptop.run("sh", "-c", command.removeprefix("sudo "))
    return laptop.run("sh", "-c", steps.check[-1]).stdout


@pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
def test_docker_goes_through_the_proxy_of_a_sheet_that_was_copied(laptop: Laptop) -> None:
    laptop.plug("office")
    office = laptop.office.squid

    shown = gone(laptop, way(office, Form.DROP_IN))

    assert shown.startswith("Environment=HTTP_PROXY=http://")
    laptop.until(laptop.docker.reports, https=office.url_reported, no_proxy="127.0.0.0/8,::1,localhost", within=20)
    laptop.until(laptop.docker.pulls, within=40)

    laptop.run("rm", "-r", "/etc/systemd/system/docker.service.d")
    laptop.run("systemctl", "daemon-reload")
    gone(laptop, way(office, Form.DAEMON_JSON))

    laptop.until(laptop.docker.reports, https=office.url_reported, no_proxy="127.0.0.0/8,::1,localhost", within=20)
    laptop.until(laptop.docker.pulls, within=40)

    # A daemon.json of Windows, as its programs write it: this dockerd reads the file with our keys, too.
    for encoding, mark in ENCODINGS.items():
        after = merged(PLACES["windows"], mark + WINDOWS.encode(encoding), through(office), NoProxy())
        assert after is not None
        laptop.write("/root/merged.b64", base64.b64encode(after).decode())
        laptop.run("sh", "-c", "base64 -d /root/merged.b64 > /root/merged.json")
        assert "configuration OK" in str(laptop.run("dockerd", "--validate", "--config-file", "/root/merged.json"))
