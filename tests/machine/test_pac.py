"""An office whose only hint is its PAC file, on a real systemd with a real Docker."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.waiting import Seen

from .lab.laptop import Laptop
from .lab.places import IMAGE, REGISTRY, Place, Proxy
from .test_apply import PASSWORD_FILE
from .test_relay import RELAY, has_loaded, loads

DEAD = "10.10.0.2:9999"
POLICY = """
[upstream.corp]
pac = "{pac}"
pac_refresh = "10s"

[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = ["corp", "direct"]
"""
# Where the search domain is the only thing that tells the office, and nobody says where its PAC file is.
WPAD = f"""
[upstream.corp]
pac = "auto"
username = "alice"
password_file = "{PASSWORD_FILE}"
trusted = ["*.corp.example"]

[[network]]
name = "office"
match.dns_search = ["corp.example"]
use = ["corp", "direct"]
"""
DOCKERFILE = "FROM lab/busybox\nRUN wget -q -O /hello http://10.99.0.10/hello && cat /hello\n"


def way(proxy: Proxy) -> str:
    """As an answer of a PAC has it."""
    scheme, _, where = proxy.url.partition("://")
    return f"{'HTTPS' if scheme == 'https' else 'PROXY'} {where}"


def named(proxy: Proxy) -> str:
    return f"corp → {proxy.url.removeprefix('http://')}"


def pac_is(laptop: Laptop, problem: str) -> Seen:
    found = laptop.status().get("pacs", {}).get("corp") or {}
    return Seen(problem in (found.get("problem") or "nothing"), found)


def says_now(laptop: Laptop, name: str) -> Seen:
    status = laptop.status()
    return Seen(name in str(status.get("pacs")), (status.get("pacs"), status.get("at"), asked(laptop)))


def asked(laptop: Laptop) -> int:
    """How often the PAC file was asked for since the laboratory was made."""
    return laptop.office.pac_server.log_file.read_text(errors="replace").count("/proxy.pac")


@pytest.mark.trixie
def test_an_office_that_has_nothing_but_its_pac(laptop: Laptop) -> None:
    office, other = laptop.office, laptop.office.tls
    office.says(f'return "PROXY {DEAD}; {way(office.tinyproxy)}";')
    laptop.policy(POLICY.format(pac=office.PAC))
    before = asked(laptop)
    laptop.plug("home")
    assert laptop.agent("install").ok
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert asked(laptop) == before

    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=office.tinyproxy.url, within=30)

    office.tinyproxy.forget()
    assert laptop.docker.pull().ok
    assert f"{REGISTRY}:443" in office.tinyproxy.log()
    laptop.write("/tmp/build/Dockerfile", DOCKERFILE)
    laptop.docker.import_image()
    built = laptop.docker.cli("build", "--no-cache", "/tmp/build", check=False, timeout=120)
    assert "hello from the internet" in built.stdout + built.stderr, built
    shown = laptop.agent("status").stdout
    assert named(office.tinyproxy) in shown
    assert f"{named(office.tinyproxy).partition(' ')[0]} → {DEAD} refused" in shown
    assert laptop.docker.show("ActiveState", "docker-proxy-agent-pac.socket") == "active"
    for command, word in (("env", office.tinyproxy.url), ("plan", "nothing: Docker runs with"), ("probe", "200 OK")):
        ran = laptop.agent(command)
        assert ran.ok, ran
        assert word in ran.stdout
    assert laptop.agent("doctor").stdout == "no problems found\n"

    office.says(f'return "{way(other)}";')
    laptop.until(says_now, laptop, named(other), within=40)  # nobody moved
    laptop.until(laptop.docker.reports, https=other.url, within=60)  # docker.min_interval

    laptop.plug("home")
    laptop.until(laptop.docker.reports, https="", within=60)
    office.pac_server.stop()
    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=other.url, within=60)
    laptop.until(pac_is, laptop, "pac.corp.example", within=10)
    laptop.run("systemctl", "restart", "docker-proxy-agent", timeout=60)
    laptop.until(pac_is, laptop, "pac.corp.example", within=20)
    assert laptop.status()["docker"]["in_use"] == named(other)
    assert laptop.agent("audit", "verify").ok


def doctor(laptop: Laptop) -> dict[str, dict[str, Any]]:
    return {one["code"]: one for one in json.loads(laptop.agent("doctor", "--json").stdout)["findings"]}


@pytest.mark.trixie
def test_from_a_desktop_that_names_a_pac_to_docker_and_what_doctor_says_of_it(laptop: Laptop) -> None:
    office = laptop.office
    office.says(f'return "PROXY {DEAD}; {way(office.tinyproxy)}";')
    laptop.write("/root/.config/kioslaverc", f"[Proxy Settings]\nProxyType=2\nProxy Config Script={office.PAC}\n")
    laptop.plug("office")
    assert laptop.agent("install").ok

    made = laptop.agent("init", "--write")

    assert made.ok, made
    laptop.until(laptop.docker.reports, https=office.tinyproxy.url, within=30)
    shown = laptop.agent("env", "--upstream", "corp-pac", "--shell", "sh").stdout
    assert f"https_proxy={office.tinyproxy.url}\n" in shown
    assert doctor(laptop) == {}

    # Only a unit of the package can be masked, which lies below /usr/lib.
    laptop.run("sh", "-euc", "mv /etc/systemd/system/docker-proxy-agent-pac* /usr/lib/systemd/system")
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "mask", "--now", "docker-proxy-agent-pac.socket")
    found = doctor(laptop)["pac-unit-masked"]
    laptop.run("sh", "-euc", found["command"].replace("sudo ", ""))
    assert "pac-unit-masked" not in doctor(laptop)

    office.says(f'return "PROXY {DEAD}";')
    # The pass that a person asks for does not wait for a server that takes its time; the one after it has the answer.
    laptop.until(lambda: "nothing works" in laptop.agent("reload").stdout, within=20)
    dead = doctor(laptop)["pac-leads-nowhere"]
    assert dead["is_broken"]
    assert dead["where"].endswith("/proxy.pac")
    assert f"{DEAD} refused (" in dead["what"]

    office.pac_server.stop()
    assert "pac-copy" in doctor(laptop)


def heads_for_wpad(place: Place) -> set[str]:
    return {name for name in place.names_asked() if name.split(".")[0] == "wpad"}


@pytest.mark.trixie
def test_wpad_is_asked_at_the_office_and_nowhere_else(laptop: Laptop) -> None:
    office, home, cafe = laptop.office, laptop.home, laptop.cafe
    squid = office.squid.url_reported.replace(office.PROXIES, "proxy.corp.example")
    office.says(f'return "PROXY proxy.corp.example:3128; PROXY {DEAD}";')
    laptop.write(PASSWORD_FILE, office.squid.password + "\n", mode=0o600)
    laptop.policy(WPAD)
    laptop.plug("home")
    assert laptop.agent("install").ok
    laptop.until(laptop.docker.pulls, IMAGE, within=20)

    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=squid, within=30)
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert f"{REGISTRY}:443" in office.squid.log()
    assert "wpad.corp.example" in office.names_asked()

    laptop.plug("cafe")
    cafe.pass_portal()
    laptop.until(laptop.docker.reports, https="", within=60)
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert (heads_for_wpad(home), heads_for_wpad(cafe)) == (set(), set())
    assert (cafe.pacs_given(), cafe.heard()) == (0, "")

    # It claims to be the office, by all that the policy goes by: then it is asked, and gets no password all the same.
    laptop.write("/etc/resolv.conf", cafe.resolv_conf.replace(cafe.SEARCH, office.SEARCH))
    laptop.until(says_now, laptop, f"{cafe.gateway}:{cafe.PROXY_PORT}", within=20)
    laptop.until(lambda: Seen("CONNECT" in cafe.heard(), cafe.heard()))
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert laptop.status()["pacs"]["corp"]["untrusted"] == [cafe.gateway]
    assert laptop.status()["docker"]["in_use"] == "direct"
    assert "Authorization" not in cafe.heard()
    assert (heads_for_wpad(cafe), cafe.pacs_given() > 0) == ({"wpad.corp.example"}, True)


@pytest.mark.trixie
def test_by_the_relay_it_decides_for_each_request(laptop: Laptop) -> None:
    office, squid, tinyproxy = laptop.office, laptop.office.squid, laptop.office.tinyproxy
    office.says(
        f'if (host == "10.99.0.10") return "{way(tinyproxy)}";',
        'if (host == "door.example") return "PROXY 127.0.0.1:22";',
        f'return "PROXY {DEAD}; {way(squid)}";',
    )
    laptop.write(PASSWORD_FILE, squid.password + "\n", mode=0o600)
    login = f'username = "{squid.user}"\npassword_file = "{PASSWORD_FILE}"\ntrusted = ["10.10.0.0/24"]\n'
    policy = POLICY.format(pac=office.PAC).replace('"10s"\n', f'"10s"\n{login}')
    laptop.policy(f"[relay]\nenable = true\n{policy}")
    laptop.plug("office")
    assert laptop.agent("install").ok
    laptop.until(laptop.docker.reports, http=RELAY, https=RELAY, within=40)
    laptop.until(laptop.exists, "/root/.docker/config.json")
    squid.forget()
    tinyproxy.forget()

    assert laptop.docker.pull().ok

    assert f"{REGISTRY}:443" in squid.log()
    web = laptop.docker.start_container()
    laptop.until(has_loaded, web)
    assert any("10.99.0.10" in one for one in tinyproxy.log())
    assert not any("10.99.0.10" in one for one in squid.log())
    door = loads(web, "http://door.example/")
    assert not door.ok
    assert "403" in door.stderr
    status = laptop.status()
    assert status["relay"]["upstream"] == named(squid)
    assert [one["code"] for one in status["conditions"]] == []
