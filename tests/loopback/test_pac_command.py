"""`pac`: what a person is shown of a PAC file."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.loopback.runs import ran
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
    written(tmp_path / "root", f"file://{office}")

    done = ran("--root", str(tmp_path / "root"), "pac")

    assert (done.returncode, done.stderr) == (0, "")
    first, *others = done.stdout.splitlines()
    assert first.startswith(f"corp: file://{office}  (this host is ")
    assert others == [
        "  https://ghcr.io/               a:8080, then socks5://c:1080, then direct",
        "  http://registry.example:5000/  direct",
    ]


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


@pytest.mark.parametrize(("words", "said"), [
    (["ftp://x"], "URL: is no URL that a PAC file could be asked about, such as https://ghcr.io. See"),
    (["http://alice:Zecret9@x"], "URL: is no URL that a PAC file could be asked about"),
    (["--pac", "http://alice:Zecret9@x/"], "--pac: holds a user or password: a PAC file is fetched without one. See"),
    (["--pac", ""], "--pac: is empty. See"),
])  # fmt: skip
def test_what_cannot_be_asked(words: list[str], said: str) -> None:
    done = ran("pac", *words)

    assert done.returncode == 64
    assert said in done.stderr
    assert "Zecret9" not in done.stderr
