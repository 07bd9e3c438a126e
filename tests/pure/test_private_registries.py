"""Which registries of daemon.json dockerd would look for through the proxy."""

from __future__ import annotations

import pytest

from agent.probe.private import Private, is_private, named, through
from agent.values.policy import Upstream
from agent.values.settings import ProxyUrl, proxy

URL = proxy("http://proxy:3128")
assert isinstance(URL, ProxyUrl)
OFFICE = Upstream("office", URL, URL)


def urls(*found: Private) -> list[tuple[str, list[str]]]:
    return [(one.host, [str(url) for url in one.urls]) for one in found]


@pytest.mark.parametrize(
    ("insecure", "mirrors", "found"),
    [
        pytest.param(
            ["10.1.2.3:5000"], [], [("10.1.2.3", ["https://10.1.2.3:5000", "http://10.1.2.3:5000"])], id="port"
        ),
        pytest.param(["10.1.2.3"], [], [("10.1.2.3", ["https://10.1.2.3", "http://10.1.2.3"])], id="usual-ports"),
        pytest.param(
            ["[fd00::1]:5000"], [], [("fd00::1", ["https://[fd00::1]:5000", "http://[fd00::1]:5000"])], id="v6"
        ),
        pytest.param([], ["http://10.1.2.3:5000/"], [("10.1.2.3", ["http://10.1.2.3:5000"])], id="mirror"),
        pytest.param(
            ["10.1.2.3:80"], ["http://10.1.2.3"], [("10.1.2.3", ["http://10.1.2.3", "https://10.1.2.3:80"])], id="both"
        ),
        pytest.param(["10.0.0.0/8", "fd00::/8", "127.0.0.0/8"], [], [], id="networks"),
        pytest.param(
            ["HTTP://10.1.2.3:5000"], [], [("10.1.2.3", ["https://10.1.2.3:5000", "http://10.1.2.3:5000"])], id="scheme"
        ),
        pytest.param(["https://10.1.2.3"], [], [("10.1.2.3", ["https://10.1.2.3", "http://10.1.2.3"])], id="https"),
        pytest.param(["", "a b", "u:p@10.1.2.3"], ["ftp://10.1.2.3", "10.1.2.3"], [], id="what-dockerd-refuses"),
    ],
)
def test_the_registries_that_daemon_json_names(
    insecure: list[str], mirrors: list[str], found: list[tuple[str, list[str]]]
) -> None:
    assert urls(*named(insecure, mirrors)) == found


@pytest.mark.parametrize(
    ("address", "is_so"),
    [
        ("10.0.0.1", True), ("172.16.0.1", True), ("172.31.255.255", True), ("192.168.1.1", True), ("fd00::1", True),
        ("::ffff:10.0.0.1", True), ("172.32.0.1", False), ("192.0.2.1", False), ("127.0.0.1", False),
        ("169.254.1.1", False), ("100.64.0.1", False), ("fe80::1%eth0", False), ("2001:db8::1", False), ("name", False),
    ],
)  # fmt: skip
def test_what_is_private(address: str, is_so: bool) -> None:
    assert is_private(address) is is_so


@pytest.mark.parametrize(
    ("upstream", "no_proxy", "goes"),
    [
        pytest.param(OFFICE, [], True, id="through"),
        pytest.param(OFFICE, ["10.0.0.0/8"], False, id="its-network-is-excluded"),
        pytest.param(OFFICE, ["10.1.2.3"], False, id="it-is-excluded"),
        pytest.param(OFFICE, ["10.1.2.3:5000"], False, id="with-its-port"),
        pytest.param(OFFICE, ["10.1.2.3:5001"], True, id="another-port"),
        pytest.param(OFFICE, ["*"], False, id="everything"),
        pytest.param(Upstream("direct"), [], False, id="direct"),
        pytest.param(Upstream("https-alone", None, URL), [], False, id="http-goes-past-it"),
        pytest.param(Upstream("http-alone", URL, None), [], False, id="https-goes-past-it"),
    ],
)
def test_what_goes_through_the_proxy(upstream: Upstream, no_proxy: list[str], goes: bool) -> None:
    assert bool(through(named(["10.1.2.3:5000"], []), upstream, no_proxy)) is goes
