"""What `doctor` finds in settings, units, people's files and the agent's own service."""

from __future__ import annotations

import pytest

from agent.cli.doctor.entries import Client, entries_of
from agent.cli.doctor.entries import judge as of_entries
from agent.cli.doctor.facts import Facts, judged
from agent.cli.doctor.finding import Finding, Sign, finding_lines, shown
from agent.cli.doctor.homes import Left
from agent.cli.doctor.homes import judge as of_homes
from agent.cli.doctor.relay import RelaySeen
from agent.cli.doctor.room import Room
from agent.cli.doctor.room import judge as of_rooms
from agent.cli.doctor.service import Service, unmasked
from agent.cli.doctor.service import judge as of_the_service
from agent.cli.doctor.settings import Written, means_nothing
from agent.cli.doctor.settings import judge as of_settings
from agent.cli.doctor.units import Starts, Unit, with_room
from agent.cli.doctor.units import judge as of_units
from agent.cli.doctor.units import judge_failed as of_failed_units
from agent.values.condition import Code, Condition
from agent.values.dockerd import Engine, Flags, Layer, Phase, Reality, UnitState
from agent.values.settings import Texts
from agent.values.verdict import Outcome, Verdict

from .test_doctor import told
from .test_plan import OFFICE, docker_with, engine, with_drop_in

PASSWORD = "tr0ub4dor"
PROXY = f"http://alice:{PASSWORD}@old.test:1"
CONF = "/etc/systemd/system/docker.service.d/http-proxy.conf"
DEFAULT = "/etc/default/docker"
FOREIGN = (Layer(CONF, {"HTTP_PROXY": PROXY, "NO_PROXY": ""}),)
LOG = "/var/log/docker-proxy-agent/audit.jsonl"
FILE = '{"proxies": {"http-proxy": "http://a:1"}}'
SWARM = Engine("26.1.5", (1, 45), False, Texts(), False, True, 0)


def under_systemd(**real: object) -> Reality:
    return docker_with(Texts(), arguments=("-H", "fd://"), **real)


def beside(text: str, **real: object) -> Written:
    return Written(reality=under_systemd(**real), env_like=((DEFAULT, text),))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        pytest.param(Written(), [], id="not-looked-at"),
        pytest.param(Written(reality=under_systemd()), [], id="nothing-of-others"),
        pytest.param(Written(reality=with_drop_in(OFFICE)), [], id="our-own"),
        pytest.param(Written(reality=under_systemd(beaten=FOREIGN)), [Sign.FOREIGN_SETTING], id="http-proxy.conf"),
        pytest.param(Written(reality=with_drop_in(OFFICE, beaten=FOREIGN)), [Sign.FOREIGN_SETTING], id="it-is-beaten"),
        pytest.param(Written(reality=with_drop_in(OFFICE, daemon_json=FILE)), [Sign.PLACES_DIFFER], id="two-places"),
        pytest.param(Written(reality=under_systemd(daemon_json=FILE)), [], id="daemon-json-alone"),
        pytest.param(Written(reality=with_drop_in(OFFICE, daemon_json="{")), [], id="a-condition-says-it"),
        pytest.param(
            Written(reality=under_systemd(daemon_json='{"https-proxy": "http://a:1", "no-proxy": ""}')),
            [Sign.TOP_LEVEL_PROXY],
            id="beside-proxies",
        ),
        pytest.param(beside(f'# x\nexport http_proxy="{PROXY}"\n'), [Sign.FILE_NOT_READ], id="a-file-nobody-reads"),
        pytest.param(beside(f"HTTP_PROXY={PROXY}", environment_files=(DEFAULT,)), [], id="a-file-that-the-unit-names"),
        pytest.param(
            beside(f"export HTTP_PROXY={PROXY}", environment_files=(DEFAULT,)),
            [Sign.FILE_NOT_READ],
            id="as-a-shell-does",
        ),
        pytest.param(beside("# HTTP_PROXY=http://a:1\nHTTPS_PROXY=\n"), [], id="a-comment-and-an-empty-one"),
        pytest.param(beside(f"HTTP_PROXY={PROXY}", is_systemd=False), [], id="no-unit-to-name-it"),
        pytest.param(
            Written(reality=docker_with(Texts(http="http://a:1", no_proxy="localhost, 10.*"))),
            [Sign.NO_PROXY_ENTRY],
            id="an-entry-that-means-nothing",
        ),
        pytest.param(
            Written(reality=under_systemd(), environment=("PATH", "all_proxy")), [Sign.ALL_PROXY], id="all-proxy"
        ),
        pytest.param(Written(reality=under_systemd(), environment=("HTTP_PROXY", "PATH")), [], id="what-dockerd-reads"),
        pytest.param(Written(reality=docker_with(Texts(no_proxy="10.*"))), [], id="without-a-proxy-it-is-no-matter"),
    ],
)
def test_settings_of_others(written: Written, found: list[Sign]) -> None:
    assert told(of_settings(written)) == [(sign, False) for sign in found]


def test_what_may_be_a_piece_of_a_password_in_no_proxy_is_not_shown() -> None:
    for no_proxy in ("localhost,http://al:zec ret9,x@proxy:1", "a/zec/ret9"):
        found = [*of_settings(Written(reality=docker_with(Texts(http="http://a:1", no_proxy=no_proxy))))]

        assert [one.code for one in found if "zec" in str(one)] == []
        assert Sign.NO_PROXY_ENTRY in [one.code for one in found]


SOCKS5H, SOCKS5 = Texts(https="socks5h://•••@proxy.test:1080"), Texts(https="socks5://proxy.test:1080")


@pytest.mark.parametrize(
    ("go", "runs_with", "found"),
    [
        pytest.param("go1.22.12", SOCKS5H, [(Sign.SOCKS_BY_NAME, True)], id="too-old"),
        pytest.param("go1.23.0", SOCKS5H, [], id="knows-it"),
        pytest.param("go1.23rc1", SOCKS5H, [], id="a-candidate"),
        pytest.param("go1.9", SOCKS5H, [(Sign.SOCKS_BY_NAME, True)], id="no-decimal-number"),
        pytest.param("go1.19.8", SOCKS5, [], id="as-the-agent-writes-it"),
        pytest.param("", SOCKS5H, [], id="not-known"),
        pytest.param("devel +f00", SOCKS5H, [], id="no-release"),
    ],
)
def test_socks5h_and_the_go_of_dockerd(go: str, runs_with: Texts, found: list[tuple[Sign, bool]]) -> None:
    assert told(of_settings(Written(reality=docker_with(runs_with), go=go))) == found


@pytest.mark.parametrize(
    ("entry", "is_nothing"),
    [
        ("corp.test", False), (".corp.test", False), ("*.corp.test", False), ("*", False), ("10.0.0.0/8", False), ("::1", False),
        ("fc00::/7", False), ("corp.test:443", False), ("[::1]:443", False), ("", False),
        ("http://corp.test", True), ("corp.test other.test", True), ("10.*", True), ("*corp.test", True), ("a.*.test", True),
        ("corp.test/path", True), ("10.0.0.0/255.0.0.0", True), ("10.0.0.0/33", True),
    ],
)  # fmt: skip
def test_an_entry_of_no_proxy_that_no_host_matches(entry: str, *, is_nothing: bool) -> None:
    assert bool(means_nothing(entry)) is is_nothing


@pytest.mark.parametrize(
    ("unit", "found"),
    [
        pytest.param(Unit(), [], id="not-looked-at"),
        pytest.param(Unit(reality=docker_with()), [], id="all-is-well"),
        pytest.param(Unit(reality=docker_with(), needs_reload=True), [Sign.NEEDS_DAEMON_RELOAD], id="not-read-yet"),
        pytest.param(Unit(reality=docker_with(hanging=("app.service",))), [Sign.UNITS_HANG], id="app"),
        pytest.param(
            Unit(reality=docker_with(unit=UnitState(Phase.RUNNING, pid=1, kill_mode="mixed"), shims_in_unit=True)),
            [Sign.KILL_MODE],
            id="kill-mode",
        ),
        pytest.param(Unit(reality=docker_with(engine=SWARM)), [Sign.SWARM], id="swarm"),
        pytest.param(Unit(reality=docker_with(engine=engine())), [], id="no-swarm"),
        pytest.param(
            Unit(reality=docker_with(flags=Flags(live_restore=False))), [Sign.LIVE_RESTORE], id="off-by-a-flag"
        ),
        pytest.param(Unit(reality=docker_with(is_systemd=False)), [Sign.LIVE_RESTORE], id="nobody-reloads-it"),
        pytest.param(
            Unit(
                reality=docker_with(
                    flags=Flags(live_restore=True), engine=Engine("26.1.5", (1, 45), False, Texts(), True, False, 0)
                )
            ),
            [],
            id="on-by-a-flag",
        ),
    ],
)
def test_dockers_unit(unit: Unit, found: list[Sign]) -> None:
    assert told(of_units(unit)) == [(sign, False) for sign in found]


def started(lately: int, most: int = 3) -> Unit:
    running = UnitState(Phase.RUNNING, pid=1, triggers=("docker.socket",))
    return Unit(reality=docker_with(unit=running), starts=Starts(most=most, lately=lately))


RELOADED, RESTARTED = "sudo systemctl daemon-reload; ", "sudo systemctl restart docker.service"
LIFTED = "sudo systemctl reset-failed docker.service docker.socket; "


@pytest.mark.parametrize(
    ("unit", "command", "typed"),
    [
        pytest.param(started(2), RELOADED + RESTARTED, RELOADED + LIFTED + RESTARTED, id="one-more-may-be-the-last"),
        pytest.param(started(2), "sudo systemctl restart docker", LIFTED + "sudo systemctl restart docker", id="short"),
        pytest.param(
            started(4), "sudo systemctl start docker.service", LIFTED + "sudo systemctl start docker.service", id="start"
        ),
        pytest.param(started(1), RESTARTED, RESTARTED, id="room"),
        pytest.param(started(4, most=0), RESTARTED, RESTARTED, id="no-limit"),
        pytest.param(started(1, most=1), RESTARTED, RESTARTED, id="each-start-is-the-last"),
        pytest.param(started(3), LIFTED + RESTARTED, LIFTED + RESTARTED, id="lifted-already"),
        pytest.param(
            started(3), "sudo systemctl restart docker-proxy-agent.service",
            "sudo systemctl restart docker-proxy-agent.service", id="another-unit",
        ),
        pytest.param(Unit(starts=Starts(most=3, lately=3)), RESTARTED, RESTARTED, id="not-looked-at"),
    ],
)  # fmt: skip
def test_what_is_told_to_be_typed_does_not_meet_the_start_limit(unit: Unit, command: str, typed: str) -> None:
    found = Finding(code=Sign.CA_NOT_READ, is_broken=True, where="", what="", command=command)

    assert with_room(found, unit).command == typed


def test_a_start_limit_that_is_near_is_no_finding_and_is_lifted_in_each_of_them() -> None:
    said = Condition(Code.BLOCKED, "flags", "Remove them, then run: systemctl restart docker.service")

    (found,) = judged(Facts(conditions=(said,), unit=started(3)))

    assert found.command == f"Remove them, then run: {LIFTED}{RESTARTED}"


@pytest.mark.parametrize(
    ("service", "found"),
    [
        pytest.param(None, [], id="no-systemd-would-run-it"),
        pytest.param(Service(is_enabled=True, version="1", installed="1"), [], id="all-is-well"),
        pytest.param(Service(installed="1"), [], id="neither-boot-nor-version-is-known"),
        pytest.param(Service(is_running=False, is_enabled=False), [Sign.AGENT_DOWN], id="down"),
        pytest.param(Service(is_enabled=False), [Sign.AGENT_NOT_ENABLED], id="not-at-boot"),
        pytest.param(Service(audit_log=LOG, anchors=0), [Sign.NO_ANCHORS], id="journald-keeps-nothing"),
        pytest.param(Service(audit_log=LOG, anchors=1), [], id="anchored"),
        pytest.param(Service(audit_log=LOG, anchors=None), [], id="the-journal-cannot-be-read"),
        pytest.param(Service(anchors=0), [], id="no-log-yet"),
        pytest.param(Service(version="1", installed="2"), [Sign.AGENT_OLDER], id="upgraded-and-not-restarted"),
    ],
)
def test_the_agents_own_service(service: Service | None, found: list[Sign]) -> None:
    assert told(of_the_service(service)) == [(sign, False) for sign in found]


def test_a_masked_agent_is_unmasked_before_it_is_started() -> None:
    (found,) = of_the_service(Service(is_running=False, mask="sudo systemctl unmask docker-proxy-agent.service"))

    assert "masked" in found.what
    assert found.command == (
        "sudo systemctl unmask docker-proxy-agent.service && sudo systemctl enable --now docker-proxy-agent.service"
    )


def test_an_agent_whose_work_is_needed_at_once_takes_some_seconds_for_it() -> None:
    (found,) = of_the_service(Service(is_running=False), is_docker_failing=True)

    start = "sudo systemctl enable --now docker-proxy-agent.service"
    assert found.command == f"Run this, and wait a few seconds: {start}"


@pytest.mark.parametrize(
    ("upstream", "through", "is_docker_failing", "is_broken", "why"),
    [
        pytest.param(
            "", Outcome.PROXY_DOWN, False, True, "since the last boot nobody tells the relay which", id="a-boot"
        ),
        pytest.param(
            "office", Outcome.OK, False, False, "keeps the upstream of the last network; after the", id="no-boot"
        ),
        pytest.param("office", Outcome.REFUSED, True, True, "network, which does not work here; after", id="a-move"),
        pytest.param("", Outcome.OK, False, False, "after the next boot nobody tells the relay", id="a-pac-that-works"),
    ],
)
def test_without_the_agent_the_relay_leads_nowhere_after_a_boot(
    upstream: str, through: Outcome, is_docker_failing: bool, is_broken: bool, why: str
) -> None:
    """Docker itself would keep the settings of the last network."""
    relay = RelaySeen(port=3130, upstream=upstream, through=Verdict(through))
    facts = Facts(service=Service(is_running=False), relay=relay, is_docker_failing=is_docker_failing)

    (found,) = judged(facts)

    assert (found.code, found.is_broken) == (Sign.AGENT_DOWN, is_broken)
    assert why in found.why
    (not_enabled,) = of_the_service(Service(is_enabled=False), relay=relay)
    assert "after the next boot nobody tells the relay" in not_enabled.why


@pytest.mark.parametrize(
    ("file_state", "command"),
    [
        ("masked", "sudo systemctl unmask docker.service"),
        ("masked-runtime", "sudo systemctl unmask --runtime docker.service"),
        ("", "sudo systemctl unmask docker.service"),
    ],
)
def test_a_mask_is_taken_away_where_it_lies(file_state: str, command: str) -> None:
    assert unmasked("systemctl", "docker.service", file_state) == command


FAILED = UnitState(Phase.BROKEN, triggers=("docker.socket",))
RESET = "sudo systemctl reset-failed docker.service docker.socket && sudo systemctl restart docker.service"


@pytest.mark.parametrize(
    ("unit", "commands"),
    [
        pytest.param(Unit(), [], id="not-looked-at"),
        pytest.param(Unit(reality=docker_with()), [], id="it-runs"),
        pytest.param(Unit(reality=Reality(FAILED)), [RESET], id="failed-for-good"),
        pytest.param(Unit(reality=Reality(FAILED), kept_down_by="/etc/docker/daemon.json"), [], id="by-a-known-file"),
        pytest.param(Unit(reality=Reality(UnitState(Phase.BROKEN, comes_back=True))), [], id="systemd-tries-again"),
    ],
)
def test_a_docker_that_failed_is_started_anew_only_where_no_file_keeps_it_down(unit: Unit, commands: list[str]) -> None:
    found = [*of_failed_units(unit)]

    assert [one.command for one in found] == commands
    assert all((one.code, one.is_broken) == (Sign.DOCKER_FAILED, True) for one in found)


def test_a_docker_that_failed_has_its_last_words_without_a_password() -> None:
    said = f"failed to start daemon: {PROXY} \x1b[31m"

    (found,) = of_failed_units(Unit(reality=Reality(FAILED), last_words=said))

    assert "; its last message: failed to start daemon: " in found.what
    assert PASSWORD not in found.what
    assert "\x1b" not in found.what


def room(**differs: object) -> Room:
    return Room(**{"folder": "/etc", "file_system": 1, "free": 1 << 30, "inodes": 99, **differs})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rooms", "where"),
    [
        pytest.param([room(), room(folder="/var", file_system=2, inodes=None)], [], id="room-everywhere"),
        pytest.param([room(free=4096), room(folder="/var", free=4096)], ["/etc"], id="both-on-one"),
        pytest.param([room(), room(folder="/var", file_system=2, free=0)], ["/var"], id="the-other-one"),
        pytest.param([room(inodes=0)], ["/etc"], id="no-inodes"),
    ],
)
def test_a_full_file_system_is_told_once(rooms: list[Room], where: list[str]) -> None:
    found = [*of_rooms(rooms)]

    assert [one.where for one in found] == where
    assert all((one.code, one.is_broken) == (Sign.DISK_FULL, True) for one in found)


def test_a_user_who_is_left_out_breaks_nothing() -> None:
    files = (Left(whose="al", why="its home is not there", is_skipped=True),)

    assert told(of_homes(files)) == [(Sign.CLIENT_SKIPPED, False)]


def test_each_says_what_helps_and_none_shows_a_password() -> None:
    facts = Facts(
        homes=(Left(whose="al", path="/home/al/.docker/config.json", why="line 1: not JSON"),),
        service=Service(is_running=False),
        written=beside(f"HTTP_PROXY={PROXY}", beaten=FOREIGN),
        unit=Unit(reality=docker_with(hanging=("app.service",)), needs_reload=True),
    )

    these = shown(judged(facts), ())

    assert [(one.code, one.is_broken) for one in these.findings] == [
        (Sign.CLIENT_LEFT, True),
        (Sign.AGENT_DOWN, False),
        (Sign.FOREIGN_SETTING, False),
        (Sign.FILE_NOT_READ, False),
        (Sign.NEEDS_DAEMON_RELOAD, False),
        (Sign.UNITS_HANG, False),
    ]
    assert all(one.command and one.why for one in these.findings)
    assert PASSWORD not in f"{[*finding_lines(these)]} {facts}"


def client(*names: str, **differs: object) -> Client:
    entries = tuple((name, ("httpProxy", "noProxy")) for name in names)
    return Client(**{"path": "/home/alice/.docker/config.json", "whose": "alice", "entries": entries, **differs})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param(client("default", "unix:///var/run/docker.sock"), [], id="as-the-agent-writes-it"),
        pytest.param(client("tcp://old.test:2375", "ssh://me@host"), [], id="elsewhere-which-cannot-be-told"),
        pytest.param(client("unix:///run/gone.sock"), [Sign.CLIENT_ENTRY], id="nobody-listens"),
        pytest.param(client("unix:///run/gone.sock", kept=("unix:///run/gone.sock",)), [], id="the-agents-own"),
        pytest.param(client("my-context"), [Sign.CLIENT_ENTRY], id="a-context-is-no-engine"),
        pytest.param(client("httpProxy"), [Sign.CLIENT_ENTRY], id="a-key-in-the-wrong-place"),
        pytest.param(client(entries=(("default", ("HTTP_PROXY",)),)), [Sign.CLIENT_ENTRY], id="a-key-nobody-reads"),
        pytest.param(client(entries=(("default", ("HttpProxy", "ftpProxy")),)), [], id="go-reads-any-letters"),
        pytest.param(client(has_other_engine=True, reaches_it=True), [Sign.REMOTE_CONTEXT], id="another-engine"),
        pytest.param(client(has_other_engine=True), [], id="it-gets-nothing-of-it"),
    ],
)
def test_what_people_have_in_their_client(seen: Client, found: list[Sign]) -> None:
    assert told(of_entries([seen], ["/run/docker.sock"])) == [(sign, False) for sign in found]


def test_where_no_socket_is_known_none_is_told_to_be_dead() -> None:
    assert not [*of_entries([client("unix:///run/gone.sock")], ())]


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ('{"proxies": {"default": {"httpProxy": "http://a:1"}}}', (("default", ("httpProxy",)),)),
        ('{"proxies": {"httpProxy": "http://a:1"}}', ()),
        ('{"auths": {}}', ()),
        ('{"proxies": [1]}', ()),
        ("[]", ()),
        ("{", ()),
    ],
)
def test_the_entries_of_a_file(text: str, entries: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
    assert entries_of(text) == entries
