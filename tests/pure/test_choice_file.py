"""choice.env: systemd and `sh` read the same from it, whatever a name is."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.targets import choice
from agent.targets.environment import parse
from agent.values.secret import escaped
from agent.values.settings import DIRECT, Settings, settings

OFFICE = settings("http://proxy.corp.example:3128", "http://proxy.corp.example:3128", "localhost,.corp.example")
ODD = [
    "büro",
    'the "new" office',
    "a\\b",
    "$HOME `id` $(id)",
    "it's",
    "# x",
    "a=b;c",
    "trailing\\",
    "!!",
    "",
    " blanks ",
]


def of(wanted: Settings = OFFICE, network: str = "office", upstream: str = "corp") -> str:
    return choice.text(wanted, network=network, upstream=upstream, state="chosen")


def test_at_the_office() -> None:
    assert parse(of()) == {
        "HTTP_PROXY": "http://proxy.corp.example:3128",
        "http_proxy": "http://proxy.corp.example:3128",
        "HTTPS_PROXY": "http://proxy.corp.example:3128",
        "https_proxy": "http://proxy.corp.example:3128",
        "NO_PROXY": ".corp.example,localhost",
        "no_proxy": ".corp.example,localhost",
        "ALL_PROXY": "",
        "all_proxy": "",
        "DPA_NETWORK": "office",
        "DPA_UPSTREAM": "corp",
        "DPA_STATE": "chosen",
    }


def test_direct_has_every_name_and_no_value_so_that_a_shell_loses_what_it_had() -> None:
    found = parse(of(DIRECT))

    assert [value for name, value in found.items() if not name.startswith("DPA_")] == [""] * 8


def test_a_socks_upstream_is_for_all_schemes() -> None:
    found = parse(of(settings(None, None, "localhost", "socks5h://127.0.0.1:1080")))

    assert (found["ALL_PROXY"], found["HTTPS_PROXY"]) == ("socks5h://127.0.0.1:1080", "")


@pytest.mark.parametrize("name", ODD)
def test_a_shell_reads_what_systemd_reads(name: str) -> None:
    script = '. /dev/stdin; printf "%s|%s" "$DPA_NETWORK" "$DPA_STATE"'
    text = of(network=name)

    read = subprocess.run(["sh", "-c", script], input=text, capture_output=True, text=True, check=True, timeout=60)

    assert read.stdout == f"{parse(text)['DPA_NETWORK']}|chosen"
    assert parse(text)["DPA_NETWORK"] == name


@given(st.text(max_size=300))
def test_any_name_is_one_line_and_the_rest_stays(name: str) -> None:
    text = of(network=name, upstream=name)

    assert len(text.split("\n")) == 13
    assert parse(text)["DPA_NETWORK"] == escaped(name, 200)
    assert parse(text)["DPA_STATE"] == "chosen"
