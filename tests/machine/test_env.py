"""What `env` prints, copied by a person and pasted into a shell, on a real systemd and a real Docker."""

from __future__ import annotations

import base64
import json

import pytest

from agent.decide.elsewhere import Steps, merged, sheet
from agent.values.places import PLACES, Form
from agent.values.policy import NoProxy, Upstream
from agent.values.secret import Secret
from tests.upstreams import upstream

from .lab.docker import LOCAL_IMAGE
from .lab.laptop import Laptop
from .lab.places import Proxy
from .test_apply import office_policy

WINDOWS = '{\r\n    "debug": false,\r\n    "registry-mirrors": []\r\n}\r\n'
ENCODINGS = {"utf-8": b"", "utf-8-sig": b"", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
# What a client's file says of every name: no line may let it through.
THEIRS = dict.fromkeys(("httpProxy", "httpsProxy", "allProxy", "noProxy"), "http://stale.test:1")
DOCKERFILE = f"FROM {LOCAL_IMAGE}\nRUN env > /environment\n"


def environment(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.split("\n"))
    return {name: value for name, _, value in pairs if name.lower().endswith("_proxy")}


def through(office: Proxy) -> Upstream:
    return upstream(office.url, username=office.user, password=Secret(office.password))


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
def test_what_is_printed_is_copied_and_docker_does_it(laptop: Laptop) -> None:
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

    a_line_that_is_pasted_beats_the_clients_file_and_stays_in_no_image(laptop)


def a_line_that_is_pasted_beats_the_clients_file_and_stays_in_no_image(laptop: Laptop) -> None:
    office = laptop.office.squid
    office_policy(laptop, office)
    laptop.docker.import_image()
    laptop.write("/root/.docker/config.json", json.dumps({"proxies": {"default": THEIRS}}))
    lines = json.loads(laptop.agent("env", "--upstream", "office", "--show-secrets", "--json").stdout)["lines"]
    wanted = {"HTTP_PROXY": office.url_with_password, "HTTPS_PROXY": office.url_with_password, "ALL_PROXY": ""}

    pasted = lines["run"].replace(" IMAGE", f' {LOCAL_IMAGE} "$@"')
    ran = laptop.in_a_container("env", "sh", "-c", pasted, "sh")
    built = lines["build"].removesuffix(".") + "--tag made -"
    laptop.run("sh", "-c", built, input=DOCKERFILE, timeout=120)
    inside = laptop.in_a_container("cat /environment", "docker", "run", "--rm", "made")

    of_the_container, of_the_build = environment(ran.stdout), environment(inside.stdout)
    assert len(of_the_container) == 8
    for found in (of_the_container, of_the_build):
        assert {name: found.get(name, "") for name in wanted} == wanted
        assert {name: found.get(name.lower(), "") for name in wanted} == wanted
        assert "stale.test" not in str(found)
    history = laptop.run("docker", "history", "--no-trunc", "made").stdout
    assert "proxy" not in history.lower()

    # A name that is not on the line comes from the file.
    one = laptop.in_a_container("env", "docker", "run", "--rm", "--env", "HTTP_PROXY=", LOCAL_IMAGE)
    found = environment(one.stdout)
    assert found["HTTP_PROXY"] == ""
    assert found["http_proxy"] == "http://stale.test:1"
