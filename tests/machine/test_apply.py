"""`apply` on a real Docker under a real systemd: one pass, in each place, with nothing else between."""

from __future__ import annotations

import json
import shlex

import pytest

from .lab.laptop import Laptop
from .lab.places import IMAGE, REGISTRY, Proxy

ASKED = f"{REGISTRY}:443"
ENVIRONMENT = "/etc/docker-proxy-agent/dockerd.env"
DROP_IN = "/etc/systemd/system/docker.service.d/zz-docker-proxy-agent.conf"
DAEMON_JSON = "/etc/docker/daemon.json"
PASSWORD_FILE = "/etc/docker-proxy-agent/office.password"

PLACES = """
[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = ["office", "direct"]

[[network]]
name = "elsewhere on earth"
use = ["direct"]
"""


def through(proxy: Proxy) -> str:
    """An upstream `office` that is this proxy."""
    upstream = f'[upstream.office]\nurl = "{proxy.url}"\n'
    return upstream + f'username = "{proxy.user}"\npassword_file = "{PASSWORD_FILE}"\n' if proxy.user else upstream


def office_policy(laptop: Laptop, proxy: Proxy | None = None, docker: str = "") -> None:
    """The office's proxy at the office, direct elsewhere."""
    proxy = proxy or laptop.office.tinyproxy
    if proxy.user:
        laptop.write(PASSWORD_FILE, proxy.password + "\n", mode=0o600)
    laptop.policy(f"{docker}{through(proxy)}{PLACES}")


def applied(laptop: Laptop, *options: str) -> str:
    """What a pass that must succeed printed."""
    ran = laptop.agent("apply", *options)
    assert ran.ok, ran
    return ran.stdout


def pulls(laptop: Laptop) -> bool:
    return laptop.docker.pull().ok


def soon_pulls(laptop: Laptop) -> bool:
    """Directly: for some seconds after a move dockerd still asks the DNS server of the place before (FACTS 26)."""
    return laptop.until(pulls, laptop, within=20)


def untouched(laptop: Laptop) -> tuple[str, str, list[str]]:
    """What a pass with nothing to do must leave as it is."""
    files = laptop.run("sh", "-c", f"stat -c '%n %i %Y' {ENVIRONMENT} {DROP_IN} {DAEMON_JSON} 2>/dev/null; true").stdout
    audit = [event for event in laptop.audit.events() if event != "requested"]  # which each command is
    return laptop.docker.invocation_id(), files, audit


@pytest.mark.long
@pytest.mark.sid
def test_home_office_home_with_nothing_but_apply_between(laptop: Laptop) -> None:
    office_policy(laptop)
    proxy = laptop.office.tinyproxy

    laptop.plug("home")
    applied(laptop)
    assert soon_pulls(laptop)

    laptop.plug("office")
    assert not laptop.docker.pull().ok
    printed = applied(laptop)
    assert "office via office" in printed
    assert laptop.docker.reports(http=proxy.url, https=proxy.url)
    assert laptop.docker.pull().ok
    assert ASKED in proxy.log()

    laptop.plug("home")
    assert not laptop.docker.pull().ok
    applied(laptop)
    proxy.forget()
    assert soon_pulls(laptop)
    assert proxy.log() == []


def test_plan_says_what_apply_does_and_the_log_tells_it_and_a_second_apply_does_nothing(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    before = laptop.docker.invocation_id()

    planned = laptop.agent("plan")

    assert planned.code == 2, planned
    assert f"+ http     {laptop.office.tinyproxy.url}" in planned.stdout
    assert "restart      now; no container runs" in planned.stdout
    assert not laptop.exists(ENVIRONMENT)
    assert not laptop.exists("/var/lib/docker-proxy-agent/originals.json")
    assert laptop.docker.invocation_id() == before

    applied(laptop)

    assert laptop.audit.events() == [
        "requested", "network-changed", "upstream-chosen", "apply-started", "settings-written", "docker-started",
        "docker-restarted", "settings-written",
    ]  # fmt: skip
    assert laptop.agent("plan").code == 0
    assert json.loads(laptop.agent("plan", "--json").stdout)["upstream"]["name"] == "office"
    as_it_is = untouched(laptop)

    printed = applied(laptop)

    assert "nothing: Docker runs with the right settings" in printed
    assert untouched(laptop) == as_it_is
    assert laptop.agent("audit", "verify").ok
    laptop.run("sed", "-i", "2d", "/var/log/docker-proxy-agent/audit.jsonl")
    assert laptop.agent("audit", "verify").code == 1


def test_every_kind_of_upstream_and_a_new_password_is_seen_although_info_hides_it(laptop: Laptop) -> None:
    laptop.plug("office")

    for kind in ("tls", "socks", "socks_with_password", "squid"):
        proxy: Proxy = getattr(laptop.office, kind)
        office_policy(laptop, proxy)

        applied(laptop)

        assert laptop.docker.reports(http=proxy.url_reported, https=proxy.url_reported)
        proxy.forget()
        assert laptop.docker.pull().ok
        assert ASKED in proxy.log()

    laptop.run("sh", "-c", f"sed -i s/alice:[^@]*@/alice:old@/ {ENVIRONMENT}")
    laptop.docker.restart()
    assert not laptop.docker.pull().ok

    applied(laptop)

    assert laptop.docker.pull().ok


def test_a_foreign_proxy_in_the_environment_and_direct_that_really_is_direct(laptop: Laptop) -> None:
    """Seen at the proxy's log: /info alone would show what is masked by `*`, not what is used."""
    local = laptop.start_proxy(7890)
    laptop.write("/etc/default/docker", f"HTTP_PROXY={local.url}\nHTTPS_PROXY={local.url}\n")
    laptop.docker.drop_in(f'[Service]\nEnvironment="http_proxy={local.url}"\nEnvironmentFile=-/etc/default/docker\n')
    laptop.plug("home")
    assert soon_pulls(laptop)
    assert ASKED in local.log_text()
    office_policy(laptop)

    applied(laptop)

    asked_before = local.log_text().count(ASKED)
    assert laptop.docker.reports(http="", https="", no_proxy="")
    assert soon_pulls(laptop)
    assert local.log_text().count(ASKED) == asked_before
    applied(laptop)
    assert laptop.audit.events().count("docker-restarted") == 1


# daemon.json has `proxies`, and dockerd flags for them, from Docker 23 on; what 20.10 does is a test of its own.
docker_23 = pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
docker_20 = pytest.mark.parametrize("laptop", ["bookworm"], indirect=True)


@docker_23
def test_foreign_proxies_in_daemon_json_are_taken_over_there(laptop: Laptop) -> None:
    before = '{\n\t"debug": false,\n\t"proxies": {\n\t\t"http-proxy": "http://10.10.0.9:1"\n\t}\n}\n'
    laptop.write(DAEMON_JSON, before, mode=0o640)
    laptop.docker.restart()
    office_policy(laptop)
    laptop.plug("office")

    applied(laptop)

    proxy = laptop.office.tinyproxy
    assert laptop.docker.reports(http=proxy.url, https=proxy.url)
    assert laptop.read(DAEMON_JSON).startswith('{\n\t"debug": false,\n\t"proxies": {\n\t\t"http-proxy":')
    assert laptop.run("stat", "-c", "%a", DAEMON_JSON).stdout.strip() == "640"
    assert not laptop.exists(DROP_IN)
    assert laptop.docker.pull().ok
    assert "adopted" in laptop.audit.events()

    laptop.plug("home")
    applied(laptop)
    assert soon_pulls(laptop)
    before_again = untouched(laptop)
    applied(laptop)
    assert untouched(laptop) == before_again


@docker_23
def test_a_new_password_in_daemon_json_is_seen_although_info_hides_it(laptop: Laptop) -> None:
    office_policy(laptop, laptop.office.squid, docker='[docker]\nmethod = "daemon-json"\n')
    laptop.write(DAEMON_JSON, '{"proxies": {"https-proxy": "http://alice:old@10.10.0.2:3128",\n"http-proxy": "http://alice:old@10.10.0.2:3128", "no-proxy": "localhost,127.0.0.0/8,::1"}}\n')  # fmt: skip
    laptop.docker.restart()
    laptop.plug("office")
    assert not laptop.docker.pull().ok

    applied(laptop)

    assert laptop.docker.pull().ok
    assert laptop.run("stat", "-c", "%a", DAEMON_JSON).stdout.strip() == "600"
    before = untouched(laptop)
    applied(laptop)
    assert untouched(laptop) == before


@docker_20
def test_docker_20_10_never_gets_proxies(laptop: Laptop) -> None:
    office_policy(laptop, docker='[docker]\nmethod = "daemon-json"\n')
    laptop.plug("office")
    before = laptop.docker.invocation_id()

    ran = laptop.agent("apply")

    assert ran.code == 1
    assert 'Set docker.method = "systemd-drop-in"' in ran.stdout
    assert not laptop.exists(DAEMON_JSON)
    assert laptop.docker.invocation_id() == before
    office_policy(laptop)
    applied(laptop)
    assert laptop.docker.pull().ok
    assert not laptop.exists(DAEMON_JSON)


@docker_20
def test_a_pull_that_waits_for_a_silent_dns_holds_no_move_up(laptop: Laptop) -> None:
    """20.10 then answers /info for up to 20 s not at all (FACTS 61): its process tells what it runs with."""
    office_policy(laptop)
    laptop.plug("office")
    laptop.office.ground.sh("iptables -F FORWARD; iptables -A FORWARD -i lan -j DROP")
    laptop.run("sh", "-c", "echo nameserver 10.99.0.99 >/etc/resolv.conf")
    laptop.docker.restart()
    pull = f"curl -s --unix-socket /run/docker.sock -X POST 'http://docker/images/create?fromImage={IMAGE}'"
    laptop.run("sh", "-c", f"{pull} >/dev/null 2>&1 &")
    laptop.until(is_info_silent, laptop)

    ran = laptop.agent("apply")

    assert ran.ok, ran
    assert "docker-restarted" in laptop.audit.events()
    proxy = laptop.office.tinyproxy
    assert laptop.docker.reports(http=proxy.url, https=proxy.url)
    assert laptop.docker.pull().ok


def is_info_silent(laptop: Laptop) -> bool:
    asked = ("curl", "-s", "--max-time", "1", "--unix-socket", "/run/docker.sock", "http://docker/info")
    return laptop.run(*asked, check=False).code == 28


@docker_23
def test_what_others_set_in_the_unit_is_beaten_and_named(laptop: Laptop) -> None:
    proxies, default = "/etc/systemd/system/docker.service.d/http-proxy.conf", "/etc/default/docker"
    laptop.write(default, "HTTPS_PROXY=http://10.10.0.8:1\n")
    laptop.write(proxies, f"[Service]\nEnvironment=HTTP_PROXY=http://10.10.0.9:1\nEnvironmentFile=-{default}\n")
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "restart", "docker.service")
    office_policy(laptop)
    laptop.plug("office")

    planned = " ".join(laptop.agent("plan").stdout.split())
    applied(laptop)

    assert f"{proxies}, which says http http://10.10.0.9:1" in planned
    assert f"{default}, which says https http://10.10.0.8:1" in planned
    assert laptop.docker.reports(http=laptop.office.tinyproxy.url, https=laptop.office.tinyproxy.url)
    adopted = [record["facts"]["targets"][0] for record in laptop.audit.records() if record["event"] == "adopted"]
    assert adopted == [proxies, default]


@docker_23
def test_flags_hidden_in_docker_opts_block(laptop: Laptop) -> None:
    laptop.write("/etc/default/docker", 'DOCKER_OPTS="--http-proxy=http://10.10.0.9:1"\n')
    laptop.docker.drop_in(
        "[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS\n"
    )
    office_policy(laptop)
    laptop.plug("office")
    before = laptop.docker.invocation_id()

    ran = laptop.agent("apply")

    assert ran.code == 1
    assert "/etc/default/docker: dockerd is started with --http-proxy" in " ".join(ran.stdout.split())
    assert not laptop.exists(ENVIRONMENT)
    assert laptop.docker.invocation_id() == before


def test_a_docker_that_refuses_the_new_configuration_is_rolled_back_and_runs(laptop: Laptop) -> None:
    """The unit's own check fails once the office's proxy is in its environment, as a broken dockerd would."""
    laptop.docker.drop_in(
        "[Service]\nExecStartPre=/bin/sh -c 'case \"$HTTPS_PROXY\" in *8888*) exit 1;; esac'\nRestartSec=100ms\n"
    )
    office_policy(laptop)
    laptop.plug("office")

    ran = laptop.agent("apply")

    assert ran.code == 1, ran
    assert "Docker runs with the old settings again" in ran.stdout
    assert laptop.docker.is_active()
    assert laptop.docker.show("ActiveState", "docker.socket") == "active"
    assert laptop.docker.reports(http="", https="")
    assert not laptop.exists(ENVIRONMENT)
    assert not laptop.exists(DROP_IN)
    assert laptop.audit.events()[-1] == "rolled-back"


def test_a_roll_back_that_cannot_put_a_file_back_still_starts_docker(laptop: Laptop) -> None:
    """The folder of the values becomes read-only on the way, as a disk with errors does."""
    folder = "/etc/docker-proxy-agent"
    laptop.docker.drop_in(
        '[Service]\nExecStartPre=+/bin/sh -c \'case "$HTTPS_PROXY" in *8888*) '
        f"[ -e /run/once ] && exit 0; touch /run/once; mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}; "
        "exit 1;; esac'\nRestart=no\n"
    )
    office_policy(laptop)
    laptop.plug("office")

    ran = laptop.agent("apply")

    assert ran.code == 1, ran
    assert "read-only" in ran.stdout
    assert laptop.docker.is_active()
    assert laptop.audit.events()[-1] == "rolled-back"


def test_a_restart_that_was_put_off_and_then_fails_does_not_leave_docker_down(laptop: Laptop) -> None:
    laptop.docker.drop_in(
        "[Service]\nExecStartPre=/bin/sh -c 'case \"$HTTPS_PROXY\" in *8888*) exit 1;; esac'\nRestartSec=100ms\n"
    )
    office_policy(laptop, docker='[docker]\nrestart = "when-idle"\n')
    laptop.docker.start_container("--restart=no")
    laptop.plug("office")
    assert "1 container runs" in applied(laptop)

    ran = laptop.agent("apply", "--now")

    assert ran.code == 1, ran
    assert "Docker runs with the old settings again" in ran.stdout
    assert laptop.docker.is_active()
    assert not laptop.exists(ENVIRONMENT)
    assert not laptop.exists(DROP_IN)


def test_a_script_that_starts_docker_is_not_asked_for_its_version(laptop: Laptop) -> None:
    """It would start a dockerd, whatever it is asked."""
    laptop.write(
        "/usr/local/sbin/start-docker", "#!/bin/sh\ntouch /run/was-started\nexec dockerd -H fd://\n", mode=0o755
    )
    laptop.docker.drop_in("[Service]\nExecStart=\nExecStart=/usr/local/sbin/start-docker\n")
    laptop.run("systemctl", "stop", "docker.service", "docker.socket")
    laptop.run("rm", "/run/was-started")
    office_policy(laptop)
    laptop.plug("office")

    assert laptop.agent("plan").code == 2
    applied(laptop)

    assert not laptop.exists("/run/was-started")
    laptop.run("systemctl", "start", "docker.service")
    laptop.plug("home")
    applied(laptop)
    assert laptop.docker.reports(http="", https="")


def test_what_takes_our_values_away_is_said_and_nothing_is_restarted(laptop: Laptop) -> None:
    laptop.docker.drop_in("[Service]\nUnsetEnvironment=HTTP_PROXY HTTPS_PROXY http_proxy https_proxy\n")
    office_policy(laptop)
    laptop.plug("office")
    before = laptop.docker.invocation_id()

    ran = laptop.agent("apply")

    assert ran.code == 1
    assert "UnsetEnvironment=HTTP_PROXY HTTPS_PROXY" in ran.stdout
    assert laptop.docker.invocation_id() == before


def test_a_foreign_half_that_dockerd_would_not_take_is_no_reason_to_kill_it(laptop: Laptop) -> None:
    laptop.write(DAEMON_JSON, '{"no-such-key": true}' if laptop.suite == "trixie" else "{,}")
    office_policy(laptop)
    laptop.plug("office")
    before = laptop.docker.invocation_id()

    ran = laptop.agent("apply")

    assert ran.code == 1
    assert DAEMON_JSON in ran.stdout
    assert laptop.docker.invocation_id() == before
    # What dockerd should start with once the file is mended is written.
    assert laptop.exists(ENVIRONMENT)


def test_a_stopped_docker_stays_stopped_and_starts_right(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    laptop.run("systemctl", "stop", "docker.service")

    printed = applied(laptop)

    assert "the agent will not start it" in printed
    assert not laptop.docker.is_active()
    assert laptop.docker.show("ActiveState", "docker.socket") == "active"
    laptop.run("systemctl", "start", "docker.service")
    assert laptop.docker.pull().ok


@pytest.mark.trixie
def test_a_running_container_is_spared_until_a_person_says_now(laptop: Laptop) -> None:
    office_policy(laptop, docker='[docker]\nrestart = "when-idle"\n')
    web = laptop.docker.start_container()
    laptop.plug("office")

    printed = applied(laptop)

    assert "1 container runs" in printed
    assert web.pid() == web.first_pid
    assert laptop.exists(ENVIRONMENT)
    assert laptop.docker.reports(https="")
    before = untouched(laptop)
    applied(laptop)
    assert untouched(laptop) == before

    applied(laptop, "--now")
    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)


def test_four_moves_within_a_minute_do_not_meet_the_start_limit(laptop: Laptop) -> None:
    office_policy(laptop)

    for place in ("office", "home", "office", "home", "office"):
        laptop.plug(place)
        applied(laptop)

    assert laptop.docker.pull().ok
    assert laptop.audit.events().count("docker-restarted") == 5


@pytest.mark.trixie
def test_where_nothing_is_reachable_and_behind_a_portal_all_is_kept(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    applied(laptop)
    before = untouched(laptop)

    laptop.office.tinyproxy.stop()
    ran = laptop.agent("apply")

    assert ran.code == 1
    assert "nothing works" in ran.stdout
    assert untouched(laptop) == before

    laptop.plug("cafe")
    printed = applied(laptop)
    assert "a portal" in printed
    assert untouched(laptop) == before

    laptop.cafe.pass_portal()
    applied(laptop)
    assert soon_pulls(laptop)


@pytest.mark.trixie
def test_probe_tells_how_each_upstream_does(laptop: Laptop) -> None:
    squid = laptop.office.squid
    laptop.write(PASSWORD_FILE, "wrong\n", mode=0o600)
    laptop.policy(
        through(squid)
        + f'[upstream.plain]\nurl = "{laptop.office.tinyproxy.url}"\n[upstream.gone]\nurl = "http://10.10.0.2:9"\n'
        + '[[network]]\nuse = ["office", "gone", "direct", "plain"]\n'
    )
    laptop.plug("office")

    ran = laptop.agent("probe", "--json")

    assert ran.ok, ran
    outcomes = {name: verdict["verdict"] for name, verdict in json.loads(ran.stdout)["verdicts"].items()}
    assert outcomes == {"office": "proxy-auth", "gone": "refused", "direct": "dns", "plain": "ok"}
    assert "Basic" in json.loads(ran.stdout)["verdicts"]["office"]["evidence"]
    _socks5h_is_given_to_docker_as_socks5(laptop)


def _socks5h_is_given_to_docker_as_socks5(laptop: Laptop) -> None:
    laptop.policy(f'[upstream.office]\nurl = "socks5h://10.10.0.2:1080"\n{PLACES}')

    applied(laptop)

    assert laptop.docker.reports(https="socks5://10.10.0.2:1080")
    assert laptop.docker.pull().ok


@pytest.mark.trixie
def test_without_a_policy_with_one_that_others_can_write_and_offline_nothing_is_touched(laptop: Laptop) -> None:
    laptop.plug("home")
    _without_a_policy_nothing_is_touched(laptop)
    laptop.plug("office")
    _a_policy_that_others_can_write_is_refused(laptop)
    laptop.unplug()
    _offline_touches_nothing(laptop)
    _offline_is_offline_whatever_lxd_and_virtual_machines_bring(laptop)
    _who_may_not_read_the_password_is_told_so(laptop)


def _without_a_policy_nothing_is_touched(laptop: Laptop) -> None:
    ran = laptop.agent("apply")

    assert ran.code == 1
    assert "there is no policy" in ran.stderr
    assert not laptop.exists("/var/lib/docker-proxy-agent")


def _a_policy_that_others_can_write_is_refused(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.run("chmod", "666", "/etc/docker-proxy-agent/config.toml")

    ran = laptop.agent("apply")

    assert ran.code == 1
    assert "can be written by others" in ran.stderr
    assert not laptop.exists(ENVIRONMENT)
    assert laptop.agent("check").ok


def _offline_touches_nothing(laptop: Laptop) -> None:
    office_policy(laptop)
    before = laptop.docker.invocation_id()

    printed = applied(laptop)

    assert printed.startswith("offline: nothing is changed\n  docker       ")
    assert laptop.docker.invocation_id() == before
    assert not laptop.exists(ENVIRONMENT)


def _offline_is_offline_whatever_lxd_and_virtual_machines_bring(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.network("""
        ip link add incusbr0 type bridge; ip addr add 10.158.3.1/24 dev incusbr0; ip link set incusbr0 up
        ip link add guest0 type veth peer name inside0; ip link set inside0 up
        ip link set guest0 master incusbr0 up
    """)
    laptop.until(lambda: "LOWER_UP" in laptop.network("ip link show incusbr0"))

    try:
        assert applied(laptop).startswith("offline: nothing is changed\n")
    finally:
        laptop.network("ip link delete guest0; ip link delete incusbr0")


def _who_may_not_read_the_password_is_told_so(laptop: Laptop) -> None:
    office_policy(laptop, laptop.office.squid)

    ran = laptop.agent("check", user="bob")

    assert ran.ok, ran
    assert "is not checked: you are not allowed to read it" in ran.stderr


def test_the_password_is_nowhere_that_others_can_look(laptop: Laptop) -> None:
    squid = laptop.office.squid
    office_policy(laptop, squid)
    laptop.plug("office")
    spellings = [squid.password, squid.url_with_password.partition("alice:")[2].partition("@")[0]]

    outputs = [laptop.agent(*words) for words in (
        ["plan"], ["plan", "--json"], ["probe"], ["apply", "-v"], ["apply", "--json"], ["check"], ["audit"], ["plan", "-v"],
        ["status", "-v"], ["status", "-v", "--json"],
    )]  # fmt: skip
    laptop.docker.pull(IMAGE)
    laptop.plug("home")
    outputs.append(laptop.agent("apply", "-v"))

    for ran in outputs:
        for spelling in spellings:
            assert spelling not in ran.stdout + ran.stderr, ran
    laptop.plug("office")
    applied(laptop)
    for spelling in spellings:
        readable = laptop.run(
            "sh", "-c",
            f"grep -rlF -- {shlex.quote(spelling)} /etc /run /var/lib /var/log /tmp /usr/local 2>/dev/null | xargs -r stat -c '%a %U %n'; true",
        ).stdout.splitlines()  # fmt: skip
        assert all(line.startswith("600 root ") for line in readable), readable
        shown = laptop.run(
            "sh", "-c", "systemctl show docker; systemctl cat docker; cat /proc/*/cmdline | tr '\\0' ' '"
        )
        assert spelling not in shown.stdout
        assert spelling not in laptop.journal()
    assert laptop.agent("audit", "verify").ok
    _is_verified_as_a_person_would(laptop, squid.url_reported.partition("@")[2])


def _is_verified_as_a_person_would(laptop: Laptop, proxy: str) -> None:
    """By what shows it to root, and by what shows it to anybody."""
    roots, bobs = (" ".join(laptop.agent("status", "-v", user=user).stdout.split()) for user in ("root", "bob"))

    for said in (roots, bobs):
        assert "systemctl show --property=Environment docker: Environment= has no proxy" in said
        assert "why the values are in /etc/docker-proxy-agent/dockerd.env" in said
    assert f"dockerd.env: HTTP_PROXY=http://•••@{proxy} HTTPS_PROXY=http://•••@{proxy}" in roots
    assert f"environ: HTTP_PROXY=http://•••@{proxy}" in roots
    assert "agrees Docker says what it was given" in roots
    assert "dockerd.env: closed to you" in bobs
    assert "environ: closed to you" in bobs
