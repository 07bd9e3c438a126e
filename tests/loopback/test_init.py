"""`init` as a command: what it finds on a system, what it leaves there, and what it never touches.

In a network namespace with a gateway, and with programs that listen at a proxy's usual ports; nothing leaves it.
"""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from agent.values.policy import Policy
from tests.policies import policy_of

from .runs import ran
from .test_see_namespaces import IP, Laptop, Namespace

pytestmark = [pytest.mark.needs_root, pytest.mark.waits]  # for patience to end, most of them

CONF: Final = "etc/systemd/system/docker.service.d/http-proxy.conf"
POLICY: Final = "etc/docker-proxy-agent/config.toml"
GATEWAY: Final = "10.10.0.1"
# A PAC file, at port 8000.
SERVE: Final = """
import http.server
class Pac(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"function FindProxyForURL(url, host) { return 'DIRECT'; }")
server = http.server.HTTPServer(("", 8000), Pac)
print("listens", flush=True)
server.serve_forever()
"""
OFFICE: Final = "10.10.0.9"  # where the office's proxy is, if it is told so
PASSWORD: Final = "etc/docker-proxy-agent/corp-proxy.password"
NAME_SERVER: Final = re.compile(r"(?m)^nameserver[ \t]+((?!127\.)[0-9.]+)[ \t]*$")
OWN: Final = """\
[probe]
registry = ["http://127.0.0.1:5000"]

# Mine, for all.
[[network]]
name = "everywhere"
use = ["direct"]
"""
# A registry at 5000; a proxy whose own way out is not up at 7890; at 8888 and 8118 web servers; a PAC file at 8000.
INIT: Final = """
import socket, sys, threading
from agent.cli import main

def answer(port, line, host="127.0.0.1", body=""):
    server = socket.create_server((host, port))
    def serve():
        while True:
            one, _ = server.accept()
            with one:
                one.recv(4096)
                length = f"Content-Length: {len(body)}"
                one.sendall(f"{line}\\r\\n{length}\\r\\nConnection: close\\r\\n\\r\\n{body}".encode())
    threading.Thread(target=serve, daemon=True).start()

answer(7890, "HTTP/1.1 502 Bad Gateway")
answer(5000, "HTTP/1.1 200 OK\\r\\nDocker-Distribution-Api-Version: registry/2.0")
answer(8000, "HTTP/1.1 200 OK", "0.0.0.0", "function FindProxyForURL(url, host) { return 'DIRECT'; }")
answer(8888, "HTTP/1.1 405 Method Not Allowed")
answer(8118, "HTTP/1.1 501 Unsupported method ('CONNECT')")
office, *words = sys.argv[1:]
if words[-1] == "depends":  # it is connected to, and says nothing
    deaf = socket.create_server((office, 8080))
    words.pop()
elif office:
    answer(8080, "HTTP/1.1 407 Proxy Authentication Required", office)
sys.exit(main(words))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write(CONF, '[Service]\nEnvironment="HTTP_PROXY=http://alice:s3cret@proxy.corp.example:3128"\n')
    write("etc/docker/daemon.json", json.dumps({"proxies": {"https-proxy": "http://10.10.0.9:8080"}}))
    write("usr/lib/systemd/system/docker.service", "[Service]\nEnvironmentFile=-/etc/default/docker\n")
    write("etc/default/docker", "export http_proxy=http://proxy.corp.example:3128/\n")
    write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    write("etc/group", "root:x:0:\n")
    write("etc/resolv.conf", "nameserver 127.0.0.1\n")
    write("root/.docker/config.json", '{"proxies": {"default": {"httpProxy": "http://host.docker.internal:7890"}}}')
    return tmp_path


@pytest.fixture
def laptop(root: Path) -> Iterator[Laptop]:
    made = Laptop(root)
    try:
        yield made
    finally:
        made.remove()


def plug(laptop: Laptop) -> Namespace:
    box = laptop.plug("wlan0", "10.10.0.7/16", f"{GATEWAY}/16")
    laptop.ip(f"addr add {OFFICE}/32 dev lo")
    laptop.ip(f"route add default via {GATEWAY}")
    for server in NAME_SERVER.findall(Path("/etc/resolv.conf").read_text()):
        laptop.ip(f"route replace unreachable {server}")  # or each look-up would wait for it
    return box


def files(root: Path) -> dict[str, bytes]:
    """Without what a look keeps in the agent's own folder."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "var/lib" not in str(path)
    }


def policy(root: Path) -> Policy:
    return policy_of((root / POLICY).read_text())


def test_without_a_yes_it_shows_the_policy_and_leaves_nothing(laptop: Laptop, root: Path) -> None:
    plug(laptop)
    before = files(root)

    shown = laptop.python(f"import sys\nsys.stderr = sys.stdout\n{INIT}", "", "--root", str(root), "init")

    assert "the policy above: valid: 3 upstreams and direct" in shown
    assert ".draft" not in shown
    assert "s3cret" not in shown
    assert files(root) == before
    assert not (root / "etc/docker-proxy-agent").exists()


def test_what_is_found_becomes_the_policy_and_the_password_a_file_of_its_own(laptop: Laptop, root: Path) -> None:
    plug(laptop)

    shown = laptop.python(INIT, OFFICE, "--root", str(root), "init", "--write")

    assert (root / POLICY).read_text() == shown
    found = policy(root)
    assert f"# Found: {root / CONF}, {root}/etc/default/docker\n" in shown
    assert [*found.upstreams] == ["direct", "proxy-10-10-0-9", "corp-proxy", "local-7890"]
    assert found.upstreams["local-7890"].owner == "root"
    assert [(one.name, one.use) for one in found.networks] == [
        ("office", ("proxy-10-10-0-9", "corp-proxy", "local-7890", "direct")),
        ("elsewhere", ("local-7890", "proxy-10-10-0-9", "direct")),
    ]
    assert found.networks[0].match.gateway_mac == ("52:54:00:00:00:01",)
    assert (root / PASSWORD).read_bytes() == b"s3cret"
    assert stat.S_IMODE((root / PASSWORD).stat().st_mode) == 0o600
    assert [path.name for path in sorted((root / POLICY).parent.iterdir())] == ["config.toml", "corp-proxy.password"]


# At a terminal, where these lines are typed.
TYPED: Final = """
import os
ours, theirs = os.openpty()
os.dup2(theirs, 0)
os.write(ours, b"10.10.0.9:8080\\nyes\\n")
"""
MISTYPED: Final = TYPED.replace("10.10.0.9:8080", "htp//proxy")


# Called by sudo, which drops the variables that it was called with.
BY_SUDO: Final = """
import os, shutil, subprocess, sys
sudo, init, *words = sys.argv[1:]
shutil.copy("/bin/sh", sudo)
ours, theirs = os.openpty()
os.write(ours, b"no\\n")
script = 'unset HTTPS_PROXY; "$@"; exit $?'
argv = [sudo, "-c", script, "sudo", sys.executable, "-c", init, "", *words]
subprocess.run(argv, stdin=theirs, env={**os.environ, "HTTPS_PROXY": "http://alice:s3cret@proxy.shell.test:3128"})
"""


def test_the_proxy_of_the_shell_is_found_although_sudo_drops_it(laptop: Laptop, root: Path) -> None:
    plug(laptop)

    shown = laptop.python(BY_SUDO, str(root / "sudo"), INIT, "--root", str(root), "init")

    assert "the environment of your shell" in shown
    assert 'url = "http://proxy.shell.test:3128"' in shown
    assert "s3cret" not in shown


def test_a_proxy_that_nothing_here_knows_is_named_at_the_prompt(laptop: Laptop, root: Path) -> None:
    plug(laptop)
    for name in (CONF, "etc/docker/daemon.json", "etc/default/docker", "root/.docker/config.json"):
        (root / name).unlink()

    laptop.python(TYPED + INIT, OFFICE, "--root", str(root), "init")

    text = (root / POLICY).read_text()
    assert "# Found: the command line (--proxy)\n[upstream.proxy-10-10-0-9]\n" in text
    assert [one.use for one in policy(root).networks] == [
        ("proxy-10-10-0-9", "local-7890", "direct"),
        ("local-7890", "proxy-10-10-0-9", "direct"),
    ]


def test_an_answer_that_is_neither_a_yes_nor_a_proxy_is_no_silent_no(laptop: Laptop, root: Path) -> None:
    plug(laptop)

    shown = laptop.python(
        f"import sys\nsys.stderr = sys.stdout\n{MISTYPED}{INIT.replace('sys.exit(main(words))', 'main(words)')}",
        *("", "--root", str(root), "init"),
    )

    assert "your answer: is not a proxy's URL" in shown
    assert "(nor is it yes or no); nothing was written" in shown
    assert not (root / POLICY).exists()


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://alice:s3cret@proxy.test:3128", "holds a user or password, and every user of this host can read"),
        ("http://proxy.test:88888", "has a port that does not exist: write 1 to 65535"),
        ("proxy.test", "is not a proxy's URL"),
    ],
)
def test_what_cannot_be_a_proxy_is_refused_and_not_repeated(root: Path, url: str, wrong: str) -> None:
    refused = ran("--root", str(root), "init", "--proxy", url)

    assert (refused.returncode, refused.stdout) == (64, "")
    assert wrong in " ".join(refused.stderr.split())
    assert url not in refused.stderr
    assert "s3cret" not in refused.stderr


def test_a_pac_script_of_a_connection_is_told(laptop: Laptop, root: Path) -> None:
    plug(laptop)
    keyfile = root / "etc/NetworkManager/system-connections/Office.nmconnection"
    keyfile.parent.mkdir(parents=True)
    keyfile.write_text('[connection]\nid=Office\n[proxy]\nmethod=1\npac-script=return "PROXY proxy.test:8080"\n')

    shown = laptop.python(f"import sys\nsys.stderr = sys.stdout\n{INIT}", "", "--root", str(root), "init")

    assert f'note: {keyfile}: the connection "Office" has a PAC script, which names proxy.test:8080.' in shown


@pytest.fixture
def served(laptop: Laptop) -> Iterator[str]:
    """The URL of a PAC file that the gateway serves: what another user names is not asked for on this host."""
    box = plug(laptop)
    with subprocess.Popen(
        (IP, "netns", "exec", box.name, sys.executable, "-c", SERVE), stdout=subprocess.PIPE
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"listens\n"
            yield f"http://{GATEWAY}:8000/wpad.dat"
        finally:
            server.kill()


def connection(root: Path, name: str, pac: str) -> Path:
    """As NetworkManager keeps it, for whoever may use the network."""
    keyfile = root / f"etc/NetworkManager/system-connections/{name}.nmconnection"
    keyfile.parent.mkdir(parents=True, exist_ok=True)
    keyfile.write_text(f"[connection]\nid={name}\n[proxy]\nmethod=1\npac-url={pac}\n")
    return keyfile


def test_a_pac_file_that_answers_here_is_of_this_place_and_one_that_does_not_is_of_another(
    laptop: Laptop, root: Path, served: str
) -> None:
    (root / CONF).unlink()
    (root / "etc/default/docker").write_text(f"export auto_proxy=http://{OFFICE}/none.pac\n")
    (root / "etc/docker/daemon.json").unlink()
    keyfile = connection(root, "Office", served)
    lease = root / "run/systemd/netif/leases/2"
    lease.parent.mkdir(parents=True)
    lease.write_text("OPTION_252=" + f"{served}\n".encode().hex() + "\n")

    laptop.python(INIT, "", "--root", str(root), "init", "--write")

    text, found = (root / POLICY).read_text(), policy(root)
    assert found.upstreams["pac"].pac == served
    assert f'# Found: {keyfile}: the connection "Office", DHCP (option 252)\n' in text
    assert {one.name: one.use for one in found.networks} == {
        "office": ("pac", "local-7890", "direct"),
        "elsewhere": ("local-7890", "direct"),
    }


def test_root_asks_nothing_of_this_host_that_another_user_names(laptop: Laptop, root: Path) -> None:
    plug(laptop)
    near = [f"http://{host}:8000/wpad.dat?now=1" for host in (OFFICE, "127.0.0.1")]
    files = [connection(root, str(number), pac) for number, pac in enumerate(near)]
    (root / "etc/default/docker").write_text("export auto_proxy=http://127.0.0.1:8000/roots.pac\n")

    shown = laptop.python(f"import sys\nsys.stderr = sys.stdout\n{INIT}", "", "--root", str(root), "init")

    assert 'pac = "http://127.0.0.1:8000/roots.pac"' in shown
    assert "now=1" not in shown
    told = " ".join(shown.split())
    for number, file in enumerate(files):
        assert f'note: {file}: the connection "{number}": the PAC file http://' in told
    assert told.count("leads to what only this host can reach: asked only if the policy names it") == len(near)


def test_a_proxy_that_keeps_us_waiting_is_here(laptop: Laptop, root: Path) -> None:
    plug(laptop)

    laptop.python(INIT, OFFICE, "--root", str(root), "init", "--write", "depends")

    assert [one.name for one in policy(root).networks] == ["office", "elsewhere"]


def test_away_from_the_proxy_no_place_is_called_the_office(laptop: Laptop, root: Path) -> None:
    plug(laptop)

    laptop.python(INIT, "", "--root", str(root), "init", "--write")

    found = policy(root)
    assert [(one.name, one.use) for one in found.networks] == [
        ("elsewhere", ("local-7890", "proxy-10-10-0-9", "direct"))
    ]
    assert (root / PASSWORD).read_bytes() == b"s3cret"  # for init --add-network, there


def test_a_policy_that_is_there_is_not_touched(laptop: Laptop, root: Path) -> None:
    plug(laptop)
    (root / POLICY).parent.mkdir()
    (root / POLICY).write_text('[[network]]\nuse = ["direct"]\n')
    before = files(root)

    laptop.python(INIT, "", "--root", str(root), "init")

    assert files(root) == before


def test_a_policy_that_is_there_is_refused_at_once_where_it_would_be_written(root: Path) -> None:
    (root / POLICY).parent.mkdir()
    (root / POLICY).write_text(OWN)

    refused = ran("--root", str(root), "init", "--write")

    assert (refused.returncode, refused.stdout, (root / POLICY).read_text()) == (1, "", OWN)
    assert "there is a policy already; left as it is" in refused.stderr


def test_the_place_where_it_is_now_is_added_and_all_else_stays(laptop: Laptop, root: Path) -> None:
    (root / POLICY).parent.mkdir()
    (root / POLICY).write_text(OWN)
    plug(laptop)

    laptop.python(INIT, "", "--root", str(root), "init", "--add-network", "home", "--write")

    after, text = policy(root), (root / POLICY).read_text()
    assert [(network.name, network.use) for network in after.networks] == [
        ("home", ("corp-proxy", "local-7890", "direct")),
        ("everywhere", ("direct",)),
    ]
    assert after.networks[0].match.gateway_mac == ("52:54:00:00:00:01",)
    head, _, tail = OWN.partition("# Mine")
    assert text.startswith(head)
    assert text.endswith("# Mine" + tail)
