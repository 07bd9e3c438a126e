"""One policy in several files: what becomes of it, and how what keeps them from being one is worded."""

from __future__ import annotations

import pytest

from agent.service.policy_shown import parts_shown
from agent.service.status_file import PolicyPart
from agent.system.policy_file import Loaded
from agent.values.policy import Policy, Problems
from agent.values.policy_lines import difference, lines_of
from agent.values.policy_parts import Joined, Origins, Part, join
from agent.values.policy_text import parse_joined
from agent.values.policy_warnings import cautions, warnings

OWN = "/etc/x/config.toml"
CORP = "/etc/x/config.d/10-corp.toml"
MORE = "/etc/x/config.d/20-more.toml"
LOCAL = '[upstream.local]\nurl = "http://127.0.0.1:7890"\n'
OFFICE = (
    '[upstream.corp]\nurl = "http://proxy.corp.example:3128"\nusername = "u"\npassword_file = "/p"\n'
    '[[network]]\nname = "office"\nmatch.gateway = ["10.10.0.1"]\nuse = ["corp", "local", "direct"]\n'
)
HOME = '[[network]]\nname = "home"\nuse = ["local", "direct"]\n'


def read(*files: tuple[str, str]) -> tuple[Policy, Origins]:
    joined = join([Part(text, file) for file, text in files])
    assert isinstance(joined, Joined), joined
    policy = parse_joined(joined)
    assert isinstance(policy, Policy), policy
    return policy, joined.origins


def wrong(*files: tuple[str, str]) -> list[str]:
    joined = join([Part(text, file) for file, text in files])
    found = joined if isinstance(joined, Problems) else parse_joined(joined)
    assert isinstance(found, Problems), found
    return [f"{remark.file}: {remark.text}" for remark in found.found]


def test_upstreams_are_put_together_and_networks_are_tried_in_the_order_of_the_files() -> None:
    policy, origins = read((CORP, OFFICE), (MORE, "[probe]\nfailures = 3\n"), (OWN, LOCAL + HOME))

    assert list(policy.upstreams) == ["direct", "corp", "local"]
    assert [network.name for network in policy.networks] == ["office", "home"]
    assert policy.networks[0].use == ("corp", "local", "direct")
    assert policy.probe.failures == 3
    assert parts_shown(Loaded(OWN, policy, origins=origins)) == (
        PolicyPart(CORP, upstreams=("corp",), networks=("office",)),
        PolicyPart(MORE, tables=("probe",)),
        PolicyPart(OWN, upstreams=("local",), networks=("home",)),
    )


@pytest.mark.parametrize(
    ("corp", "own", "problems"),
    [
        pytest.param(LOCAL, LOCAL, [f"{OWN}: upstream.local: is also in {CORP}; use another name"], id="an-upstream"),
        pytest.param("[probe]\n", "[probe]\n", [f"{OWN}: probe: is also in {CORP}; keep all of it in one file"], id="a-table"),
        pytest.param(LOCAL + HOME, HOME, [f'{OWN}: network: the name "home" is used 2 times (in {CORP}, too); names must be unique'], id="a-network"),
        pytest.param("[[network", LOCAL + "[probe]\ntimout = 3", [f"{CORP}: not TOML: Expected ']]' at the end of an array declaration (at end of document)"], id="no-toml"),
        pytest.param("upstream = 3", "network = 3", [
            f"{CORP}: upstream: expected tables, such as [upstream.corp-proxy]",
            f"{OWN}: network: expected [[network]], with double brackets",
        ], id="no-tables"),
        pytest.param('[[network]]\nuse = ["direct"]\n[[network]]\nname = "x"\nuse = ["direct"]\nmatch.gateway = ["10.0.0.300"]', LOCAL + "[proob]\n" + HOME + '[[network]]\nuse = ["other"]', [
            f"{OWN}: proob: unknown; did you mean \"probe\"? Known are probe, docker, clients, audit, no_proxy, relay, upstream, network",
            f'{CORP}: network 2 (x).match.gateway: "10.0.0.300" is not an address',
            f'{OWN}: network 2.use: "other" is not an upstream; known are direct, local',
        ], id="each-in-its-file"),
        pytest.param('[relay]\nenable = true\nport = 7890\nlisten = ["bridge"]', LOCAL, [
            f'{CORP}: relay.listen: "loopback" is missing: add it, because dockerd reaches the relay there',
            f"{OWN}: upstream.local: is at port 7890 of this host, where the relay listens: write another relay.port",
        ], id="between-two-files"),
        pytest.param('[probe]\nfailures = 0\nrecheck = "9d"', "[docker]\nsocket = 'x'", [
            f'{CORP}: probe.recheck: "9d" is out of range: write "0s", or "100ms" to "1d"',
            f"{CORP}: probe.failures: 0 is out of range: write 1 to 100",
            f'{OWN}: docker.socket: "x" is not an absolute path, such as "/run/docker.sock"',
        ], id="tables-of-each"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_its_file(corp: str, own: str, problems: list[str]) -> None:
    assert wrong((CORP, corp), (OWN, own)) == problems


def test_what_is_unwise_names_its_file() -> None:
    policy, origins = read((CORP, '[probe]\nrecheck = "1s"\n' + LOCAL + HOME), (MORE, OFFICE), (OWN, ""))

    said = [f"{remark.file}: {remark.text}" for remark in (*warnings(policy, origins), *cautions(policy, origins))]

    assert said == [
        f"{CORP}: probe.recheck: every 1 s is often: a registry may answer 429, too many requests",
        f"{CORP}: network 1 (home): has no match, so what is in {MORE} is never reached",
        f"{MORE}: network 1 (office): the password of corp is sent unencrypted to whoever imitates this match: an http://"
        " proxy does not prove who it is; an https:// one does",
    ]


def test_one_file_more_makes_no_other_line_of_the_rest_a_change() -> None:
    before = [Part(LOCAL + HOME, OWN)]
    after = [Part('[[network]]\nname = "lab"\nuse = ["direct"]\n', CORP), *before]

    assert difference(lines_of(before, str), lines_of(after, str)) == (
        '+config.d/10-corp.toml: network.1.name = "lab"',
        '+config.d/10-corp.toml: network.1.use = ["direct"]',
    )


def test_what_is_shown_of_many_files_is_bounded() -> None:
    many = [(f"/etc/x/config.d/{number:03}.toml", "".join(f"[upstream.u{number}-{one}]\nurl = 'http://p:1'\n" for one in range(250))) for number in range(12)]  # fmt: skip
    policy, origins = read(*many)

    shown = parts_shown(Loaded(OWN, policy, origins=origins))

    assert len(shown[0].upstreams) == 200
    assert sum(len(part.upstreams) for part in shown) == 2000
