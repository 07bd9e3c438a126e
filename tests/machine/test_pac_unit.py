"""The unit that evaluates PAC files, looked at while it runs: who it is, what it may take, and what it finds."""

from __future__ import annotations

import json
import socket

from tests.waiting import Seen

from .lab.laptop import Laptop
from .test_roam import trixie

SOCKET, SERVICE = "docker-proxy-agent-pac.socket", "docker-proxy-agent-pac@*.service"
PATH = "/run/docker-proxy-agent/pac.sock"
SECRETS = {
    "/etc/docker-proxy-agent/office.password": "Zecret9",
    "/var/lib/docker-proxy-agent/kept": "Zecret9",
    "/home/alice/kept": "Zecret9",
    "/root/kept": "Zecret9",
}


class Talk:
    """With one process of the unit, over its socket."""

    def __init__(self, laptop: Laptop, script: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(laptop.proc(1) / "root" / PATH[1:]))
        order = json.dumps({"length": len(script), "my_ip": "10.10.3.4"})
        self._lines = self._socket.makefile("rb")
        self._socket.sendall(f"{order}\n{script}".encode())
        assert json.loads(self._lines.readline()) == {}

    def answer(self, host: str) -> dict[str, str] | None:
        """None: it has gone."""
        self._socket.sendall(json.dumps({"url": f"https://{host}/", "host": host}).encode() + b"\n")
        line = self._lines.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def says(body: str) -> str:
    return f"function FindProxyForURL(url, host) {{ {body} }}"


def running(laptop: Laptop) -> list[int]:
    shown = laptop.run("systemctl", "show", "--property=MainPID", "--value", SERVICE, check=False).stdout.split()
    return [int(pid) for pid in shown if pid != "0"]


def listening(laptop: Laptop) -> None:
    """The socket is started, as by the agent once a policy needs it."""
    for path, text in SECRETS.items():
        laptop.write(path, text)
    laptop.run("systemctl", "set-environment", "https_proxy=http://alice:Zecret9@proxy:1")
    laptop.run("systemctl", "start", SOCKET)


def test_it_is_nobody_and_finds_nothing(laptop: Laptop) -> None:
    assert laptop.agent("install").ok
    assert laptop.run("systemctl", "is-enabled", SOCKET, check=False).stdout == "disabled\n"  # no policy asks for it
    assert not laptop.exists(PATH)
    listening(laptop)
    assert laptop.run("stat", "-c", "%U:%G %a", PATH).stdout == "root:docker-proxy-relay 660\n"
    talk = Talk(laptop, says("return 'PROXY a:' + dnsResolve('localhost').length;"))
    assert talk.answer("registry") == {"answer": "PROXY a:9"}
    (pid,) = running(laptop)
    process = laptop.proc(pid)

    status, limits = (process / "status").read_text(), (process / "limits").read_text()
    inside = {
        path: laptop.run("nsenter", "-t", str(pid), "-m", "sh", "-c", f"cat {path}; ls -A {path} 2>&1", check=False)
        for path in SECRETS
    }
    docker = laptop.run("nsenter", "-t", str(pid), "-m", "stat", "-c", "%a", "/run/docker.sock").stdout
    opened = sorted(str(entry.readlink()).partition(":")[0] for entry in (process / "fd").iterdir())
    environment = (process / "environ").read_bytes()
    words = (process / "cmdline").read_bytes().split(b"\0")
    talk.close()

    uid = int(next(line.split()[1] for line in status.split("\n") if line.startswith("Uid:")))
    assert uid >= 61184  # of a DynamicUser
    for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in status
    assert "Max cpu time              1                    1                    seconds" in limits
    assert opened == ["/dev/null", "/dev/null", "/memfd", "socket"]
    assert environment == b""
    assert words[1:5] == [b"-I", b"-S", b"-X", b"utf8"]
    assert not [ran for ran in inside.values() if "Zecret9" in ran.stdout or ran.ok]
    assert docker == "0\n"  # what stands in its place is nobody's
    laptop.run("systemd-analyze", "security", "--no-pager", "--offline=no", "--threshold=15", SERVICE.replace("*", "x"))
    assert laptop.run("systemd-analyze", "verify", SOCKET).stderr == ""


@trixie
def test_what_does_not_end_is_ended_nobody_else_may_ask_and_all_of_it_goes(laptop: Laptop) -> None:
    assert laptop.agent("install").ok
    listening(laptop)
    began = laptop.run("cat", "/proc/uptime").stdout.split()[0]
    talk = Talk(laptop, says("while (true) alert('and on');"))
    assert talk.answer("registry") is None
    talk.close()
    laptop.until(lambda: Seen(not running(laptop), running(laptop)))

    assert float(laptop.run("cat", "/proc/uptime").stdout.split()[0]) - float(began) < 10
    assert laptop.run("systemctl", "--failed", "--no-legend").stdout == ""
    assert "and on" not in laptop.journal()
    again = Talk(laptop, says("return 'DIRECT';"))
    assert again.answer("registry") == {"answer": "DIRECT"}
    again.close()
    laptop.write("/tmp/office.pac", says("return 'PROXY a:8080; DIRECT';"))
    asked = laptop.run("systemctl", "show", "--property=NAccepted", "--value", SOCKET).stdout
    for user in (None, "alice"):  # by the unit; who may not ask it, by a child
        shown = laptop.agent("pac", "--pac", "/tmp/office.pac", "ghcr.io", user=user)
        assert shown.stdout.endswith("\n  https://ghcr.io/  a:8080, then direct\n"), shown
    assert int(laptop.run("systemctl", "show", "--property=NAccepted", "--value", SOCKET).stdout) == int(asked) + 1
    connects = f"import socket; socket.socket(socket.AF_UNIX).connect('{PATH}')"
    assert "Permission denied" in laptop.run("python3", "-c", connects, user="alice", check=False).stderr

    gone = laptop.agent("uninstall")

    assert gone.ok, gone
    assert not laptop.exists(PATH)
    for name in (SOCKET, "docker-proxy-agent-pac@.service"):
        assert not laptop.exists(f"/etc/systemd/system/{name}")
    assert laptop.run("systemctl", "is-active", SOCKET, check=False).stdout != "active\n"
    assert "docker-proxy-relay" not in laptop.read("/etc/passwd")
