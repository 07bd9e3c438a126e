"""What stands in other people's files never reaches a screen, a status or a record as it stands."""

from __future__ import annotations

import json
import os
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

from .installation import Installation, is_offline, proxy
from .runs import Runs, shared

pytestmark = pytest.mark.skipif(is_offline(), reason="offline, a pass does nothing")

MARK = "zecret9"
NOTHING_SHOWS = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
COMMANDS = (("plan", "-v"), ("apply",), ("audit", "--json"), ("status", "-v"))


def whole(**proxies: object) -> bytes:
    return json.dumps({"proxies": proxies}).encode()


URL = "http://alice:Zecret9@proxy.example.net:3128"
CLIENTS = {
    "half-a-character-in-a-name": b'{"proxies":{"\\ud800":1}}',
    "half-a-character-in-a-value": b'{"proxies":{"default":{"httpProxy":"\\ud800","noProxy":"\\udfff"}}}',
    "byte-order-mark": b'\xef\xbb\xbf{"auths":{}}\r\n',
    "escape-in-a-name": whole(**{"x\x1b[2K\x1b[1A\r\x1b]0;title\x07\n  note         all is well": 1}),
    "escape-in-a-value": whole(default={"httpProxy": "http://h", "noProxy": "\x1b]0;title\x07,\n  note  well,\u202e"}),
    "separators-in-a-name": b'{"proxies":{"default":{"noProxy":1},"a\\u2028b\\u2029c\\u0085d\\u200f":1}}',
    "secret-in-a-name": whole(**{URL: "default"}),
    "secret-in-no-proxy": whole(default={"httpProxy": "http://proxy.example.net:3128", "noProxy": URL}),
    "secret-in-no-proxy-without-a-scheme": whole(default={"httpProxy": "http://h:1", "noProxy": "a,u:pa,Zecret9,b@h"}),
    "secret-with-blanks": whole(**{"http://u:p a@x Zecret9 b@h": "default"}),
    "secret-in-a-name-twice": b'{"proxies":{"default":{},"http://u:Zecret9@h":{},"default":{}}}',
    "spelling": whole(**{"default": {"HTTPPROXY": URL}, URL: {}}),
    "long": whole(**{"://" * 20_000: 1}),
    "a-text-where-an-object-belongs": json.dumps({"proxies": URL}).encode(),
}  # fmt: skip
DAEMONS = {
    "latin-1": b'{"labels": ["b\xfcro=1"]}\n',
    "utf-16": '\ufeff{"debug": false}\r\n'.encode("utf-16-le"),
    "unparsable-proxy": b'{"proxies": {"http-proxy": "http://alice:p@ss:Zecret9#rd@proxy.example.net:3128"}}\n',
    "secret-in-no-proxy": json.dumps({"proxies": {"http-proxy": "http://h:1", "no-proxy": f"a,{URL}"}}).encode(),
    "secret-where-none-belongs": json.dumps({"proxies": {"http-proxy": [URL], URL: 1}, URL: URL}).encode(),
}  # fmt: skip


class Machine(Installation):
    """Its commands are run in forks of one process."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder / "root", port)
        self.runs = Runs(self.root, folder, shared())


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with proxy() as port, Machine(tmp_path_factory.mktemp("m"), port) as installation:
        yield installation


def said(machine: Machine, *words: str, encoding: str = "utf-8") -> tuple[int, str]:
    status = machine.runs.run(*words, encoding=encoding)
    out, err = machine.runs.out.decode(encoding), machine.runs.err
    assert b"Traceback" not in err, err
    if "--json" in words:
        for document in out.splitlines() if "audit" in words else [out] if out else []:
            json.loads(document)
    return status, out + err.decode(encoding)


def check(text: str) -> None:
    assert MARK not in text.lower()
    odd = {char for char in text if unicodedata.category(char) in NOTHING_SHOWS} - {"\n"}
    assert not odd, (odd, text)


def kept(machine: Machine) -> Iterator[str]:
    """What is kept for a person."""
    for path in (machine.paths.audit_log, machine.paths.status):
        if path.exists():
            yield path.read_text()


@pytest.mark.parametrize("name", CLIENTS)
def test_of_a_clients_file(machine: Machine, name: str) -> None:
    machine.config_json.write_bytes(CLIENTS[name])

    for words in COMMANDS:
        check(said(machine, *words)[1])
    check(said(machine, "apply", "--json", encoding="ascii")[1])
    for text in kept(machine):
        check(text)
        assert max(map(len, text.splitlines())) < 20_000


@pytest.mark.parametrize("name", ["half-a-character-in-a-name", "byte-order-mark", "secret-in-a-name", "long"])
def test_a_clients_file_that_is_not_understood_is_its_own_fault(machine: Machine, name: str) -> None:
    machine.config_json.write_bytes(CLIENTS[name])

    status, text = said(machine, "apply")

    assert status == 1
    (line,) = [line for line in text.splitlines() if str(machine.config_json) in line]
    assert line.startswith("  not written  ")
    assert line.endswith("left as it is. Fix it, then run: docker-proxy-agent apply")
    assert len(line) < 1000
    assert machine.config_json.read_bytes() == CLIENTS[name]
    assert machine.starts == 2  # Docker's half went on


@pytest.mark.parametrize("name", DAEMONS)
def test_of_the_daemons_file(machine: Machine, name: str) -> None:
    machine.daemon_json.write_bytes(DAEMONS[name])

    for words in COMMANDS:
        check(said(machine, *words)[1])
    for text in kept(machine):
        check(text)


@pytest.mark.parametrize("name", ["latin-1", "utf-16"])
def test_a_daemons_file_that_is_no_text_is_its_own_fault(machine: Machine, name: str) -> None:
    machine.daemon_json.write_bytes(DAEMONS[name])

    status, text = said(machine, "apply")

    assert status == 1
    (line,) = [line for line in text.splitlines() if str(machine.daemon_json) in line]
    assert "is not UTF-8; left as it is. Fix it, then run: docker-proxy-agent apply" in line
    assert machine.daemon_json.read_bytes() == DAEMONS[name]
    assert machine.starts == 1
    assert "proxy.office.test" in machine.config_json.read_text()  # the clients went on


def test_of_a_policy_and_of_arguments(machine: Machine) -> None:
    machine.write(
        machine.paths.policy, f'[upstream.a]\nurl = "http://u:Zec ret9@h"\n"{URL}\\u001b[2K" = "\\u202e{URL}"\n', 0o644
    )

    for words in (
        ("check",), ("check", "--json"), ("plan",), ("apply",), (f"{URL}\x1b[2K",), ("pin", f"{URL}\u202e\n"),
        ("audit", "--event", URL), ("plan", f"--{URL}"), ("--policy", f"/{URL}\x1b", "check"),
    ):  # fmt: skip
        status, text = said(machine, *words)
        assert status != 0
        check(text)


@pytest.mark.long
def test_of_a_running_agent(machine: Machine) -> None:
    """The service lives, says what is wrong with the file, and goes on with everything else."""
    service = subprocess.Popen(machine.command("run"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until(30, lambda: is_under_way(machine, service), "the first pass")
        for name in ("half-a-character-in-a-name", "secret-in-a-name", "escape-in-a-name"):
            machine.config_json.write_bytes(CLIENTS[name])
            assert said(machine, "apply")[0] == 1
            for words in (("apply", "--json"), ("status",), ("status", "--json")):
                status, text = said(machine, *words)
                check(text)
                assert "expected an object; left as it is" in text
                assert (status == 0) is (words[0] == "status")
            check(machine.paths.status.read_text())
        status, text = said(machine, "pin", os.fsdecode(b"\xff\x1b"))
        assert (status, text) == (1, 'pin: the policy has no upstream "\\udcff\\x1b"; it has direct, office, branch\n')
        machine.config_json.write_bytes(b'{"auths":{}}')
        assert said(machine, "apply")[0] == 0
        assert "proxy.office.test" in machine.config_json.read_text()
    finally:
        service.terminate()
        output = service.communicate(timeout=30)[0].decode()
    assert service.returncode == 0
    check(output)
    for text in kept(machine):
        check(text)


def is_under_way(machine: Machine, service: subprocess.Popen[bytes]) -> bool:
    """Whether its first pass is over."""
    assert service.poll() is None, service.communicate(timeout=30)
    return machine.paths.status.exists() and machine.starts == 2
