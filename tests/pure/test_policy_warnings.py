"""What is valid in a policy and unwise, and who gets to see a password."""

from __future__ import annotations

import pytest

from agent.values.policy_warnings import cautions, warnings
from tests.policies import policy_of

UPSTREAM = "[upstream.a]\n"
URL = 'url = "http://proxy:3128"\n'
PAC = 'pac = "http://wpad.corp.example/wpad.dat"\n'
PASSWORD = 'username = "u"\npassword_file = "/p"\n'


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ('[probe]\nrecheck = "0s"', 'probe.recheck: "0s" probes only on events'),
        ('[probe]\nrecheck = "1s"', "probe.recheck: every 1 s is often"),
        ('[upstream.a]\nhttps_url = "http://a"', "upstream.a: https_url without http_url"),
        ('[upstream.a]\nhttp_url = "http://a"', "upstream.a: http_url without https_url"),
        (f'{UPSTREAM}{URL}username="u"\npassword_file="/p"\n[[network]]\nuse=["a"]', "network 1 (network 1): has no match, so the password of a is sent"),
        (UPSTREAM + PAC + '[[network]]\nuse = ["a"]', "network 1 (network 1): has no match, so the PAC of a is not asked here"),
        (UPSTREAM + PAC + 'trusted = ["proxy.corp.*"]', 'upstream.a.trusted: "proxy.corp.*" is open-ended, so a PAC file may name anybody\'s host'),
        (UPSTREAM + PAC + 'trusted = ["*"]', 'upstream.a.trusted: "*" is open-ended'),
        (UPSTREAM + PAC + PASSWORD, "upstream.a: its password is sent to none of the proxies that the PAC names"),
        ('[[network]]\nuse=["direct"]\n[[network]]\nuse=["direct"]', "network 1 (network 1): has no match, so what is below it is never reached"),
    ],
)  # fmt: skip
def test_what_is_valid_and_unwise_is_warned_of(text: str, warning: str) -> None:
    assert [line for line in warnings(policy_of(text)) if line.text.startswith(warning)], warnings(policy_of(text))


OFFICE = '[[network]]\nname = "office"\nuse = ["a"]\nmatch.gateway = ["10.10.0.1"]\n'
IN_CLEAR = (
    "network 1 (office): the password of a is sent unencrypted to whoever imitates this match: an {} proxy does not prove who"
    " it is; an https:// one does"
)
BY_THE_RELAY = "upstream.a: through the relay every user and every container of this machine can use it, with its password, although none of them sees the password"
TO_WHOM_IT_NAMES = "network 1 (office): the password of a is sent to whoever imitates this match and is called *.corp.example or proxy by its PAC; unencrypted, unless that says HTTPS"
TO_WHOEVER_LISTENS = "upstream.a: its password is sent to whoever listens there on this machine; set `owner` to send it only to that user's listener"


@pytest.mark.parametrize(
    ("text", "cautious"),
    [
        (UPSTREAM + URL + PASSWORD + OFFICE, [IN_CLEAR.format("http://")]),
        (UPSTREAM + 'url = "socks5://proxy"\n' + PASSWORD + OFFICE, [IN_CLEAR.format("socks5://")]),
        (UPSTREAM + 'http_url = "https://a"\nhttps_url = "http://a"\n' + PASSWORD + OFFICE, [IN_CLEAR.format("http://")]),
        (UPSTREAM + 'url = "http://127.0.0.1:1"\n' + PASSWORD + OFFICE, [TO_WHOEVER_LISTENS]),
        (UPSTREAM + 'url = "http://127.0.0.1:1"\nowner = "alice"\n' + PASSWORD + OFFICE, []),
        (UPSTREAM + 'url = "https://proxy"\n' + PASSWORD + OFFICE, []),
        (UPSTREAM + URL + 'username = "u"\n' + OFFICE, []),
        ("[relay]\nenable = true\n" + UPSTREAM + URL + PASSWORD, [BY_THE_RELAY]),
        ("[relay]\nenable = true\n" + UPSTREAM + URL, []),
        (UPSTREAM + PAC + PASSWORD + OFFICE, []),
        (UPSTREAM + PAC + 'trusted = ["*.corp.example", "proxy"]\n' + PASSWORD + OFFICE, [TO_WHOM_IT_NAMES]),
        (UPSTREAM + URL + PASSWORD, []),
        (UPSTREAM + URL + PASSWORD + '[[network]]\nuse = ["a"]', []),
    ],
)  # fmt: skip
def test_who_gets_to_see_a_password_on_the_way_is_said(text: str, cautious: list[str]) -> None:
    assert [line.text for line in cautions(policy_of(text))] == cautious
