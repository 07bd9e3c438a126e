"""What `doctor` finds, subject by subject, in what was recorded."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from agent.cli.doctor.clock import Clock
from agent.cli.doctor.clock import judge as of_the_clock
from agent.cli.doctor.compose import Compose, services_of
from agent.cli.doctor.compose import judge as of_compose
from agent.cli.doctor.conditions import judge as of_conditions
from agent.cli.doctor.engines import Engines
from agent.cli.doctor.engines import judge as of_engines
from agent.cli.doctor.facts import Facts, judged
from agent.cli.doctor.finding import Finding, Sign, finding_lines, shown
from agent.cli.doctor.firewall import Answer, Filter, Seat
from agent.cli.doctor.firewall import judge as of_firewalls
from agent.cli.doctor.listener import LocalProxy
from agent.cli.doctor.listener import judge as of_listeners
from agent.cli.doctor.logins import MOST, Login, may_be_of_a_network, registries_of
from agent.cli.doctor.logins import judge as of_logins
from agent.cli.doctor.look import listening
from agent.cli.doctor.names import Host, InContainers
from agent.cli.doctor.names import judge as of_names
from agent.cli.doctor.pacs import LookedAt, Pacs
from agent.cli.doctor.pacs import judge as of_pacs
from agent.cli.doctor.password import Refused
from agent.cli.doctor.password import judge as of_passwords
from agent.cli.doctor.pulls import Needed, Role
from agent.cli.doctor.pulls import judge as of_pulls
from agent.cli.doctor.relay import RelaySeen
from agent.cli.doctor.relay import judge as of_relays
from agent.cli.doctor.seat import free_address
from agent.cli.doctor.service import Service
from agent.cli.doctor.shell import ShellsWay, asks_itself, way
from agent.cli.doctor.shell import judge as of_shells
from agent.cli.doctor.told import Around, Pause
from agent.cli.doctor.trust import Rejected, Trust
from agent.cli.doctor.trust import judge as of_trust
from agent.cli.doctor.units import Unit
from agent.cli.doctor.waiting import Waiting
from agent.decide.pac import Answered, PacSeen, Said
from agent.values import policy
from agent.values.condition import Code, Condition
from agent.values.dockerd import Engine, Flags, Phase, Reality, UnitState
from agent.values.others import OTHERS, PODMAN
from agent.values.pac import PacFault, read_answer
from agent.values.policy import PacUrl, RegistryUrl, Upstream
from agent.values.secret import Secret
from agent.values.settings import ProxyUrl, Texts
from agent.values.verdict import Outcome, Verdict
from tests.upstreams import upstream

POLICY = "/etc/docker-proxy-agent/config.toml"
AT = "127.0.0.1:7890"
BROKEN, LATER = True, False
UNMASK = "sudo systemctl unmask docker.service"
(CONTAINERD,) = [one for one in OTHERS if one.name == "containerd"]


def local(**differs: object) -> LocalProxy:
    return LocalProxy(**{"at": AT, "port": 7890, "upstream": "clash", **differs})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("proxy", "found"),
    [
        pytest.param(local(is_in_use=True), [(Sign.LISTENER_ABSENT, BROKEN)], id="docker-uses-it-and-nobody-listens"),
        pytest.param(local(), [], id="nobody-listens-and-docker-does-not-use-it"),
        pytest.param(
            local(owner="alice", listens=("mallory",), is_in_use=True),
            [(Sign.LISTENER_FOREIGN, BROKEN)],
            id="somebody-else-listens",
        ),
        pytest.param(
            local(owner="alice", listens=("alice", "mallory")), [(Sign.LISTENER_FOREIGN, LATER)], id="both-of-them"
        ),
        pytest.param(local(owner="alice", listens=("alice",), is_in_use=True), [], id="its-owner-listens"),
        pytest.param(local(listens=("alice",), is_in_use=True), [(Sign.LISTENER_UNOWNED, LATER)], id="no-owner-named"),
        pytest.param(local(upstream="", listens=("alice",), is_in_use=True), [], id="no-policy-could-name-an-owner"),
        pytest.param(local(unknown="no netlink"), [(Sign.LISTENER_UNKNOWN, LATER)], id="not-known"),
    ],
)
def test_a_proxy_on_this_host(proxy: LocalProxy, found: list[tuple[Sign, bool]]) -> None:
    assert told(of_listeners([proxy], POLICY)) == found


def test_the_owner_to_be_named_is_who_listens() -> None:
    (found,) = of_listeners([local(listens=("alice",))], POLICY)

    assert found.where == POLICY
    assert found.command == 'Add to [upstream.clash]: owner = "alice"'


def test_what_a_pac_names_is_no_table_that_could_have_an_owner() -> None:
    (found,) = of_listeners([local(upstream="corp → 127.0.0.1:7890", listens=("alice",))], POLICY)

    assert found.command == (
        'Give it an upstream of its own, with url = "http://127.0.0.1:7890" and owner = "alice", and list that before corp in use'
    )


def host(*addresses: str, **differs: object) -> Host:
    return Host(**{"name": "proxy.test", "addresses": addresses, **differs})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        pytest.param(host("10.10.0.2", is_proxy=True, is_in_use=True, way="eth0"), [], id="all-is-well"),
        pytest.param(host(why_not="no answer", is_in_use=True), [(Sign.NAME_UNKNOWN, BROKEN)], id="docker-needs-it"),
        pytest.param(host(why_not="no answer", is_proxy=True), [], id="a-proxy-of-another-place"),
        pytest.param(
            host("198.18.0.5", is_in_use=True, way="Meta", is_tunnel=True), [(Sign.FAKE_ADDRESS, LATER)], id="fake-ip"
        ),
        pytest.param(
            host("198.19.255.5", is_in_use=True, way="eth0"), [(Sign.FAKE_ADDRESS_DEAD, BROKEN)], id="its-tun-is-gone"
        ),
        pytest.param(host("198.18.0.5"), [(Sign.FAKE_ADDRESS_DEAD, LATER)], id="gone-and-not-needed"),
        pytest.param(host("198.18.0.5", "1.2.3.4", is_in_use=True, way="eth0"), [], id="one-real-address"),
        pytest.param(host("198.20.0.1", is_in_use=True, way="eth0"), [], id="beside-the-range"),
        pytest.param(
            host("172.17.0.9", is_proxy=True, is_in_use=True, bridge="docker0, a bridge of Docker's own"),
            [(Sign.PROXY_IN_DOCKERS_RANGE, BROKEN)],
            id="hidden-by-docker0",
        ),
        pytest.param(host("172.17.0.9", bridge="docker0"), [], id="a-registry-may-run-in-a-container"),
    ],
)
def test_a_host_that_docker_has_to_reach(asked: Host, found: list[tuple[Sign, bool]]) -> None:
    assert told(of_names([asked])) == found


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param(Engines(sockets=("/run/docker.sock", "/run/dbus.sock")), [], id="only-the-served-one"),
        pytest.param(Engines(sockets=("/var/run/docker.sock",)), [], id="by-its-other-name"),
        pytest.param(
            Engines(sockets=("/home/al/.docker/desktop/docker.sock",)),
            [(Sign.OTHER_ENGINE, LATER)],
            id="desktop-beside",
        ),
        pytest.param(
            Engines(sockets=("/home/al/.docker/desktop/docker.sock",), is_there=False),
            [(Sign.OTHER_ENGINE, BROKEN)],
            id="desktop-in-its-place",
        ),
        pytest.param(Engines(sockets=("/run/user/1000/docker.sock",)), [(Sign.OTHER_ENGINE, LATER)], id="rootless"),
        pytest.param(
            Engines(sockets=("/run/user/1000/docker.sock",), served="/run/user/1000/docker.sock"),
            [],
            id="served-rootless",
        ),
        pytest.param(
            Engines(is_there=False, others=(PODMAN,)), [(Sign.OTHER_ENGINE, BROKEN)], id="podman-runs-no-docker"
        ),
        pytest.param(Engines(is_there=False), [], id="nothing-at-all-is-a-condition"),
        pytest.param(
            Engines(is_there=False, mask=UNMASK, others=(CONTAINERD,)),
            [(Sign.DOCKER_MASKED, BROKEN)],
            id="masked-and-its-containerd-runs",
        ),
        pytest.param(
            Engines(is_there=False, mask=UNMASK, sockets=("/home/al/.docker/desktop/docker.sock",)),
            [(Sign.OTHER_ENGINE, BROKEN)],
            id="masked-in-favour-of-desktop",
        ),
    ],
)
def test_engines(seen: Engines, found: list[tuple[Sign, bool]]) -> None:
    assert told(of_engines(seen)) == found


REJECTED = "self-signed certificate in certificate chain; certificate of CN=registry.test, issued by CN=Corp CA"


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param(Trust(), [], id="nothing-rejected"),
        pytest.param(
            Trust(rejected=(Rejected(upstream="corp", evidence=REJECTED, is_in_use=True),)),
            [(Sign.CERTIFICATE_REJECTED, BROKEN)],
            id="the-proxy-in-use-reads-along",
        ),
        pytest.param(
            Trust(rejected=(Rejected(upstream="corp", evidence=REJECTED),)),
            [(Sign.CERTIFICATE_REJECTED, LATER)],
            id="one-that-is-not-in-use",
        ),
        pytest.param(
            Trust(rejected=(Rejected(upstream="direct", evidence="certificate is not yet valid", is_in_use=True),)),
            [(Sign.CERTIFICATE_TIME, BROKEN)],
            id="the-clock",
        ),
        pytest.param(
            Trust(ca_file="/ca/corp.crt", ca_since_s=20.0, dockerd_since_s=10.0),
            [(Sign.CA_NOT_READ, LATER)],
            id="a-ca-that-dockerd-has-not-read",
        ),
        pytest.param(Trust(ca_file="/ca/corp.crt", ca_since_s=10.0, dockerd_since_s=20.0), [], id="a-ca-that-it-has"),
        pytest.param(Trust(ca_file="/ca/corp.crt", ca_since_s=10.0), [], id="dockerd-does-not-run"),
    ],
)
def test_certificates(seen: Trust, found: list[tuple[Sign, bool]]) -> None:
    assert told(of_trust(seen)) == found


def test_the_issuer_of_a_rejected_certificate_is_named() -> None:
    (found,) = of_trust(Trust(rejected=(Rejected(upstream="corp", evidence=REJECTED),)))

    assert "issued by CN=Corp CA" in found.what


def needed(role: Role, outcome: Outcome, host: str = "cdn.test", **differs: object) -> Needed:
    known = {"host": host, "upstream": "corp", "is_in_use": True, **differs}
    return Needed(role=role, verdict=Verdict(outcome, "as it says"), **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param([needed(role, Outcome.OK) for role in Role], [], id="all-is-reached"),
        pytest.param([needed(Role.TOKENS, Outcome.TIMEOUT)], [(Sign.TOKEN_SERVER, BROKEN)], id="no-tokens"),
        pytest.param(
            [needed(Role.TOKENS, Outcome.PROXY_DENIED, is_in_use=False)],
            [(Sign.TOKEN_SERVER, LATER)],
            id="through-what-docker-does-not-use",
        ),
        pytest.param([needed(Role.REACH, Outcome.DNS)], [(Sign.LAYERS_HOST, BROKEN)], id="the-policy-names-it"),
        pytest.param(
            [needed(Role.LAYERS, Outcome.PROXY_DENIED), needed(Role.LAYERS, Outcome.TLS, "b.test")],
            [(Sign.LAYERS_HOST, BROKEN)],
            id="no-layers-host-of-the-hub",
        ),
        pytest.param(
            [needed(Role.LAYERS, Outcome.PROXY_DENIED), needed(Role.LAYERS, Outcome.OK, "b.test")],
            [(Sign.LAYERS_HOST, LATER)],
            id="one-of-them",
        ),
        pytest.param([needed(Role.LAYERS, Outcome.DNS)], [], id="the-hub-may-have-given-it-up"),
    ],
)
def test_what_a_pull_needs_besides_the_registry(seen: list[Needed], found: list[tuple[Sign, bool]]) -> None:
    assert told(of_pulls(seen)) == found


def test_whom_to_ask_for_a_host_that_is_not_reached() -> None:
    behind, direct = of_pulls([needed(Role.TOKENS, Outcome.TIMEOUT, upstream=name) for name in ("corp", "direct")])

    assert behind.what.endswith("corp does not lead there: timeout (as it says)")
    assert behind.command.startswith("Ask whoever runs that proxy to allow it: cdn.test.")
    assert direct.command.startswith("Ask whoever runs this network to allow it: cdn.test.")


CORP = upstream("http://corp.test:3128", "corp")
LOCKED = replace(CORP, username="alice", password=Secret("hunter2"))
CLASH = upstream("socks5h://127.0.0.1:7890", "clash")


@pytest.mark.parametrize(
    ("environment", "docker", "tried"),
    [
        pytest.param({}, CORP, policy.DIRECT, id="no-proxy"),
        pytest.param({}, policy.DIRECT, None, id="no-proxy-and-docker-has-none-either"),
        pytest.param(
            {"HTTP_PROXY": "http://corp.test:3128", "ALL_PROXY": "http://corp.test:3128"},
            CORP,
            policy.DIRECT,
            id="others",
        ),
        pytest.param({"https_proxy": "corp.test:3128"}, CORP, None, id="dockers"),
        pytest.param({"https_proxy": "corp.test:3128"}, LOCKED, CORP, id="dockers-without-its-password"),
        pytest.param({"https_proxy": "http://bob:x@corp.test:3128"}, LOCKED, None, id="a-password-of-their-own"),
        pytest.param({"HTTPS_PROXY": "http://corp.test:3128"}, CLASH, CORP, id="another-place's"),
        pytest.param({"HTTPS_PROXY": "socks5://127.0.0.1:7890"}, CORP, CLASH, id="socks"),
        pytest.param(
            {"HTTPS_PROXY": "http://corp.test:3128", "NO_PROXY": ".hub.test"}, CORP, policy.DIRECT, id="excluded"
        ),
        pytest.param({"HTTPS_PROXY": "http://mallory.test:3128"}, CORP, None, id="nobody's-that-the-policy-knows"),
        pytest.param({"HTTPS_PROXY": "http://a b"}, CORP, None, id="what-go-makes-of-it-is-not-known"),
    ],
)
def test_what_is_tried_in_place_of_a_shells_proxy(
    environment: dict[str, str], docker: Upstream, tried: Upstream | None
) -> None:
    known = [CORP if docker is CORP else LOCKED, CLASH, policy.DIRECT]

    tokens = RegistryUrl.parse("https://auth.hub.test")

    assert way(environment, tokens, docker=docker, excluded=(), others=known) == tried


@pytest.mark.parametrize(
    ("environment", "has_buildx", "is_before_23", "asks"),
    [
        pytest.param({}, True, False, True, id="buildx"),
        pytest.param({}, False, False, False, id="the-classic-builder-for-there-is-no-other"),
        pytest.param({}, True, True, False, id="the-classic-builder-of-20.10"),
        pytest.param({"DOCKER_BUILDKIT": "1"}, False, True, True, id="buildkit-of-20.10"),
        pytest.param({"DOCKER_BUILDKIT": "0"}, True, False, False, id="the-classic-builder"),
        pytest.param({"BUILDKIT_NO_CLIENT_TOKEN": "1"}, True, False, False, id="left-to-dockerd"),
        pytest.param({"BUILDKIT_NO_CLIENT_TOKEN": "yes"}, True, False, True, id="not-left-to-it"),
    ],
)
def test_whether_a_build_asks_for_tokens_itself(
    environment: dict[str, str], has_buildx: bool, is_before_23: bool, asks: bool
) -> None:
    assert asks_itself(environment, has_buildx=has_buildx, is_before_23=is_before_23) is asks


def test_a_build_that_gets_no_token_from_this_shell() -> None:
    def by(proxy: ProxyUrl | None, outcome: Outcome) -> list[Finding]:
        verdict = Verdict(outcome, "as it says")
        return [*of_shells([ShellsWay(tokens="auth.hub.test", proxy=proxy, docker="corp", verdict=verdict)])]

    (none,), (another,) = by(None, Outcome.DNS), by(CLASH.https, Outcome.REFUSED)

    assert by(None, Outcome.OK) == []
    assert told([none, another]) == [(Sign.SHELL_PROXY, BROKEN)] * 2
    assert none.what.endswith("through the proxy of your shell, which has none: dns (as it says)")
    assert "socks5h://127.0.0.1:7890, which does not reach it: refused (as it says)" in another.what
    assert none.command.endswith("export BUILDKIT_NO_CLIENT_TOKEN=1")


def seat(answer: Answer, kept: Filter = Filter.OTHER) -> Seat:
    return Seat(
        upstream="clash", bridge="docker0", address="172.17.0.1", port=7890, answer=answer, kept_by=kept, why_not=""
    )


@pytest.mark.parametrize(
    ("tried", "found"),
    [
        pytest.param(seat(Answer.OPEN), [], id="containers-get-there"),
        pytest.param(seat(Answer.SILENT), [(Sign.FIREWALL, BROKEN)], id="dropped"),
        pytest.param(seat(Answer.REFUSED), [(Sign.FIREWALL, BROKEN)], id="rejected"),
        pytest.param(seat(Answer.UNKNOWN), [], id="it-could-not-be-tried"),
    ],
)
def test_a_firewall(tried: Seat, found: list[tuple[Sign, bool]]) -> None:
    assert told(of_firewalls([tried])) == found


@pytest.mark.parametrize(
    ("kept", "begins"),
    [
        (Filter.UFW, "sudo ufw allow in on docker0 to 172.17.0.1 port 7890 proto tcp"),
        (Filter.FIREWALLD, "sudo firewall-cmd --permanent --zone="),
        (Filter.OTHER, "To the chain that has `hook input`"),
    ],
)
def test_the_line_that_opens_a_firewall(kept: Filter, begins: str) -> None:
    (found,) = of_firewalls([seat(Answer.SILENT, kept)])

    assert found.command.startswith(begins)


@pytest.mark.parametrize(
    ("network", "own"),
    [
        pytest.param({"IPAM": {"Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]}}, "172.17.255.254/16"),
        pytest.param(
            {
                "IPAM": {"Config": [{"Subnet": "fd00::/64"}, {"Subnet": "10.9.0.0/29", "Gateway": "10.9.0.6"}]},
                "Containers": {"a": {"IPv4Address": "10.9.0.5/29"}, "b": {"IPv4Address": ""}},
            },
            "10.9.0.4/29",
        ),
        pytest.param({"IPAM": {"Config": None}}, ""),
        pytest.param({}, ""),
    ],
)
def test_an_address_that_no_container_has(network: dict[str, object], own: str) -> None:
    assert free_address(network) == own


def of_service(name: str, *, project: str = "shop", is_up: bool = True) -> dict[str, object]:
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": name}
    return {"Config": {"Labels": labels}, "State": {"Running": is_up}}


SHOP = services_of((of_service("web"), of_service("db"), of_service("job", is_up=False), of_service("x", project="y")))


@pytest.mark.parametrize(
    ("seen", "missing"),
    [
        pytest.param(Compose(services=SHOP, has_proxy=True, no_proxy=("localhost",)), "db, web", id="none-named"),
        pytest.param(Compose(services=SHOP, has_proxy=True, no_proxy=("db",)), "web", id="one-named"),
        pytest.param(Compose(services=SHOP, has_proxy=True, no_proxy=("db", "web")), "", id="both-named"),
        pytest.param(Compose(services=SHOP), "", id="without-a-proxy"),
    ],
)
def test_services_of_compose(seen: Compose, missing: str) -> None:
    found = [one.what for one in of_compose(seen)]

    assert found == ([f"the containers' no_proxy lacks {missing}"] if missing else [])


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ('{"auths": {"https://index.docker.io/v1/": {}, "registry.corp.test:5000": {"auth": "eA=="}}}',
         ["index.docker.io", "registry.corp.test"]),
        ('{"auths": {"[fd00::1]:5000": {}}, "credHelpers": {"10.0.0.7": "pass", "10.0.0.7/v2": "x"}}', ["fd00::1", "10.0.0.7"]),
        ('{"auths": {"a b": {}, "-x": {}, "http://u:p@h": {}, "": {}}}', []),
        ('{"auths": null}', []), ('{"auths": ["a"], "credHelpers": 1}', []), ("[]", []), ("{", []), ("", []),
    ],
)  # fmt: skip
def test_the_registries_that_a_person_logged_in_to(text: str, hosts: list[str]) -> None:
    assert [url.host for url in registries_of(text)] == hosts


def test_a_person_cannot_name_ever_more_registries() -> None:
    many = ",".join(f'"r{number}.test": {{}}' for number in range(1000))

    assert len(registries_of(f'{{"auths": {{{many}}}}}')) == MOST


@pytest.mark.parametrize(
    ("upstream", "deed"),
    [
        ("office", 'add "r.corp.test" to no_proxy of [upstream.office], then'),
        ("", 'add "r.corp.test" to always of [no_proxy] in the policy, then'),
    ],
)
def test_a_registry_of_this_network_that_docker_asks_the_proxy_for(upstream: str, deed: str) -> None:
    asked = Login(host="r.corp.test", address="10.0.0.7", whose=("alice", "bob"), upstream=upstream)

    (found,) = of_logins([asked])

    assert (found.code, found.is_broken, found.where) == (Sign.REGISTRY_BY_PROXY, LATER, "r.corp.test")
    assert found.what.startswith("alice, bob logged in to this registry, which is at 10.0.0.7,")
    assert "as a look-up of alice's says" in found.what
    assert deed in found.command


@pytest.mark.parametrize(
    ("host", "may_be"),
    [
        ("r.corp.test", True),
        ("docker.io.corp.test", True),
        ("notdocker.io", True),
        ("registry.probed.test", False),
        ("registry-1.docker.io", False),
        ("docker.io", False),
        ("INDEX.docker.io.", False),
        ("auth.docker.com", False),
    ],
)
def test_whatever_a_person_says_what_the_policy_probes_and_docker_hub_go_by_the_proxy(host: str, may_be: bool) -> None:
    (asked,) = registries_of(f'{{"auths": {{"{host}": {{}}}}}}')

    assert may_be_of_a_network(asked, registries_of('{"auths": {"registry.probed.test:5000": {}}}')) is may_be


DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param(Clock(now_s=DAY_S, known_s=0.0), [], id="nothing-known"),
        pytest.param(Clock(now_s=DAY_S, known_s=DAY_S + 599), [], id="a-file-of-a-machine-that-is-ahead"),
        pytest.param(Clock(now_s=DAY_S, known_s=DAY_S + 601), [(Sign.CLOCK_BEHIND, LATER)], id="minutes"),
        pytest.param(Clock(now_s=0.0, known_s=DAY_S), [(Sign.CLOCK_BEHIND, BROKEN)], id="a-day"),
    ],
)
def test_the_clock(seen: Clock, found: list[tuple[Sign, bool]]) -> None:
    assert told(of_the_clock(seen)) == found


def test_sockets_that_somebody_listens_on() -> None:
    table = (
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 20000 /run/docker.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 20001 /run/user/1000/docker.sock\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 20002 @abstract\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 20003\n"
    )

    assert listening(table) == ("/run/docker.sock",)


def test_what_is_broken_now_comes_first_and_each_once() -> None:
    facts = Facts(
        conditions=(
            Condition(Code.PINNED, "pinned"),
            *[Condition(Code.BLOCKED, "flags", "Remove them", "dockerd")] * 2,
        ),
        proxies=(local(is_in_use=True),),
        unseen=("auths",),
    )

    these = shown(judged(facts), facts.unseen)

    assert these.broken
    assert [(one.code, one.condition) for one in these.findings] == [
        (Sign.CONDITION, "blocked"),
        (Sign.LISTENER_ABSENT, ""),
        (Sign.CONDITION, "pinned"),
    ]
    assert [*finding_lines(these)] == [
        "broken now:",
        "  1. dockerd: flags",
        "  do           Remove them",
        "",
        f"  2. {AT}: nothing listens there, but Docker uses it as its proxy",
        "  why          every pull fails with: connection refused",
        "  do           Start the proxy's program, or: sudo docker-proxy-agent apply",
        "",
        "worth knowing:",
        "  3. the agent: pinned",
        "  why          it is used in other networks, too, where it may not work",
        "",
        "After fixing 1, run again: sudo docker-proxy-agent doctor",
        "",
        "  not checked  auths",
    ]


@pytest.mark.parametrize("code", [Code.PINNED_BUT_FAILING, Code.PAUSED, Code.QUARANTINED])
def test_what_keeps_a_proxy_from_docker_is_the_cause_of_what_it_does_not_find(code: Code) -> None:
    hosts = (host(name="registry.test", why_not="no answer", is_in_use=True),)
    conditions = (Condition(Code.UNREACHABLE, "nothing works"), Condition(code, "held", "Let go"))

    these = shown(judged(Facts(conditions=conditions, hosts=hosts)), ())

    assert [(one.condition, one.is_broken) for one in these.findings] == [(code.value, True), ("unreachable", True)]
    assert [one.code for one in judged(Facts(hosts=hosts))] == [Sign.NAME_UNKNOWN]


FAILED = Unit(reality=Reality(UnitState(Phase.BROKEN)))
MASKED = Engines(is_there=False, mask=UNMASK, others=(CONTAINERD,))
REGISTRY = host(name="registry.test", why_not="no answer", is_in_use=True)


@pytest.mark.parametrize(
    ("facts", "codes"),
    [
        pytest.param(
            Facts(unit=FAILED, conditions=(Condition(Code.ENGINE_DOWN, "Docker is down"),)),
            ["docker-failed"],
            id="down-because-it-failed",
        ),
        pytest.param(
            Facts(conditions=(Condition(Code.ENGINE_DOWN, "Docker is down"),)), ["engine-down"], id="down-by-a-known-file"
        ),
        pytest.param(
            Facts(engines=MASKED, conditions=(Condition(Code.ENGINE_ABSENT, "containerd runs here"),)),
            ["docker-masked"],
            id="no-unit-because-it-is-masked",
        ),
        pytest.param(
            Facts(conditions=(Condition(Code.ENGINE_ABSENT, "Docker's unit is absent"),)), ["engine-absent"], id="no-unit"
        ),
        pytest.param(
            Facts(
                refused=(Refused(upstream="office", is_in_use=True),),
                conditions=(Condition(Code.UNREACHABLE, "nothing works"),),
            ),
            ["login-refused"],
            id="nothing-works-because-of-the-password",
        ),
        pytest.param(
            Facts(refused=(Refused(upstream="other"),), conditions=(Condition(Code.UNREACHABLE, "nothing works"),)),
            ["login-refused", "unreachable"],
            id="nothing-works-beside-a-password-of-another-place",
        ),
        pytest.param(
            Facts(service=Service(is_running=False), is_docker_failing=True, hosts=(REGISTRY,)),
            ["agent-down"],
            id="no-address-where-the-agent-would-give-docker-a-proxy",
        ),
        pytest.param(
            Facts(service=Service(is_running=False), hosts=(REGISTRY,)),
            ["agent-down", "name-unknown"],
            id="no-address-whatever-the-agent-does",
        ),
        pytest.param(
            Facts(conditions=(Condition(Code.NOT_EFFECTIVE, "UnsetEnvironment="),), hosts=(REGISTRY,)),
            ["not-effective"],
            id="no-address-where-the-proxy-is-taken-away",
        ),
        pytest.param(
            Facts(
                conditions=(Condition(Code.BLOCKED, "flags"),),
                hosts=(host(name="proxy.test", is_proxy=True, why_not="no answer", is_in_use=True),),
            ),
            ["blocked", "name-unknown"],
            id="the-proxy-of-a-flag-has-no-address",
        ),
    ],
)  # fmt: skip
def test_what_only_follows_is_left_out_while_its_cause_stands(facts: Facts, codes: list[str]) -> None:
    assert sorted(one.condition or one.code.value for one in judged(facts)) == sorted(codes)


def test_a_proxy_whose_name_containers_do_not_know_is_said_once() -> None:
    said = Condition(Code.CLIENT_UNREACHABLE, "corp: containers ask 8.8.8.8, where proxy.test is not known")
    unknown = InContainers(name="proxy.test", upstream="corp", asked="8.8.8.8 (dns in daemon.json)")

    (found,) = judged(Facts(conditions=(said,), unknown_to_containers=(unknown,)))

    assert (found.code, found.is_broken, found.where) == (Sign.NAME_UNKNOWN_TO_CONTAINERS, BROKEN, "proxy.test")
    assert "ask 8.8.8.8 (dns in daemon.json), where its name is not known" in found.what
    assert "resolve = true" in found.command


NAMELESS = host(why_not="no answer", is_in_use=True)


@pytest.mark.parametrize(
    ("facts", "first"),
    [
        pytest.param(
            Facts(conditions=(Condition(Code.NOT_EFFECTIVE, "UnsetEnvironment="),), hosts=(NAMELESS,)),
            (Sign.CONDITION, BROKEN),
            id="what-takes-the-proxy-away-before-the-name-that-docker-then-asks-for",
        ),
        pytest.param(
            Facts(conditions=(Condition(Code.UNREACHABLE, "no upstream works"),), hosts=(NAMELESS,)),
            (Sign.NAME_UNKNOWN, BROKEN),
            id="what-only-follows-comes-last",
        ),
        pytest.param(
            Facts(service=Service(is_running=False), is_docker_failing=True, hosts=(NAMELESS,)),
            (Sign.AGENT_DOWN, BROKEN),
            id="an-agent-that-is-down-where-its-work-is-needed",
        ),
        pytest.param(
            Facts(service=Service(is_running=False), hosts=(NAMELESS,)),
            (Sign.NAME_UNKNOWN, BROKEN),
            id="an-agent-that-is-down-and-not-the-cause",
        ),
        pytest.param(
            Facts(conditions=(Condition(Code.PAUSED, "paused"),), is_docker_failing=True),
            (Sign.CONDITION, BROKEN),
            id="paused-and-docker-fails",
        ),
        pytest.param(
            Facts(waiting=Waiting(because="2 containers run"), is_docker_failing=True, hosts=(NAMELESS,)),
            (Sign.RESTART_WAITS, BROKEN),
            id="a-restart-that-waits-while-docker-fails",
        ),
        pytest.param(
            Facts(waiting=Waiting(because="2 containers run")), (Sign.RESTART_WAITS, LATER), id="a-restart-that-waits"
        ),
        pytest.param(
            Facts(conditions=(Condition(Code.PAUSED, "paused"),)), (Sign.CONDITION, LATER), id="paused-and-it-works"
        ),
        pytest.param(
            Facts(conditions=(Condition(Code.PINNED_BUT_FAILING, "pinned"),), hosts=(NAMELESS,)),
            (Sign.CONDITION, BROKEN),
            id="pinned-to-what-fails",
        ),
        pytest.param(
            Facts(conditions=(Condition(Code.PINNED, "pinned"),), is_docker_failing=True, hosts=(NAMELESS,)),
            (Sign.NAME_UNKNOWN, BROKEN),
            id="pinned-to-what-works-and-docker-does-not-have-it-yet",
        ),
        pytest.param(
            Facts(conditions=(Condition(Code.PINNED, "pinned"),)), (Sign.CONDITION, LATER), id="pinned-to-what-works"
        ),
    ],
)
def test_the_cause_comes_first(facts: Facts, first: tuple[Sign, bool]) -> None:
    assert told(shown(judged(facts), ()).findings)[0] == first


def test_nothing_is_broken_while_the_relays_last_orders_lead_out() -> None:
    nothing_works = Condition(Code.UNREACHABLE, "nothing works")

    def found(*, is_led_out: bool) -> list[tuple[str, bool]]:
        refused = (Refused(upstream="office", is_in_use=True, is_led_out=is_led_out),)
        seen = [*judged(Facts(is_led_out=is_led_out, refused=refused, conditions=(nothing_works,)))]
        assert any("pulls still work" in one.why for one in seen) is is_led_out
        return [(one.condition or one.code.value, one.is_broken) for one in seen]

    assert found(is_led_out=True) == [("login-refused", False), ("unreachable", False)]
    assert found(is_led_out=False) == [("login-refused", True)]


def test_what_is_paused_is_the_cause_and_not_the_pin() -> None:
    pin = Condition(Code.PINNED, "office is pinned")
    paused = Condition(Code.PAUSED, "paused")

    found = shown(judged(Facts(conditions=(pin, paused), is_docker_failing=True)), ()).findings
    failing = shown(judged(Facts(conditions=(replace(pin, code=Code.PINNED_BUT_FAILING), paused))), ()).findings

    assert [(one.condition, one.is_broken) for one in found] == [("paused", True), ("pinned", False)]
    assert [one.condition for one in failing] == ["pinned-but-failing", "paused"]


WITHOUT = Reality(UnitState(Phase.RUNNING, pid=1), engine=Engine("26.1.5", (1, 45), False, Texts(), True, False, 0))
FLAGS = Flags(Texts(https="http://al:tr0ub4dor@10.10.0.9:1"), ("--https-proxy",))
PAUSE = Condition(
    Code.PAUSED, "paused until 14:00: nothing is written or restarted", "To end it: docker-proxy-agent resume"
)
DIRECT = "Docker runs without the proxy of this network: pulls fail with: no such host, or time out"


@pytest.mark.parametrize(
    ("condition", "around", "where", "what", "why"),
    [
        pytest.param(
            PAUSE, Around(is_docker_failing=True, reality=WITHOUT, pause=Pause(at="2026-11-29 09:00", by="uid 1000")),
            "the agent", "is paused until 14:00 since 2026-11-29 09:00, by uid 1000: it does not follow the network", DIRECT,
            id="paused-and-docker-has-no-proxy",
        ),
        pytest.param(
            PAUSE, Around(), "the agent", "is paused until 14:00: it does not follow the network",
            "in other networks, too, Docker keeps what it has now, which may not work there", id="paused-by-whom-is-not-known",
        ),
        pytest.param(
            Condition(Code.NOT_EFFECTIVE, "UnsetEnvironment=", "", "/etc/a.conf"), Around(reality=WITHOUT),
            "/etc/a.conf", "UnsetEnvironment=", DIRECT, id="the-proxy-is-taken-away",
        ),
        pytest.param(
            Condition(Code.NOT_EFFECTIVE, "it is beaten", "", "/etc/a.conf"), Around(),
            "/etc/a.conf", "it is beaten", "Docker does not get what this network needs, so pulls may fail", id="beaten",
        ),
        pytest.param(
            Condition(Code.BLOCKED, "flags", "", "/etc/a.conf"), Around(reality=replace(WITHOUT, flags=FLAGS)),
            "/etc/a.conf", "dockerd is started with --https-proxy: that overrides whatever the agent writes",
            "in every network Docker asks http://•••@10.10.0.9:1: pulls fail where that does not work", id="a-flag",
        ),
        pytest.param(
            Condition(Code.PINNED_BUT_FAILING, "office is pinned, but fails here: dns"), Around(is_docker_failing=True),
            "the agent", "office is pinned, but fails here: dns", "Docker has settings that do not work in this network: pulls fail", id="pinned",
        ),
    ],
)  # fmt: skip
def test_a_condition_is_told_to_whom_pulls_fail(
    condition: Condition, around: Around, where: str, what: str, why: str
) -> None:
    (found,) = of_conditions([condition], around)

    assert (found.where, found.what, found.why, found.condition) == (where, what, why, condition.code.value)


@pytest.mark.parametrize(
    ("condition", "where", "what"),
    [
        (Condition(Code.UNREACHABLE, "nothing works (office timeout, direct dns): nothing is changed"), "this network",
         "no upstream of the policy reaches a registry from here: office timeout, direct dns"),
        (Condition(Code.UNSTEADY, "the network keeps changing"), "this network", "the network keeps changing"),
        (Condition(Code.ENGINE_DOWN, "Docker is down"), "Docker", "Docker is down"),
        (Condition(Code.FILES_UNWATCHED, "/home cannot be watched"), "the agent", "/home cannot be watched"),
        (Condition(Code.NOT_EFFECTIVE, "it is beaten", "", "/etc/a.conf"), "/etc/a.conf", "it is beaten"),
        (Condition(Code.CLIENT_NO_CREDENTIALS, "office asks"), POLICY, "containers and builds do not get the proxy's password"),
    ],
)  # fmt: skip
def test_each_condition_has_a_heading_in_words(condition: Condition, where: str, what: str) -> None:
    (found,) = of_conditions([condition])

    assert (found.where, found.what, found.condition) == (where, what, condition.code.value)


def test_every_condition_has_one() -> None:
    codes = {code.value for code in Code}

    assert not [one for code in Code for one in of_conditions([Condition(code, "so")]) if one.where in codes]


def test_a_pause_is_ended_by_its_command() -> None:
    (found,) = of_conditions([PAUSE])

    assert found.command == "sudo docker-proxy-agent resume"


@pytest.mark.parametrize(
    ("refused", "where", "command"),
    [
        (
            Refused(upstream="office", username="alice", file="/etc/pw", is_in_use=True),
            "/etc/pw",
            "Ask whoever runs the proxy for the password of alice, and write only that into /etc/pw, one line, as it is: "
            """no quotes, no % encoding (sudo sh -c 'IFS= read -r p && printf "%s\\n" "$p" >/etc/pw' takes the line """
            "that you type next), then run: sudo docker-proxy-agent reload",
        ),
        (
            Refused(upstream="office", file="/etc/my pw"),
            "/etc/my pw",
            "Ask whoever runs the proxy for the password, and write only that into /etc/my pw, one line, as it is: "
            "no quotes, no % encoding, then run: sudo docker-proxy-agent reload",
        ),
        (
            Refused(upstream="office"),
            POLICY,
            "Fix username and password of [upstream.office], then run: sudo docker-proxy-agent reload",
        ),
        (
            Refused(upstream="office", sends=False),
            POLICY,
            "Add username and password_file to [upstream.office], then run: sudo docker-proxy-agent reload",
        ),
    ],
)
def test_a_refused_password_has_its_file_and_the_way_to_try_again(refused: Refused, where: str, command: str) -> None:
    (found,) = of_passwords([refused], POLICY)

    assert (found.code, found.is_broken) == (Sign.LOGIN_REFUSED, refused.is_in_use)
    assert (found.where, found.command) == (where, command)
    assert ("not send that password again" in found.why) is refused.sends


@pytest.mark.parametrize(
    ("remedy", "command"),
    [
        ("To end it: docker-proxy-agent resume", "To end it: sudo docker-proxy-agent resume"),
        (
            "Remove the flag, then run: systemctl daemon-reload; systemctl restart docker.service",
            "Remove the flag, then run: sudo systemctl daemon-reload; sudo systemctl restart docker.service",
        ),
        ("sudo docker-proxy-agent apply", "sudo docker-proxy-agent apply"),
        ("See: systemctl cat docker.service", "See: systemctl cat docker.service"),
        ("systemctl --user restart docker.service", "systemctl --user restart docker.service"),
    ],
)
def test_a_remedy_that_needs_root_says_so(remedy: str, command: str) -> None:
    (found,) = judged(Facts(conditions=(Condition(Code.BLOCKED, "flags", remedy),)))

    assert found.command == command


def test_that_nothing_is_broken_is_said_before_what_is_worth_knowing() -> None:
    these = shown(judged(Facts(conditions=(Condition(Code.UNSTEADY, "the network keeps changing"),))), ())

    told_lines = [*finding_lines(these)]

    assert told_lines[:3] == ["nothing is broken now", "", "worth knowing:"]
    assert told_lines[3].startswith("  1. ")


def test_nothing_found_is_said() -> None:
    assert [*finding_lines(shown([], []))] == ["no problems found"]


def told(found: Iterable[Finding]) -> list[tuple[Sign, bool]]:
    return [(one.code, one.is_broken) for one in found]


PAC_URL = "http://wpad.corp.example:80/wpad.dat"
SAYS = Said((Answered(RegistryUrl.parse("https://ghcr.io"), read_answer("PROXY a:8080; PROXY b:8080")),))
GONE = Verdict(Outcome.REFUSED, "connecting to a:8080: nobody listens")


def looked_at(
    said: Said, *, problem: str = "", pac: str = "http://wpad.corp.example/wpad.dat", **ways: Verdict
) -> LookedAt:
    seen = PacSeen(name="corp", url=PAC_URL if said.answers else "", said=said, problem=problem)
    verdicts = {f"corp → {way}:8080": verdict for way, verdict in ways.items()}
    return LookedAt(seen=seen, pac=PacUrl(pac), verdicts=verdicts)


def failing(outcome: Outcome, evidence: str) -> Said:
    return Said(fault=PacFault(outcome, evidence))


@pytest.mark.parametrize(
    ("one", "found"),
    [
        pytest.param(looked_at(SAYS, a=Verdict(Outcome.OK)), [], id="the-first-works-and-the-other-was-not-asked"),
        pytest.param(looked_at(SAYS, a=GONE, b=Verdict(Outcome.OK)), [], id="one-works"),
        pytest.param(looked_at(SAYS, a=GONE, b=GONE), [Sign.PAC_LEADS_NOWHERE], id="none-works"),
        pytest.param(looked_at(SAYS, problem="timeout"), [Sign.PAC_COPY], id="a-copy"),
        pytest.param(looked_at(failing(Outcome.DNS, "no such name")), [Sign.PAC_SILENT], id="no-file"),
        pytest.param(
            looked_at(Said((Answered(RegistryUrl.parse("https://ghcr.io"), read_answer("PROXY null:1")),))),
            [Sign.PAC_SILENT],
            id="no-way",
        ),
    ],
)
def test_a_pac_file(one: LookedAt, found: list[Sign]) -> None:
    assert told(of_pacs(Pacs(here=(one,)))) == [(sign, LATER) for sign in found]
    is_broken = [(sign, sign is not Sign.PAC_COPY) for sign in found]
    assert told(of_pacs(Pacs(here=(one,), is_needed=True))) == is_broken


def test_a_pac_file_that_leads_nowhere_is_shown_with_what_it_says_and_why_each_way_fails() -> None:
    (found,) = of_pacs(Pacs(here=(looked_at(SAYS, a=GONE, b=Verdict(Outcome.TIMEOUT)),)))

    assert found.where == PAC_URL
    assert found.what == (
        "corp sends ghcr.io by a:8080, then b:8080, but none of these reaches a registry from here:"
        " a:8080 refused (connecting to a:8080: nobody listens); b:8080 timeout"
    )


@pytest.mark.parametrize(
    ("said", "pac", "what", "command"),
    [
        pytest.param(
            failing(Outcome.ERROR, "evaluating the PAC file: needs pacparser 1.5. Run: sudo pip install it"),
            PAC_URL,
            "corp names no way out here, error: evaluating the PAC file: needs pacparser 1.5",
            "sudo pip install it",
            id="an-old-pacparser",
        ),
        pytest.param(
            failing(Outcome.PORTAL, "wpad.corp.example:80 answers with a page instead of a PAC file"),
            PAC_URL,
            "corp names no way out here, portal: wpad.corp.example:80 answers with a page instead of a PAC file",
            "Log in to this network in a browser. To check again: docker-proxy-agent pac",
            id="a-portal",
        ),
        pytest.param(
            failing(Outcome.DNS, "WPAD: neither"),
            "auto",
            "corp names no way out here, dns: WPAD: neither",
            'Ask whoever runs this network for the URL of its PAC file, and write it in place of "auto" in'
            " [upstream.corp]",
            id="wpad-has-no-address",
        ),
        pytest.param(
            failing(Outcome.DNS, "no such name"),
            PAC_URL,
            "corp names no way out here, dns: no such name",
            "Run: getent ahosts wpad.corp.example. If that prints nothing, a VPN may be down, or the name wrong",
            id="its-server-has-no-address",
        ),
    ],
)
def test_a_pac_file_that_says_nothing(said: Said, pac: str, what: str, command: str) -> None:
    (found,) = of_pacs(Pacs(here=(looked_at(said, pac=pac),)))

    assert (found.what, found.command) == (what, command)


def test_a_masked_unit_for_pac_files_matters_where_one_is_used() -> None:
    masked = Pacs(unit="docker-proxy-agent-pac.socket", unmask="sudo systemctl unmask docker-proxy-agent-pac.socket")
    used = replace(masked, here=(looked_at(SAYS, a=Verdict(Outcome.OK)),))

    (found,) = of_pacs(used)

    assert (found.code, found.is_broken) == (Sign.PAC_UNIT_MASKED, True)
    assert found.command == f"{masked.unmask} && sudo docker-proxy-agent reload"
    assert told(of_pacs(masked)) == []


@pytest.mark.parametrize(
    ("one", "command"),
    [
        pytest.param(
            Refused(upstream="corp → a:8080", pac="corp", untrusted="a", sends=False),
            'If that is one of your proxies, add "a" to trusted of [upstream.corp], then run: sudo docker-proxy-agent reload',
            id="not-trusted",
        ),
        pytest.param(
            Refused(upstream="corp → a:8080", pac="corp", sends=False),
            "Add username and password_file to [upstream.corp], and the proxy to trusted there, then run: sudo"
            " docker-proxy-agent reload",
            id="no-password",
        ),
    ],
)
def test_what_a_proxy_of_a_pac_file_wants_is_written_where_the_pac_file_is_named(one: Refused, command: str) -> None:
    (found,) = of_passwords([one], POLICY)

    assert (found.what, found.command) == ("corp → a:8080 asks for a user and password", command)


REFUSED_THERE = Verdict(Outcome.REFUSED, "connecting to 127.0.0.1:3130: nobody listens")


@pytest.mark.parametrize(
    ("through", "without", "found"),
    [
        pytest.param(REFUSED_THERE, Verdict(Outcome.OK), [(Sign.RELAY_SILENT, True)], id="it-leads-nowhere"),
        pytest.param(Verdict(Outcome.OK), Verdict(Outcome.OK), [], id="it-works"),
        pytest.param(Verdict(Outcome.PROXY_DOWN), Verdict(Outcome.TIMEOUT), [], id="the-upstream-fails-as-well"),
        pytest.param(Verdict(Outcome.PROXY_DOWN), None, [], id="nothing-is-known-of-the-upstream"),
    ],
)
def test_a_relay_that_leads_nowhere(through: Verdict, without: Verdict | None, found: list[tuple[Sign, bool]]) -> None:
    seen = RelaySeen(port=3130, upstream="office", through=through, without=without)

    assert told(of_relays(seen)) == found
    assert told(of_relays(None)) == []


@pytest.mark.parametrize(
    ("is_paused", "command"),
    [(False, "sudo systemctl restart docker-proxy-relay.service"), (True, "sudo docker-proxy-agent resume")],
)
def test_what_helps_a_relay_in_a_pause_is_to_end_it(is_paused: bool, command: str) -> None:
    """As where it has no password: another process of it would have none, either."""
    seen = RelaySeen(
        port=3130,
        upstream="office",
        through=Verdict(Outcome.PROXY_AUTH),
        without=Verdict(Outcome.OK),
        is_paused=is_paused,
    )
    (found,) = of_relays(seen)

    assert found.command.partition("; ")[0] == command


def test_nobody_is_told_to_start_a_program_of_his_where_the_relay_does_not_listen() -> None:
    one = LocalProxy(at="127.0.0.1:3130", port=3130, is_in_use=True, is_the_relay=True)
    (found,) = of_listeners([one], POLICY)

    assert found.command.startswith("sudo systemctl start docker-proxy-relay.socket; ")
