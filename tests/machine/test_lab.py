"""The lab itself: are the places what the other tests take them for?"""

import pytest

from .lab.docker import LOCAL_IMAGE
from .lab.laptop import Laptop
from .lab.layer import LAB_CA
from .lab.places import HUB_IMAGE, REGISTRY

ASKED = f"{REGISTRY}:443"


@pytest.mark.sid
def test_a_laptop_is_of_its_suite_and_has_docker_and_the_agent_and_is_the_same_after_a_reboot(laptop: Laptop) -> None:
    _versions_are_those_of_the_suite(laptop)
    _the_agent_is_installed_in_a_venv_of_its_own(laptop)
    _a_container_runs_and_can_be_told_from_its_successor(laptop)
    _a_reboot_keeps_disk_and_cable(laptop)
    _a_stopped_docker_is_not_woken_by_looking(laptop)


def _versions_are_those_of_the_suite(laptop: Laptop) -> None:
    version = laptop.docker.version(), laptop.run("systemctl", "--version").stdout.split()[1]

    if laptop.suite == "sid":  # which moves on
        docker, systemd = (int(text.split(".")[0]) for text in version)
        assert docker >= 28
        assert systemd >= 262
    else:
        docker_of, systemd_of = {"bookworm": ("20.10.24", "252"), "trixie": ("26.1.5", "257")}[laptop.suite]
        assert version[0].startswith(docker_of)
        assert version[1] == systemd_of
    assert laptop.docker.info()["Driver"] == "overlay2"
    assert laptop.docker.reports(http="", https="", no_proxy="")


def _the_agent_is_installed_in_a_venv_of_its_own(laptop: Laptop) -> None:
    assert laptop.run("readlink", "-f", "/usr/local/bin/docker-proxy-agent").stdout.startswith(
        "/opt/docker-proxy-agent/"
    )
    python = "/opt/docker-proxy-agent/bin/python"
    assert laptop.run(python, "-c", "import agent; print(agent.__file__)").stdout.startswith("/opt/docker-proxy-agent/")


def _a_container_runs_and_can_be_told_from_its_successor(laptop: Laptop) -> None:
    web = laptop.docker.start_container("--env", "PLACE=café", "--restart", "always")

    assert web.is_running()
    assert web.environment()["PLACE"] == "café"
    before = laptop.docker.invocation_id()
    laptop.docker.restart()
    assert laptop.docker.invocation_id() != before
    laptop.until(web.is_running)
    assert web.pid() != web.first_pid


def _a_reboot_keeps_disk_and_cable(laptop: Laptop) -> None:
    laptop.plug("home")
    laptop.write("/etc/kept", "")
    laptop.write("/run/lost", "")
    boot = laptop.read("/proc/sys/kernel/random/boot_id")

    laptop.reboot()

    assert laptop.read("/proc/sys/kernel/random/boot_id") != boot
    assert laptop.exists("/etc/kept")
    assert not laptop.exists("/run/lost")
    assert laptop.run("docker", "image", "inspect", LOCAL_IMAGE).ok
    assert laptop.docker.pulls()


def _a_stopped_docker_is_not_woken_by_looking(laptop: Laptop) -> None:
    laptop.run("systemctl", "stop", "docker.service")

    assert not laptop.docker.reports(http="")
    assert "inactive" in str(laptop.docker.reports(http=""))
    assert not laptop.docker.is_active()
    assert laptop.docker.environment() == {}


def test_at_home_direct_works_by_an_authority_of_the_labs_that_can_be_distrusted(laptop: Laptop) -> None:
    laptop.plug("home")

    assert laptop.until(laptop.docker.pulls, within=20)
    assert laptop.docker.pulls(HUB_IMAGE)
    assert any(request.endswith("GET /v2/") for request in laptop.internet.requests())
    ask = ("curl", "-sS", f"https://{REGISTRY}/v2/")
    assert laptop.run(*ask).ok

    laptop.distrust()

    assert not laptop.run(*ask, check=False).ok
    assert laptop.run(*ask, "--cacert", LAB_CA).ok
    laptop.docker.restart()
    assert laptop.docker.pulls()  # Docker has certs.d


@pytest.mark.trixie
def test_office_has_no_way_out_but_its_proxies_which_want_their_passwords(laptop: Laptop) -> None:
    laptop.plug("office")

    assert not laptop.docker.pull().ok
    assert (
        "10.10.0.2"
        in laptop.run("curl", "-sv", "--max-time", "3", "http://proxy.corp.example:8888", check=False).stderr
    )
    assert "Could not resolve" in laptop.run("curl", "-sS", f"https://{REGISTRY}/v2/", check=False).stderr
    by_address = ("curl", "-sS", "--max-time", "1", "https://10.99.0.10/v2/")
    assert "connect" in laptop.run(*by_address, check=False).stderr
    laptop.office.swallow()
    assert "timed out" in laptop.run(*by_address, check=False).stderr
    assert laptop.internet.requests() == []

    for proxy in (laptop.office.squid, laptop.office.socks_with_password):
        for url in (proxy.url, proxy.url.replace("//", "//alice:wrong@")):
            laptop.docker.drop_in(f'[Service]\nEnvironment="HTTPS_PROXY={url}"\n')
            assert not laptop.docker.pull().ok
        assert proxy.log() == []


def test_office_proxies_let_docker_through(laptop: Laptop) -> None:
    laptop.plug("office")

    for kind in ("tinyproxy", "squid", "tls", "socks", "socks_with_password"):
        proxy = getattr(laptop.office, kind)
        others = [other for other in laptop.office.proxies if other is not proxy]
        for one in laptop.office.proxies:
            one.forget()
        url = proxy.url_with_password.replace("%", "%%")
        laptop.docker.drop_in(f'[Service]\nEnvironment="HTTP_PROXY={url}" "HTTPS_PROXY={url}"\n')

        assert laptop.docker.reports(http=proxy.url_reported, https=proxy.url_reported)
        assert laptop.docker.environment()["HTTPS_PROXY"] == proxy.url_with_password
        pulled = laptop.docker.pull()
        assert pulled.ok, pulled
        assert ASKED in proxy.log()
        assert [other.log() for other in others] == [[], [], [], []]

        proxy.stop()
        assert not laptop.docker.pull().ok
        proxy.start()
        assert laptop.docker.pull().ok


@pytest.mark.trixie
def test_cafe_has_a_portal_until_it_is_passed(laptop: Laptop) -> None:
    laptop.plug("cafe")

    answer = laptop.run("curl", "-sSi", f"http://{REGISTRY}/v2/").stdout
    assert answer.startswith("HTTP/1.0 302")
    assert "Location: http://portal.cafe.example/accept" in answer
    assert "Free Wi-Fi" in laptop.run("curl", "-sSL", f"http://{REGISTRY}/v2/").stdout
    assert not laptop.docker.pull().ok

    laptop.cafe.pass_portal()
    laptop.docker.restart()  # which else asks the last place's DNS server for up to 5 s more (docs/facts.md 26)
    assert laptop.docker.pulls()


@pytest.mark.trixie
def test_a_box_has_no_network_of_its_own_and_roaming_leaves_no_trace_of_the_last_place(laptop: Laptop) -> None:
    assert "default" not in laptop.network("ip route")
    assert not laptop.docker.pull().ok
    _until_says_what_was_last_seen(laptop)
    _files_arrive_as_given(laptop)

    for place, gateway in (("home", "10.20.0.1"), ("office", "10.10.0.1"), ("cafe", "10.30.0.1")):
        laptop.plug(place)
        assert f"nameserver {gateway}" in laptop.read("/etc/resolv.conf")
        assert laptop.network("ip -4 route show default").split()[2] == gateway
        assert len(laptop.network("ip -4 -o address show scope global dev wlan0").splitlines()) == 1

    laptop.unplug()
    assert laptop.read("/etc/resolv.conf") == ""
    assert "wlan0" not in laptop.network("ip link")


def _until_says_what_was_last_seen(laptop: Laptop) -> None:
    with pytest.raises(
        AssertionError, match=r"http='http://nowhere:1'.* not within 0.2 s; last seen: .*'HttpProxy': ''"
    ):
        laptop.until(laptop.docker.reports, http="http://nowhere:1", within=0.2)


def _files_arrive_as_given(laptop: Laptop) -> None:
    laptop.policy("# nothing\n")
    laptop.write("/home/alice/.docker/config.json", "{}", 0o600, owner="alice")

    assert laptop.run("stat", "-c", "%U %a", "/etc/docker-proxy-agent/config.toml").stdout == "root 644\n"
    mine = laptop.run(
        "stat", "-c", "%U %a", "/home/alice/.docker", "/home/alice/.docker/config.json", user="alice"
    ).stdout
    assert mine == "alice 755\nalice 600\n"
    assert laptop.exists("/etc/docker-proxy-agent")
    assert not laptop.exists("/home/bob/.docker")
    assert not laptop.run("docker", "ps", user="bob", check=False).ok


@pytest.mark.trixie
def test_ways_out_that_are_neither_home_nor_office(laptop: Laptop) -> None:
    _a_local_proxy_serves_the_laptop_and_its_containers(laptop)
    _a_vpn_leads_into_the_office_and_no_further(laptop)
    _a_guest_network_looks_like_the_office_and_has_a_stranger_in_it(laptop)


def _a_local_proxy_serves_the_laptop_and_its_containers(laptop: Laptop) -> None:
    laptop.plug("home")
    local = laptop.start_proxy(7890, "172.17.0.1")
    laptop.docker.import_image()

    fetch = "wget -q -O - http://registry.example/ || true"
    laptop.run("docker", "run", "--rm", "--env", f"http_proxy={local.url}", LOCAL_IMAGE, "sh", "-c", fetch)
    assert "registry.example" in local.log_text()

    local.stop()
    assert not local.answers()


def _a_guest_network_looks_like_the_office_and_has_a_stranger_in_it(laptop: Laptop) -> None:
    laptop.plug("guest")

    assert laptop.until(laptop.docker.pulls, within=20)
    assert laptop.guest.heard() == ""
    by_proxy = ("curl", "-sS", "--max-time", "1", "-x", laptop.office.squid.url_with_password, f"https://{REGISTRY}")
    assert "timed out" in laptop.run(*by_proxy, check=False).stderr
    assert "CONNECT registry.example:443" in laptop.guest.heard()
    assert "Proxy-Authorization: Basic" in laptop.guest.heard()


def _a_vpn_leads_into_the_office_and_no_further(laptop: Laptop) -> None:
    laptop.plug("home")
    vpn = laptop.vpn()
    proxy = laptop.office.tinyproxy
    by_proxy = ("curl", "-sS", "--max-time", "3", "-x", proxy.url, f"https://{REGISTRY}/v2/")
    assert not laptop.run(*by_proxy, check=False).ok

    laptop.network(f"ip route add 0.0.0.0/1 via {vpn.GATEWAY}")

    assert laptop.run(*by_proxy).ok
    assert proxy.log() == [ASKED]
    assert "connect" in laptop.run("curl", "-sS", "--max-time", "3", "https://10.99.0.10", check=False).stderr
    vpn.close()
    assert laptop.run("curl", "-sS", f"https://{REGISTRY}/v2/").ok
    assert not laptop.run(*by_proxy, check=False).ok
