"""`pac`: what a person is shown of a PAC file."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from agent.decide.pac import Answered
from agent.one_pass.pac_copies import PacCopies
from agent.one_pass.world import TheWorld
from agent.values.pac import PacScript, read_answer
from agent.values.paths import Paths
from agent.values.policy import PacUrl, Policy, RegistryUrl, Upstream
from tests.loopback.installation import is_offline
from tests.loopback.runs import ran
from tests.loopback.servers import closed_port
from tests.loopback.test_pac_fetch import Wpad, answer

OFFICE = """
function FindProxyForURL(url, host) {
    if (host == "odd.example") return "QUIC q:443";
    if (host == "broken.example") throw new Error("no way");
    if (shExpMatch(url, "http://*/v2/*")) return "PROXY plain:3128";
    return dnsDomainIs(host, ".io") ? "PROXY a:8080; SOCKS5 c:1080; DIRECT" : "DIRECT";
}
"""


@pytest.fixture
def office(tmp_path: Path) -> Path:
    file = tmp_path / "office.pac"
    file.write_text(OFFICE)
    file.chmod(0o644)
    return file


def written(root: Path, pac: str, match: str = 'match.interface = ["*"]') -> None:
    policy = root / "etc/docker-proxy-agent/config.toml"
    policy.parent.mkdir(parents=True)
    policy.write_text(
        f'[probe]\nregistry = ["https://ghcr.io", "http://registry.example:5000"]\n[upstream.corp]\npac = "{pac}"\n'
        f'[[network]]\nname = "office"\n{match}\nuse = ["corp", "direct"]\n'
    )


def test_the_policys_pac_is_asked_about_its_registries(tmp_path: Path, office: Path) -> None:
    written(tmp_path / "root", "file:///office.pac")  # a path of the policy lies below the root
    office = office.rename(tmp_path / "root/office.pac")

    done = ran("--root", str(tmp_path / "root"), "pac")

    assert (done.returncode, done.stderr) == (0, "")
    first, *others = done.stdout.splitlines()
    assert first.startswith(f"corp: file://{office}  (this host is ")
    assert others == [
        "  https://ghcr.io/               a:8080, then socks5://c:1080, then direct",
        "  http://registry.example:5000/  direct",
    ]


@pytest.mark.parametrize("named", ["{}", "file://{}"])
def test_a_file_that_a_person_names_may_be_anybodys(office: Path, named: str) -> None:
    office.chmod(0o666)

    done = ran("pac", "--pac", named.format(office), "ghcr.io")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == ["  https://ghcr.io/  a:8080, then socks5://c:1080, then direct"]


def test_what_is_no_way_is_said(office: Path) -> None:
    done = ran("pac", "--pac", str(office), "odd.example", "broken.example", "http://x.example/v2/", "--json")

    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["network"], found["pacs"][0]["upstream"], found["pacs"][0]["pac"]) == (None, None, f"file://{office}")
    nothing: dict[str, object] = {"ways": [], "skipped": [], "problem": None}
    broken = {"verdict": "error", "evidence": "evaluating the PAC file: Error: no way"}
    assert found["pacs"][0]["answers"] == [
        {**nothing, "url": "https://odd.example/", "skipped": ["QUIC q:443"]},
        {**nothing, "url": "https://broken.example/", "problem": broken},
        {**nothing, "url": "http://x.example/v2/", "ways": ["plain:3128"]},
    ]


@pytest.mark.parametrize("match", ["", 'match.interface = ["nobodys0"]'])
def test_where_nothing_is_recognised_nobody_is_asked(tmp_path: Path, match: str) -> None:
    written(tmp_path / "root", "http://127.0.0.1:9/", match)

    done = ran("--root", str(tmp_path / "root"), "pac")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.endswith("Name one: docker-proxy-agent pac --pac URL\n")


async def test_one_by_url_needs_no_policy_and_a_portal_is_one(tmp_path: Path) -> None:
    async with Wpad({"/wpad.dat?key=1": answer(OFFICE.encode()), "/portal": answer(b"<html>")}) as wpad:
        url = f"http://127.0.0.1:{wpad.port}"

        good = await asyncio.to_thread(ran, "--root", str(tmp_path), "pac", "--pac", f"{url}/wpad.dat?key=1", "ghcr.io")
        portal = await asyncio.to_thread(ran, "--root", str(tmp_path), "pac", "--pac", f"{url}/portal")

    assert good.returncode == 0
    assert good.stdout.endswith("  https://ghcr.io/  a:8080, then socks5://c:1080, then direct\n")
    assert "key" not in good.stdout  # it may be a secret
    at = f"127.0.0.1:{wpad.port}"
    assert (portal.returncode, portal.stdout) == (
        1,
        f"http://{at}/portal  portal: {at} answers with a page instead of a PAC file\n",
    )


async def test_auto_asks_whom_dhcp_names_and_nobody_on_this_host(tmp_path: Path) -> None:
    leases = tmp_path / "root/run/systemd/netif/leases"
    leases.mkdir(parents=True)
    written(tmp_path / "root", "auto")
    async with Wpad({"/a.pac": answer(OFFICE.encode())}) as wpad:
        url = f"http://127.0.0.1:{wpad.port}/a.pac"
        (leases / "2").write_text(f"OPTION_252={url.encode().hex()}00\n")

        done = await asyncio.to_thread(ran, "--root", str(tmp_path / "root"), "pac", "ghcr.io")

    assert done.returncode == 1
    why = "leads to what only this host can reach: asked only if the policy names it"
    assert f"connecting to 127.0.0.1:{wpad.port}: {why}" in done.stdout
    assert wpad.heads == []


@pytest.mark.skipif(is_offline(), reason="offline, there is no place that a copy could be of")
async def test_a_copy_of_this_place_serves_while_its_server_is_down(tmp_path: Path) -> None:
    pac = f"http://127.0.0.1:{closed_port()}/wpad.dat"
    paths = Paths(tmp_path / "root")
    written(paths.root, pac)
    paths.state.mkdir(parents=True, mode=0o700)
    policy = Policy(upstreams={"corp": Upstream("corp", pac=PacUrl(pac))})
    snapshot = await TheWorld(paths, policy).host.see()
    two_hours_ago = time.time() - 7300
    said = Answered(RegistryUrl.parse("https://ghcr.io"), read_answer("DIRECT"))
    PacCopies(paths.state).keep(pac, snapshot, PacScript(OFFICE, pac, two_hours_ago), (said,))

    done = await asyncio.to_thread(ran, "--root", str(paths.root), "pac", "ghcr.io")

    assert done.returncode == 0, done
    at = pac.removesuffix("/wpad.dat").removeprefix("http://")
    assert done.stdout.splitlines()[1:] == [
        f"  a copy of 2 h ago: refused: connecting to {at}: nothing listens there",
        "  https://ghcr.io/  a:8080, then socks5://c:1080, then direct",
    ]


@pytest.mark.parametrize(("words", "said"), [
    (["ftp://x"], "URL: is not a URL that a PAC file can be asked about, such as https://ghcr.io. See"),
    (["http://alice:Zecret9@x"], "URL: is not a URL that a PAC file can be asked about"),
    (["--pac", "http://alice:Zecret9@x/"], "--pac: contains a user or password: a PAC file is fetched without one. See"),
    (["--pac", ""], "--pac: is empty. See"),
])  # fmt: skip
def test_what_cannot_be_asked(words: list[str], said: str) -> None:
    done = ran("pac", *words)

    assert done.returncode == 64
    assert said in done.stderr
    assert "Zecret9" not in done.stderr


def found_by_doctor(root: Path) -> dict[str, dict[str, object]]:
    done = ran("--root", str(root), "doctor", "--json")
    return {one["code"]: one for one in json.loads(done.stdout)["findings"]}


@pytest.mark.skipif(is_offline(), reason="offline, no network is recognised")
@pytest.mark.waits
def test_doctor_shows_what_it_says_and_why_each_way_fails(tmp_path: Path) -> None:
    at = f"127.0.0.1:{closed_port()}"
    script = tmp_path / "root/dead.pac"
    script.parent.mkdir()
    script.write_text(f"function FindProxyForURL() {{ return 'PROXY {at}'; }}")
    script.chmod(0o644)
    written(tmp_path / "root", "file:///dead.pac")

    found = found_by_doctor(tmp_path / "root")["pac-leads-nowhere"]

    assert found["where"] == f"file://{script}"
    says = (
        f"corp sends ghcr.io by {at}; registry.example by {at}, but none of these reaches a registry from here: {at} "
    )
    assert str(found["what"]).startswith(f"{says}refused (")


@pytest.mark.skipif(is_offline(), reason="offline, no network is recognised")
@pytest.mark.waits
def test_doctor_says_why_it_says_nothing(tmp_path: Path) -> None:
    written(tmp_path / "root", f"http://127.0.0.1:{closed_port()}/wpad.dat")

    assert "refused: connecting to 127.0.0.1:" in str(found_by_doctor(tmp_path / "root")["pac-silent"]["what"])


@pytest.mark.skipif(is_offline(), reason="offline, no network is recognised")
def test_env_for_a_pac_is_for_what_it_names(tmp_path: Path) -> None:
    at = f"127.0.0.1:{closed_port()}"
    script = tmp_path / "root/one.pac"
    script.parent.mkdir()
    script.write_text(f"function FindProxyForURL() {{ return 'PROXY {at}'; }}")
    script.chmod(0o644)
    written(tmp_path / "root", "file:///one.pac")

    done = ran("--root", str(tmp_path / "root"), "env", "--upstream", "corp", "--shell", "sh")

    assert done.returncode == 0, done
    assert f"export https_proxy=http://{at}\n" in done.stdout


def test_env_for_a_pac_that_is_not_asked_here_says_why(tmp_path: Path) -> None:
    written(tmp_path / "root", "http://127.0.0.1:9/", "")

    done = ran("--root", str(tmp_path / "root"), "env", "--upstream", "corp", "--shell", "sh")

    assert (done.returncode, done.stdout) == (1, "")
    assert "has no match, so it is not fetched" in done.stderr or "offline" in done.stderr
