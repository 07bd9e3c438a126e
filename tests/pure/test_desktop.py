"""What desktops say of a proxy, in their own words."""

from __future__ import annotations

import pytest

from agent.targets.desktop import Connection, Desktop, gnome, kde, network_manager
from agent.values.settings import settings

GNOME = """\
org.gnome.system.proxy autoconfig-url ''
org.gnome.system.proxy ignore-hosts ['localhost', '127.0.0.0/8', '.corp.example']
org.gnome.system.proxy mode 'manual'
org.gnome.system.proxy.http host 'proxy.corp.example'
org.gnome.system.proxy.http port 3128
org.gnome.system.proxy.https host ''
org.gnome.system.proxy.https port 0
org.gnome.system.proxy.socks host '127.0.0.1'
org.gnome.system.proxy.socks port 1080
"""
KDE = """\
[Other]
httpProxy=http://not.this.example 1
[Proxy Settings]
NoProxyFor=localhost,.corp.example
ProxyType=1
httpProxy=http://proxy.corp.example 3128
httpsProxy=http://proxy.corp.example 3128
socksProxy=socks://127.0.0.1 1080
"""
HTTP = "http://proxy.corp.example:3128"
PAC = "http://wpad.corp.example/a.pac"
SOCKS = "socks5://127.0.0.1:1080"


@pytest.mark.parametrize(
    ("said", "means"),
    [
        pytest.param(
            gnome(GNOME), Desktop(settings(HTTP, None, "localhost,127.0.0.0/8,.corp.example", SOCKS)), id="gnome"
        ),
        pytest.param(gnome(GNOME.replace("'manual'", "'none'")), Desktop(), id="gnome-off"),
        pytest.param(gnome(GNOME.replace("'manual'", "'auto'")), Desktop(pac="auto"), id="gnome-pac"),
        pytest.param(
            gnome(GNOME.replace("'manual'", "'auto'").replace("autoconfig-url ''", f"autoconfig-url '{PAC}'")),
            Desktop(pac=PAC),
            id="gnome-pac-of-a-url",
        ),
        pytest.param(gnome(""), Desktop(), id="no-gnome"),
        pytest.param(kde(KDE), Desktop(settings(HTTP, HTTP, "localhost,.corp.example", SOCKS)), id="kde"),
        pytest.param(kde(KDE.replace("Type=1", "Type=0")), Desktop(), id="kde-off"),
        pytest.param(kde(KDE.replace("Type=1", "Type=2")), Desktop(pac="auto"), id="kde-pac-without-a-script"),
        pytest.param(kde(KDE.replace("Type=1", f"Type=2\nProxy Config Script={PAC}")), Desktop(pac=PAC), id="kde-pac"),
        pytest.param(
            kde(KDE.replace("Type=1", "Type=2\nProxy Config Script=/etc/corp.pac")),
            Desktop(pac="file:///etc/corp.pac"),
            id="kde-pac-of-a-file",
        ),
        pytest.param(
            kde(KDE.replace("Type=1", f"Type=3\nProxy Config Script={PAC}")), Desktop(pac="auto"), id="kde-wpad"
        ),
        pytest.param(kde(""), Desktop(), id="no-kde"),
    ],
)
def test_only_what_is_switched_on_counts(said: Desktop, means: Desktop) -> None:
    assert said == means


SCRIPT = 'function FindProxyForURL(u, h) {\\n return "PROXY proxy.corp.example:8080; SOCKS5 10.0.0.9:1080; DIRECT";\\n}'
OFFICE = "[connection]\nid=Office LAN\ntype=ethernet\n\n[proxy]\nbrowser-only=false\n"


@pytest.mark.parametrize(
    ("keyfile", "connection"),
    [
        pytest.param(OFFICE + f"method=1\npac-url={PAC}\n", Connection("Office LAN", PAC), id="a-url"),
        pytest.param(OFFICE + "method=1\n", Connection("Office LAN", "auto"), id="whatever-the-network-names"),
        pytest.param(
            OFFICE + f"method=1\npac-script={SCRIPT}\n",
            Connection("Office LAN", "", ("proxy.corp.example:8080", "10.0.0.9:1080")),
            id="a-script",
        ),
        pytest.param(OFFICE, None, id="none"),
        pytest.param("[connection]\nid=Home\n[wifi-security]\npsk=PROXY a:1\n[proxy]\n", None, id="an-empty-section"),
        pytest.param("", None, id="no-keyfile"),
    ],
)
def test_a_connection_of_network_manager(keyfile: str, connection: Connection | None) -> None:
    assert network_manager(keyfile) == connection
