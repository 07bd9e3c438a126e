"""A first policy: what is found becomes upstreams and networks, in words that `check` takes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
import pytest

from agent.decide.first_policy import Draft, first_policy, name_of, one_more
from agent.decide.first_policy_text import Nowhere, Written, as_shown, policy_text, quoted, with_network
from agent.decide.place_here import is_of_a_place, place_here
from agent.decide.recognise import recognise
from agent.values.found import Found, Kind, LocalPort, Said, SaidPac
from agent.values.policy import Match, PacUrl, Pattern, Policy
from agent.values.policy_parts import Joined, Part, join
from agent.values.policy_text import parse, parse_joined
from agent.values.policy_warnings import warnings
from agent.values.settings import ProxyUrl, settings
from agent.values.snapshot import Interface, Snapshot, Way
from tests.policies import policy_of
from tests.upstreams import url

FOLDER: Final = "/etc/docker-proxy-agent"
NOT_APART: Final = Nowhere("its networks are not written as [[network]] tables")
CORP: Final = "http://proxy.corp.example:3128"
WLAN0: Final = Interface(
    "wlan0", ssid="CorpNet", ipv4=("10.10.0.7/16",), gateways=("10.10.0.1",), gateway_macs=("52:54:00:00:00:01",)
)
TUN0: Final = Interface("tun0", ipv4=("10.99.0.2/24",), is_ground=False)
WAY: Final = Way("wlan0", "10.10.0.1")
GATEWAY: Final = {"gateway": ("10.10.0.1",), "gateway_mac": ("52:54:00:00:00:01",)}


def here(*interfaces: Interface, search: Sequence[str] = ()) -> Snapshot:
    return Snapshot(interfaces or (WLAN0,), ("10.10.0.53",), tuple(search), way_ipv4=WAY)


def said(http: str = CORP, no_proxy: str = "", where: str = "/etc/a.conf", kind: Kind = Kind.UNIT) -> Said:
    return Said(where, kind, settings(http, http, no_proxy))


def found(*said: Said, snapshot: Snapshot | None = None, ports: Sequence[LocalPort] = (), **more: Any) -> Found:
    return Found(snapshot or here(), said, ports=tuple(ports), **more)


def read(draft: Draft) -> Policy:
    return policy_of(policy_text(draft, FOLDER))


def given(match: Match) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(match).items() if value}


@pytest.mark.parametrize(
    ("snapshot", "tunnels", "taken", "match"),
    [
        pytest.param(here(search=["corp.example"]), (), (), {"dns_search": ("corp.example",)}, id="a-domain"),
        pytest.param(here(search=["lan", "Corp.Example."]), (), (), {"dns_search": ("Corp.Example",)}, id="the-real-one"),
        pytest.param(here(search=["fritz.box"]), (), (), GATEWAY, id="what-every-router-says"),
        pytest.param(here(search=["home"]), (), (), GATEWAY, id="one-label-is-no-domain"),
        pytest.param(here(search=["tail1234.ts.net"]), (), (), GATEWAY, id="what-comes-along-everywhere"),
        pytest.param(here(WLAN0, TUN0), ("tun0",), (), {"interface": ("tun0",)}, id="the-tunnel-not-the-home-below-it"),
        pytest.param(
            here(WLAN0, msgspec.structs.replace(TUN0, name="tailscale0")), ("tailscale0",), (), GATEWAY, id="a-mesh"
        ),
        pytest.param(
            here(search=["corp.example"]), (), (Match(dns_search=(Pattern("corp.example"),)),), GATEWAY, id="another-has-the-domain"
        ),
        pytest.param(
            here(WLAN0, TUN0, search=["corp.example"]), ("tun0",), (Match(dns_search=(Pattern("corp.example"),)),),
            {"interface": ("tun0",)}, id="the-office-has-the-domain-of-the-vpn",
        ),
        pytest.param(Snapshot((Interface("eth0", ipv4=("10.0.0.7/24",)),)), (), (), None, id="nothing-lasts"),
        pytest.param(here(msgspec.structs.replace(WLAN0, has_carrier=False)), (), (), None, id="offline"),
    ],
)  # fmt: skip
def test_one_thing_that_lasts_tells_the_place(
    snapshot: Snapshot, tunnels: Sequence[str], taken: Sequence[Match], match: dict[str, object] | None
) -> None:
    place = place_here(snapshot, tunnels, taken)

    assert (place and given(place.match)) == match


def test_the_gateway_that_leads_to_the_world_is_taken() -> None:
    eth0 = Interface("eth0", ipv4=("192.168.1.7/24",), gateways=("192.168.1.1",))

    place = place_here(here(eth0, WLAN0))

    assert place is not None
    assert place.match.gateway == ("10.10.0.1",)


@pytest.mark.parametrize("domain", ["lan", "home", "local", "localdomain", "fritz.box", "my.fritz.box", "x.home.arpa"])
def test_a_domain_of_every_router_is_of_no_place(domain: str) -> None:
    assert not is_of_a_place(domain)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("http://proxy.corp.example:3128", "corp-proxy"),
        ("http://squid.corp.example:3128", "corp-proxy"),
        ("http://proxy:3128", "proxy"),
        ("http://10.10.0.2:3128", "proxy-10-10-0-2"),
        ("http://[2001:db8::1]:3128", "proxy-2001-db8-1"),
        ("http://127.0.0.1:7890", "local-7890"),
        ("socks5://localhost:1080", "local-1080"),
    ],
)
def test_the_name_of_an_upstream_is_that_of_its_host(text: str, name: str) -> None:
    assert name_of(url(text)) == name


def test_http_proxy_conf_at_the_office_becomes_a_policy() -> None:
    policy = read(first_policy(found(said(no_proxy="localhost,127.0.0.0/8,.corp.example,10.0.0.0/8"))))

    assert str(policy.upstreams["corp-proxy"].https) == CORP
    assert policy.upstreams["corp-proxy"].no_proxy == (".corp.example", "10.0.0.0/8")
    assert [(network.name, network.use) for network in policy.networks] == [
        ("office", ("corp-proxy", "direct")),
        ("elsewhere", ("corp-proxy", "direct")),
    ]
    assert given(policy.networks[0].match) == GATEWAY


OTHER: Final = "http://squid.branch.example:8080"
DEAD: Final = {url(one): "refused" for one in (CORP, OTHER)}
BRANCH: Final = said(OTHER, where="/etc/b.conf")


@pytest.mark.parametrize(
    ("dead", "networks"),
    [
        pytest.param(DEAD, ["elsewhere"], id="none-answers"),
        pytest.param(dict([*DEAD.items()][:1]), ["office", "elsewhere"], id="one-of-them-may"),
        pytest.param({}, ["office", "elsewhere"], id="both-may"),
    ],
)
def test_where_no_proxy_that_was_found_answers_is_no_office(dead: dict[ProxyUrl, str], networks: list[str]) -> None:
    draft = first_policy(found(said(), BRANCH, dead=dead))

    assert [network.name for network in read(draft).networks] == networks
    said_so = [remark for remark in draft.remarks if "Run init where the proxy is needed" in remark]
    assert bool(said_so) is (networks == ["elsewhere"])
    assert all(f"({CORP}: refused, {OTHER}: refused)" in remark for remark in said_so)


PAC: Final = PacUrl("http://wpad.corp.example/wpad.dat?of=alice")
OFF: Final = SaidPac(PAC, ("gsettings of alice",), "dns: no address is known")
ON: Final = SaidPac(PAC, ("gsettings of alice", "DHCP (option 252)"))
WPAD: Final = SaidPac(PacUrl("auto"), ("DHCP (option 252)",))


@pytest.mark.parametrize(
    ("seen", "use"),
    [
        pytest.param(found(pacs=[ON]), ("corp-pac", "direct"), id="nothing-else"),
        pytest.param(found(pacs=[OFF]), None, id="of-another-place"),
        pytest.param(found(said(), pacs=[OFF]), ("corp-proxy", "direct"), id="of-another-place-and-a-proxy"),
        pytest.param(found(said(), pacs=[ON]), ("corp-proxy", "corp-pac", "direct"), id="what-is-written-down-first"),
        pytest.param(found(said(), pacs=[ON], dead=DEAD), ("corp-pac", "direct"), id="what-is-written-down-is-gone"),
        pytest.param(
            found(said(), pacs=[ON], ports=[LocalPort(7890)]),
            ("corp-proxy", "corp-pac", "local-7890", "direct"),
            id="this-host-last",
        ),
        pytest.param(
            found(pacs=[WPAD], snapshot=here(search=["lan", "eng.corp.example"])), ("corp-pac", "direct"), id="wpad"
        ),
        pytest.param(found(pacs=[WPAD]), ("pac", "direct"), id="wpad-without-a-domain"),
        pytest.param(
            found(pacs=[ON, SaidPac(PacUrl("file:///etc/corp.pac"), ("kioslaverc",))]),
            ("corp-pac", "pac", "direct"),
            id="two",
        ),
        pytest.param(
            found(pacs=[ON], snapshot=Snapshot((Interface("eth0", ipv4=("10.0.0.7/24",)),))),
            None,
            id="in-a-place-that-nothing-tells-from-others",
        ),
    ],
)
def test_a_pac_file_is_for_the_place_that_has_it(seen: Found, use: tuple[str, ...] | None) -> None:
    draft = first_policy(seen)
    policy = read(draft)

    assert {one.name: one.use for one in policy.networks}.get("office") == use
    assert not any(name.endswith("pac") for name in policy.networks[-1].use)
    said_so = [remark for remark in draft.remarks if "PAC file" in remark]
    assert all("?of=" not in remark for remark in said_so)
    assert bool(said_so) == any(one.pac not in {new.pac for new in draft.pacs} for one in seen.pacs)


def test_what_a_pac_file_becomes_says_where_it_is_named_and_what_a_password_needs() -> None:
    text = policy_text(first_policy(found(pacs=[ON])), FOLDER)
    policy = parse(re.sub(r"(?m)^#(username|password_file|trusted) = ", r"\1 = ", text))

    assert "# Found: gsettings of alice, DHCP (option 252)\n" in text
    assert isinstance(policy, Policy), policy
    assert policy.upstreams["corp-pac"].password_file == f"{FOLDER}/corp-pac.password"


def test_a_pac_file_that_the_policy_has_is_not_added_again() -> None:
    policy = policy_of(f'[upstream.corp]\npac = "{PAC}"\n[[network]]\nmatch.gateway = ["10.0.0.1"]\nuse = ["corp"]\n')

    drafts = [one_more(found(pacs=[one]), policy, "vpn") for one in (ON, WPAD)]

    assert [one.networks[0].use for one in drafts if isinstance(one, Draft)] == [
        ("corp", "direct"),
        ("corp", "pac", "direct"),
    ]


def test_a_local_proxy_alone_is_for_every_place_and_is_its_owners() -> None:
    policy = read(first_policy(found(ports=[LocalPort(7890, owner="alice")])))

    assert (str(policy.upstreams["local-7890"].http), policy.upstreams["local-7890"].owner) == (
        "http://127.0.0.1:7890",
        "alice",
    )
    assert [(network.use, network.match.is_empty) for network in policy.networks] == [(("local-7890", "direct"), True)]


def test_port_1080_speaks_socks() -> None:
    policy = read(first_policy(found(ports=[LocalPort(1080)])))

    assert str(policy.upstreams["local-1080"].http) == "socks5://127.0.0.1:1080"


def test_the_local_one_comes_first_where_the_place_is_not_known() -> None:
    policy = read(first_policy(found(said(), ports=[LocalPort(7890)])))

    assert [network.use for network in policy.networks] == [
        ("corp-proxy", "local-7890", "direct"),
        ("local-7890", "corp-proxy", "direct"),
    ]


def test_a_password_goes_to_a_file_and_to_no_unknown_place() -> None:
    draft = first_policy(found(said("http://alice:s3cret@proxy.corp.example:3128")))
    text, policy = policy_text(draft, FOLDER), read(draft)

    assert "s3cret" not in text
    assert "s3cret" not in repr(draft)
    assert policy.upstreams["corp-proxy"].username == "alice"
    assert policy.upstreams["corp-proxy"].password_file == f"{FOLDER}/corp-proxy.password"
    assert policy.networks[-1].use == ("direct",)
    assert not warnings(policy)


@pytest.mark.parametrize("user", ["t0ken", 't0"ken', "t0\\ken", "t0 ken"])
def test_a_user_without_a_password_may_be_a_token_and_is_not_shown(user: str) -> None:
    draft = first_policy(found(said(f"http://{quote(user)}@proxy.corp.example:3128")))
    text = policy_text(draft, FOLDER)

    assert read(draft).upstreams["corp-proxy"].username == user
    assert "t0" not in as_shown(text, draft)
    assert isinstance(parse(as_shown(text, draft)), Policy)


def test_a_password_without_a_place_is_used_nowhere_and_that_is_said() -> None:
    draft = first_policy(found(said("http://alice:s3cret@proxy.corp.example:3128"), snapshot=Snapshot()))

    assert [network.use for network in read(draft).networks] == [("direct",)]
    assert any("corp-proxy" in remark for remark in draft.remarks)


def test_the_same_proxy_in_two_files_is_one_and_the_first_password_counts() -> None:
    draft = first_policy(
        found(
            said("http://alice:new@proxy.corp.example:3128", ".corp.example"),
            said("http://alice:old@proxy.corp.example:3128/", "10.0.0.0/8", where="~/.docker/config.json"),
        )
    )

    (upstream,) = draft.upstreams
    assert upstream.credentials is not None
    assert upstream.credentials.password is not None
    assert upstream.credentials.password.reveal() == "new"
    assert upstream.no_proxy == (".corp.example", "10.0.0.0/8")
    assert [remark for remark in draft.remarks if "different user or password" in remark]
    assert not [remark for remark in draft.remarks if "old" in remark]


def test_what_containers_call_this_host_is_this_host() -> None:
    of_client = said("http://host.docker.internal:7890", where="config.json", kind=Kind.CLIENT)
    draft = first_policy(found(of_client, ports=[LocalPort(7890, owner="alice")], of_docker=("host.docker.internal",)))

    assert [(upstream.name, upstream.owner) for upstream in draft.upstreams] == [("local-7890", "alice")]


def test_a_proxy_for_one_half_is_used_for_both() -> None:
    draft = first_policy(found(Said("a", Kind.UNIT, settings(CORP, None))))

    assert str(read(draft).upstreams["corp-proxy"].https) == CORP
    assert "for http only" in policy_text(draft, FOLDER)


def test_all_proxy_counts_where_nothing_else_is_said() -> None:
    draft = first_policy(found(Said("env", Kind.ELSEWHERE, settings(all="socks5://127.0.0.1:9050"))))

    assert str(read(draft).upstreams["local-9050"].http) == "socks5://127.0.0.1:9050"


def test_what_nobody_named_and_is_tried_first_is_told() -> None:
    draft = first_policy(found(said(), ports=[LocalPort(7890)], dead={url(CORP): "dns"}))

    gone, first = draft.remarks
    assert gone.startswith(f"no proxy on another host answers from here ({CORP}: dns)")
    assert first == (
        'a proxy listens here at 127.0.0.1:7890, and is tried first in "elsewhere". If Docker should not use it,'
        " delete local-7890 from `use`"
    )


def test_a_proxy_that_a_person_named_is_tried_before_what_listens_here() -> None:
    named = said(where="the command line (--proxy)", kind=Kind.PERSON)
    told = found(named, ports=[LocalPort(7890)])

    draft = one_more(told, Policy(), "office")

    assert isinstance(draft, Draft)
    assert first_policy(told).networks[0].use == draft.networks[0].use == ("corp-proxy", "local-7890", "direct")


def test_two_proxies_stay_two() -> None:
    draft = first_policy(found(Said("a", Kind.UNIT, settings(CORP, "http://other.corp.example:8080"))))

    upstream = read(draft).upstreams["corp-proxy"]
    assert (str(upstream.http), str(upstream.https)) == (CORP, "http://other.corp.example:8080")


def test_what_is_no_url_is_left_out_and_not_shown() -> None:
    draft = first_policy(found(said("http://alice:s3 cret@proxy:3128", where="/etc/x.conf")))

    assert not draft.upstreams
    assert draft.remarks == ("/etc/x.conf: a proxy there is not a URL that Docker understands; it is left out",) * 2
    assert "cret" not in policy_text(draft, FOLDER)


@pytest.mark.parametrize("no_proxy", [".corp.example,http://a:s3cret@b", "10.0.0.300"])
def test_what_means_nothing_in_no_proxy_is_left_out(no_proxy: str) -> None:
    draft = first_policy(found(said(no_proxy=no_proxy)))

    assert "s3cret" not in policy_text(draft, FOLDER)
    assert [remark for remark in draft.remarks if "no_proxy" in remark]
    read(draft)


@pytest.mark.parametrize("ssid", ['a"]\nuse = ["x"]\n#', "caf\u00e9 \u2615", "x\x7f\u2028y", "\\", '"""'])
def test_no_name_of_a_network_becomes_a_key(ssid: str) -> None:
    wlan0 = msgspec.structs.replace(WLAN0, ssid=ssid)

    policy = read(first_policy(found(said(), snapshot=here(wlan0))))

    assert policy.networks[0].use == ("corp-proxy", "direct")


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "\x7f\x00", "\u2028", "\U0001f600", "\U000e0001"])
def test_what_is_quoted_is_read_back(text: str) -> None:
    assert tomllib.loads(f"a = {quoted(text)}") == {"a": text}


@pytest.mark.parametrize("host", ["office.example", "here.example", "direct.example"])
def test_upstream_and_network_never_have_one_name(host: str) -> None:
    draft = first_policy(found(said(f"http://{host}:3128"), said("http://office:3128")))

    names = [*(one.name for one in draft.upstreams), *(one.name for one in draft.networks), "direct"]
    assert len(set(names)) == len(names)


POLICY: Final = f"""\
# Mine.
[upstream.corp-proxy]
url = "{CORP}"

# The office,
# third floor.
[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = ["corp-proxy", "direct"]

[[network]]
use = ["direct"]
"""


def added(text: str, name: str, what: Found, *before: Part) -> str | Nowhere:
    joined = join([*before, Part(text, "config.toml")])
    assert isinstance(joined, Joined)
    policy = parse_joined(joined)
    assert isinstance(policy, Policy)
    draft = one_more(what, policy, name)
    assert isinstance(draft, Draft), draft
    written = Written(text, before, joined.origins)
    return with_network(written, policy, draft, snapshot=what.snapshot, folder=FOLDER)


def test_the_vpn_comes_before_the_office_that_matches_below_it_with_its_comments() -> None:
    at_vpn = found(snapshot=here(WLAN0, TUN0), tunnels=("tun0",))

    text = added(POLICY, "vpn", at_vpn)

    assert isinstance(text, str)
    policy = policy_of(text)
    assert [network.name for network in policy.networks] == ["vpn", "office", "network 3"]
    assert policy.networks[0].use == ("corp-proxy", "direct")
    assert recognise(policy.networks, at_vpn.snapshot).network.name == "vpn"
    assert recognise(policy.networks, here()).network.name == "office"
    assert "# The office,\n# third floor.\n[[network]]" in text
    assert text.startswith("# Mine.\n")


def test_a_place_that_no_network_matches_comes_before_the_one_for_all() -> None:
    home = Interface("wlan0", ipv4=("192.168.1.7/24",), gateways=("192.168.1.1",), gateway_macs=("52:54:00:00:00:02",))

    text = added(POLICY, "home", found(snapshot=Snapshot((home,))))

    assert isinstance(text, str)
    policy = policy_of(text)
    assert [network.name for network in policy.networks] == ["office", "home", "network 3"]


def test_without_a_network_for_all_it_comes_last() -> None:
    text = added('[upstream.a]\nurl = "http://a:1"\n', "home", found())

    assert isinstance(text, str)
    assert isinstance(policy := parse(text), Policy)
    assert [network.name for network in policy.networks] == ["home"]


IN_FOLDER: Final = Part(
    '[upstream.corp]\nurl = "http://corp:1"\n[[network]]\nname = "lab"\nmatch.gateway = ["10.9.9.9"]\nuse = ["corp"]\n',
    "config.d/10-corp.toml",
)


@pytest.mark.parametrize("own", ["", '[[network]]\nname = "rest"\nuse = ["corp", "direct"]\n'])
def test_with_files_in_config_d_it_goes_into_the_policys_own(own: str) -> None:
    text = added(own, "home", found(), IN_FOLDER)

    assert isinstance(text, str)
    assert text.partition("\n")[2].startswith('[[network]]\nname = "home"')
    assert text.endswith(own)


def test_behind_one_of_config_d_that_matches_here_it_would_never_be_used() -> None:
    first = Part('[[network]]\nname = "anywhere"\nuse = ["direct"]\n', "config.d/10-corp.toml")

    assert added(POLICY, "home", found(), first) == Nowhere(
        "its network anywhere matches here, and is tried before those in config.toml", "config.d/10-corp.toml"
    )


def test_a_text_that_is_written_otherwise_is_left_to_a_person() -> None:
    assert added('network = [{name = "a", use = ["direct"]}]\n', "home", found()) == NOT_APART


def test_a_header_in_a_text_of_many_lines_is_no_header() -> None:
    text = '[upstream.a]\nurl = "http://a:1"\nusername = """\n[[network]]\n"""\n[[network]]\nuse = ["direct"]\n'

    assert added(text, "home", found()) == NOT_APART


def test_where_there_is_no_network_the_policy_names_no_place_and_says_so() -> None:
    draft = first_policy(found(said(), snapshot=Snapshot()))

    assert [(one.name, one.use) for one in draft.networks] == [("elsewhere", ("corp-proxy", "direct"))]
    assert draft.remarks == (
        "this machine is not in a network, so the policy describes no place. Run init where the proxy is needed",
    )


def test_a_new_proxy_of_this_place_comes_with_it_and_what_the_agent_wrote_does_not() -> None:
    seen = found(
        said("http://proxy.else.example:1", where="/etc/docker/daemon.json", kind=Kind.DAEMON_JSON),
        said(CORP, where="/etc/environment", kind=Kind.ELSEWHERE),
        said("http://proxy.client.example:8080", where="gsettings of alice", kind=Kind.ELSEWHERE),
        snapshot=here(search=["client.example"]),
    )

    text = added(POLICY, "client", seen)

    assert isinstance(text, str)
    policy = parse(text)

    assert isinstance(policy, Policy)
    assert [*policy.upstreams] == ["direct", "corp-proxy", "client-proxy"]
    assert policy.networks[0].use == ("corp-proxy", "client-proxy", "direct")


@pytest.mark.parametrize(
    ("name", "snapshot", "why"),
    [
        ("office", here(), 'the policy already has a network "office"'),
        ("corp-proxy", here(), '"corp-proxy" is the name of an upstream; give the network another name'),
        ("offline", here(), "the log says offline where there is no network; give the network another name"),
        ("home", Snapshot(), "this machine is not in a network now. Run it at the place itself, or with the VPN up"),
        (
            "home",
            here(Interface("wlan0", ipv4=("10.1.0.7/16",))),
            "nothing here distinguishes this place from the others in the policy",
        ),
    ],
)
def test_why_a_network_cannot_be_added(name: str, snapshot: Snapshot, why: str) -> None:
    policy = policy_of(POLICY)

    assert one_more(found(snapshot=snapshot), policy, name) == why


def test_the_relay_is_offered_where_there_can_be_one_and_is_off() -> None:
    draft = first_policy(found(said("http://proxy.corp.example:3128")))
    text = policy_text(draft, FOLDER)
    read_on = parse(text.replace("#[relay]", "[relay]").replace("#enable", "enable"))

    assert not read(draft).relay.enable
    assert isinstance(read_on, Policy)
    assert read_on.relay.enable
    assert "relay" not in policy_text(draft, FOLDER, offers_relay=False)
