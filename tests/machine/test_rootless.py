"""A user's own Docker, rootless, beside the system's: what the lab has of it, and how it behaves. No agent yet."""

from __future__ import annotations

import json

import pytest

from tests.waiting import Seen

from .lab.docker import LOCAL_IMAGE
from .lab.laptop import Laptop
from .lab.layer import LAB_CA
from .lab.places import REGISTRY
from .lab.rootless import RootlessDocker

ON_TRIXIE = pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
VALUES = "/home/alice/.config/docker-proxy-agent/dockerd.env"


def proxy(own: RootlessDocker, url: str) -> None:
    """By hand, as the agent would: the drop-in names a file that is for its owner alone."""
    text = "".join(f"{name}={url}\n" for name in ("HTTP_PROXY", "HTTPS_PROXY"))
    own.run("sh", "-euc", 'umask 077; mkdir -p "${1%/*}"; printf %s "$2" >"$1"', "sh", VALUES, text)
    own.drop_in(f"[Service]\nEnvironmentFile=-{VALUES}\n", "zz-by-hand.conf")


def soon_pulls(laptop: Laptop, own: RootlessDocker) -> Seen:
    return laptop.until(own.pulls, within=20)


def leads_out(own: RootlessDocker, url: str) -> bool:
    """Whether dockerd's network reaches this proxy, and by it the internet."""
    asked = own.inside("curl", "-sS", "--max-time", "3", "--proxy", url, "http://10.99.0.10/hello")
    return asked.stdout == "hello from the internet\n"


def test_it_pulls_at_the_office_with_its_owners_drop_in_and_not_without_and_trusts_who_its_owner_does(
    laptop: Laptop,
) -> None:
    own, office = laptop.rootless(), laptop.office.tinyproxy
    start = own.invocation_id()
    laptop.plug("home")
    assert soon_pulls(laptop, own)

    laptop.plug("office")

    assert not own.pull().ok
    laptop.plug("guest")
    assert soon_pulls(laptop, own)  # what it asks for names is told of the move, and stays the same
    assert own.invocation_id() == start
    assert laptop.read(f"/proc/{own.pid()}/root/etc/resolv.conf") == "nameserver 10.0.2.3\n"
    laptop.plug("office")
    assert not own.pull().ok
    assert office.log() == []
    proxy(own, office.url)
    assert own.reports(http=office.url, https=office.url)
    assert own.environment()["HTTPS_PROXY"] == office.url
    assert own.pull().ok
    assert set(office.log()) == {"registry.example:443"}
    # The system's knows nothing of it.
    assert laptop.docker.reports(http="", https="")
    assert not laptop.docker.pull().ok

    laptop.plug("home")

    proxy(own, "")
    assert own.reports(http="", https="")
    assert soon_pulls(laptop, own)
    _it_trusts_who_its_owner_trusts(laptop, own)


def test_what_it_is_and_who_may_look_into_it(laptop: Laptop) -> None:
    own = laptop.rootless()
    _what_closes_files_to_a_users_unit_closes_dockerd_to_it_as_well(laptop, own)
    _a_restart_ends_its_containers_whatever_live_restore_says(laptop, own)
    _a_client_takes_the_entry_of_the_engine_that_it_speaks_to(laptop, own)
    _its_dockerd_is_a_process_that_only_its_owner_and_root_look_into(laptop, own)


def _its_dockerd_is_a_process_that_only_its_owner_and_root_look_into(laptop: Laptop, own: RootlessDocker) -> None:
    proxy(own, "http://alice:secret@proxy:1")
    main, dockerd = int(own.show("MainPID")), own.pid()

    def parent(pid: int) -> int:
        return int(laptop.run("ps", "-o", "ppid=", "-p", str(pid)).stdout)

    def name(pid: int) -> str:
        return laptop.read(f"/proc/{pid}/comm").strip()

    assert (name(main), name(dockerd)) == ("rootlesskit", "dockerd")
    assert parent(parent(dockerd)) == main
    assert laptop.read(f"{own.runtime}/docker.pid") == str(dockerd)
    assert (
        laptop.run("readlink", f"{own.runtime}/systemd/units/invocation:docker.service").stdout.strip()
        == own.invocation_id()
    )
    assert own.show("TriggeredBy") == ""
    assert own.show("Type") == ("simple" if laptop.suite == "bookworm" else "notify")
    assert "name=rootless" in own.info()["SecurityOptions"]
    for user in (None, "alice"):
        assert "secret" in laptop.run("cat", f"/proc/{dockerd}/environ", user=user).stdout
        assert laptop.run("ls", f"/proc/{dockerd}/fd", user=user).stdout
        assert laptop.run("readlink", f"/proc/{dockerd}/ns/net", user=user).stdout.startswith("net:[")
    for path in ("environ", "ns/net", "fd/"):
        assert not laptop.run(
            "sh", "-c", f"ls -L /proc/{dockerd}/{path} && cat /proc/{dockerd}/environ", user="bob", check=False
        ).ok
    assert laptop.run("cat", f"/proc/{dockerd}/cmdline", user="bob").stdout == "dockerd\0"
    assert not laptop.run("docker", "-H", f"unix://{own.socket}", "ps", user="bob", check=False).ok
    assert not laptop.run("docker", "ps", user="bob", check=False).ok


def _what_closes_files_to_a_users_unit_closes_dockerd_to_it_as_well(laptop: Laptop, own: RootlessDocker) -> None:
    look = f"cat /proc/{own.pid()}/environ >/dev/null"
    join = f"nsenter --user --net --preserve-credentials --target {own.pid()} true"

    def works(script: str, *properties: str) -> bool:
        unit = (
            "systemd-run",
            "--user",
            "--quiet",
            "--wait",
            "--pipe",
            "--collect",
            *(f"--property={one}" for one in properties),
        )
        return own.run(*unit, "sh", "-ec", script, check=False).ok

    open_to_it = (
        "NoNewPrivileges=yes", "SystemCallFilter=@system-service", "MemoryDenyWriteExecute=yes", "LockPersonality=yes",
        "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "SystemCallArchitectures=native", "MemoryMax=384M",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    )  # fmt: skip
    assert works(f"{look}; {join}", *open_to_it)
    assert works(look, "RestrictNamespaces=yes")
    assert not works(join, "RestrictNamespaces=yes")
    assert works(join, "RestrictNamespaces=user net")
    assert not works(look, "PrivateUsers=yes")
    # 252 goes on without them, and says nothing; from then on they bring PrivateUsers= along.
    for closing in ("ProtectSystem=strict", "ProtectHome=read-only", "PrivateTmp=yes", "InaccessiblePaths=/etc/ssh"):
        assert works(look, closing) is (laptop.suite == "bookworm")
    assert works("touch ~/there", "ProtectHome=read-only") is (laptop.suite == "bookworm")


def test_its_network_is_its_own_and_what_it_reaches_of_the_laptops_and_of_ipv6_it_is_told(laptop: Laptop) -> None:
    own = laptop.rootless()
    laptop.plug("home")
    local, in_the_lan = laptop.start_proxy(7890), laptop.start_proxy(7891, laptop.home.laptop_address)
    on_the_bridge = laptop.start_proxy(7892, "172.17.0.1")
    gateway = "http://10.0.2.2:7890"
    knows_the_switch = laptop.suite != "bookworm"
    assert own.is_in_a_network_of_its_own

    assert leads_out(own, in_the_lan.url)
    assert not leads_out(own, local.url)
    assert not leads_out(own, gateway)
    assert not leads_out(own, on_the_bridge.url)  # that address is its own bridge's, too

    own.drop_in("[Service]\nEnvironment=DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=false\n", "40-loopback.conf")

    assert not leads_out(own, local.url)
    assert leads_out(own, gateway) is knows_the_switch
    proxy(own, gateway)
    assert own.pull().ok is knows_the_switch
    assert ("registry.example:443" in local.log_text()) is knows_the_switch
    # The price: so do its containers.
    own.import_image()
    fetch = (
        "run",
        "--rm",
        "--env",
        f"http_proxy={gateway}",
        LOCAL_IMAGE,
        "wget",
        "-q",
        "-T",
        "3",
        "-O",
        "-",
        "http://10.99.0.10/hello",
    )
    assert own.cli(*fetch, check=False).ok is knows_the_switch
    _it_has_no_ipv6_unless_it_is_told_to(laptop, own)


@ON_TRIXIE
def test_one_that_runs_in_the_laptops_network_has_the_laptops_loopback(laptop: Laptop) -> None:
    own = laptop.rootless()
    laptop.plug("office")
    local = laptop.start_proxy(7890, upstream=laptop.office.tinyproxy)

    own.detach()

    assert not own.is_in_a_network_of_its_own
    assert not own.inside("true").ok  # it is nobody's to enter
    assert not own.pull().ok
    proxy(own, local.url)
    assert own.pull().ok
    assert "registry.example:443" in laptop.office.tinyproxy.log()


def _it_has_no_ipv6_unless_it_is_told_to(laptop: Laptop, own: RootlessDocker) -> None:
    office = laptop.campus.tinyproxy
    laptop.plug("campus")
    there = f"--proxy {office.url} http://10.99.0.10/hello"
    assert laptop.run("sh", "-c", f"curl -sS {there}").stdout == "hello from the internet\n"

    assert not leads_out(own, office.url)

    own.drop_in("[Service]\nEnvironment=DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=--ipv6\n", "40-ipv6.conf")
    laptop.until(leads_out, own, office.url)


def _a_restart_ends_its_containers_whatever_live_restore_says(laptop: Laptop, own: RootlessDocker) -> None:
    of_the_system = laptop.docker.start_container()
    laptop.write(own.daemon_json, '{"live-restore": true}', owner="alice")
    own.restart()
    assert own.info()["LiveRestoreEnabled"]
    assert not laptop.docker.info()["LiveRestoreEnabled"]  # each has its own file
    once, always = own.start_container(), own.start_container("--restart", "always")
    assert own.show("KillMode") == "mixed"
    assert "containerd-shim" in own.systemctl("status", "--lines=0", "docker.service").stdout
    assert "docker.service" not in laptop.read(f"/proc/{once.first_pid}/cgroup")

    own.restart()

    laptop.until(always.is_running)
    assert always.pid() != always.first_pid
    assert not once.is_running()
    assert not laptop.exists(f"/proc/{once.first_pid}")
    assert of_the_system.pid() == of_the_system.first_pid


def _a_client_takes_the_entry_of_the_engine_that_it_speaks_to(laptop: Laptop, own: RootlessDocker) -> None:
    entries = {"default": "default", f"unix://{own.socket}": "own", "unix:///var/run/docker.sock": "system"}
    proxies = {engine: {"httpProxy": f"http://{name}:1"} for engine, name in entries.items()}
    config = "/home/alice/.docker/config.json"
    assert json.loads(laptop.read(config))["currentContext"] == "rootless"  # the tool says so
    laptop.write(config, json.dumps({"currentContext": "rootless", "proxies": proxies}), 0o600, owner="alice")
    own.import_image()
    laptop.docker.import_image()

    def given(*how: str) -> str:
        run = ("env", *how, "run", "--rm", LOCAL_IMAGE)
        return laptop.in_a_container("echo $http_proxy", *run, user="alice").stdout.strip()

    assert given("docker") == "http://own:1"
    assert given(f"DOCKER_HOST=unix://{own.socket}", "docker") == "http://own:1"
    assert given("docker", "--context", "default") == "http://system:1"
    assert given("DOCKER_HOST=unix:///run/docker.sock", "docker") == "http://default:1"

    proxies[f"unix://{own.socket}"] = {}
    laptop.write(config, json.dumps({"currentContext": "rootless", "proxies": proxies}), 0o600, owner="alice")

    assert given("docker") == ""
    laptop.run("docker", "context", "use", "default", user="alice")
    assert json.loads(laptop.read(config))["proxies"] == proxies  # also where the client saves it


def _it_trusts_who_its_owner_trusts(laptop: Laptop, own: RootlessDocker) -> None:
    laptop.distrust()
    own.restart()  # which reads the system's store once

    assert not own.pull().ok
    assert laptop.until(laptop.docker.pulls, within=20)  # by /etc/docker/certs.d, which is the system's alone
    laptop.write(f"/home/alice/.config/docker/certs.d/{REGISTRY}/ca.crt", laptop.read(LAB_CA), owner="alice")
    assert own.pull().ok


@ON_TRIXIE
def test_each_user_has_one_that_comes_up_with_the_machine(laptop: Laptop) -> None:
    hers, his = laptop.rootless("alice"), laptop.rootless("bob")
    laptop.plug("office")
    proxy(hers, laptop.office.tinyproxy.url)

    laptop.reboot()

    for own in (hers, his):
        laptop.until(own.reports, within=30)
    assert hers.pull().ok
    assert not his.pull().ok
    assert hers.pid() != his.pid()
    assert laptop.docker.is_active()
