"""PAC files of the shapes that are met, and those of somebody who means ill, in the process that evaluates them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.pac.evaluator import CPU_S, MEMORY
from agent.probe import pac_program
from agent.probe.pac import LIMITS, ByChild, ByEither, ByUnit, PacAsker, ask
from agent.values.pac import PacAnswer, PacFault, PacQuestion, PacScript, Way, decoded, question, read_answer
from agent.values.verdict import Outcome
from tests.waiting import until

HUB = question("registry-1.docker.io", 443, is_https=True)
INSIDE = question("registry.corp.example", 443, is_https=True)
WITHIN_S = 30.0  # for what ends sooner by itself


def says(body: str, before: str = "") -> str:
    return f"{before}\nfunction FindProxyForURL(url, host) {{ {body} }}"


def at(when: str, body: str) -> str:
    """On that day, at that time: the functions of a PAC ask `Date`."""
    clock = f"""
        var RealDate = Date;
        Date = function () {{ return arguments.length ? new RealDate(...arguments) : new RealDate("{when}"); }};
    """
    return says(body, clock)


async def answers(
    text: str, *questions: PacQuestion, my_ip: str = "10.10.3.4", within_s: float = WITHIN_S
) -> Sequence[PacAnswer | PacFault]:
    return await ask(ByChild(), PacScript(text, "http://wpad/wpad.dat"), my_ip, questions or (HUB,), within_s)


OFFICE = """
function FindProxyForURL(url, host) {
    if (isPlainHostName(host) || dnsDomainIs(host, ".corp.example") || localHostOrDomainIs(host, "intra.partner.example"))
        return "DIRECT";
    if (shExpMatch(host, "*.docker.io") && isInNet(myIpAddress(), "10.10.0.0", "255.255.0.0"))
        return "PROXY a:8080; HTTPS b:443; SOCKS5 c:1080; DIRECT";
    return "PROXY elsewhere:3128";
}
"""
MANY = "var hosts = [" + ",".join(f'"host{n}.example"' for n in range(3000)) + ', "registry-1.docker.io"];'
LAST = "for (var i = 0; i < hosts.length; i++) if (dnsDomainIs(host, hosts[i])) return 'PROXY p' + i + ':80'; return 'DIRECT';"
YEAR = 'return [weekdayRange("MON", "FRI"), weekdayRange("SUN"), timeRange(9, 17), dateRange("DEC")].join("");'


@pytest.mark.parametrize(("text", "answer"), [
    pytest.param(OFFICE, "PROXY a:8080; HTTPS b:443; SOCKS5 c:1080; DIRECT", id="an-office"),
    pytest.param(says('return dnsResolve("nobody.invalid") === null && !isResolvable("nobody.invalid") ? "PROXY a:80" : "DIRECT";'),
                 "PROXY a:80", id="a-name-that-does-not-exist"),
    pytest.param(says("return myIpAddress() + ':80'"), "10.10.3.4:80", id="the-address-of-the-way-out"),
    pytest.param(at("2026-11-27T10:00:00", YEAR), "truefalsetruefalse", id="a-Friday-in-November"),
    pytest.param(at("2026-12-06T20:00:00", YEAR), "falsetruefalsetrue", id="a-Sunday-evening-in-December"),
    pytest.param(says('alert("hello"); return "PROXY a:80";'), "PROXY a:80", id="alert"),
    pytest.param(says(LAST, MANY), "PROXY p3000:80", id="3000-hosts"),
    pytest.param("const via = (host) => `PROXY ${host}:80`;\n" + says("let [first] = ['a']; return via(first);"), "PROXY a:80", id="let-and-arrows"),
    pytest.param(decoded(OFFICE.encode("utf-16")), "PROXY a:8080; HTTPS b:443; SOCKS5 c:1080; DIRECT", id="UTF-16"),
    pytest.param(says('var s = "PROXY a:80;"; while (s.length < 1048576) s += s; return s;'), "PROXY a:80;" * 1000, id="1-MiB-of-output"),
    pytest.param(says('return "PROXY a:80;\\u001b[2J\\r\\nDIRECT";'), "PROXY a:80;\x1b[2J\r\nDIRECT", id="control-characters"),
    pytest.param(says("return null;"), "null", id="null"),
    pytest.param(says(""), "undefined", id="nothing"),
    pytest.param(says("return 42;"), "42", id="a-number"),
    pytest.param(says('return "";'), "", id="an-empty-text"),
    pytest.param(says('alert("JSERROR: no failure"); return "DIRECT";'), "DIRECT", id="an-alert-that-looks-like-a-failure"),
])  # fmt: skip
async def test_what_a_script_says(text: str, answer: str) -> None:
    (found,) = await answers(text)

    assert found == read_answer(answer)


TOO_MUCH = f"ended at its limits ({LIMITS})"


@pytest.mark.parametrize(("text", "said"), [
    pytest.param("function FindProxyForURL(url, host) { return 'DIRECT'", "SyntaxError: ", id="syntax"),
    pytest.param("function FindProxy(url, host) { return 'DIRECT'; }", "ReferenceError: FindProxyForURL is not defined", id="no-such-function"),
    pytest.param(says("throw new Error('\\u001b[2Jno way')"), "Error: \\x1b[2Jno way", id="throw"),
    pytest.param(says("return FindProxyForURL(url, host);"), "RangeError: Maximum call stack size exceeded", id="recursion"),
    pytest.param(says("var all = []; while (true) all.push(new Array(1000000).fill(1));"), "InternalError: out of memory", id="1-GiB-of-arrays"),
    pytest.param(says("while (true);"), TOO_MUCH, id="endless"),
    pytest.param("while (true);", TOO_MUCH, id="endless, before it is asked"),
    pytest.param(says("while (true) alert('a line, and another one');"), TOO_MUCH, id="endless-alert"),
    pytest.param(says("return /(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab');"), TOO_MUCH, id="a-pattern-that-does-not-end"),
    pytest.param(says("return '\\ud800';"), "its answer is not text", id="half-a-character"),
    pytest.param(says("return 'DIRECT';") + "\0", "the script has a NUL in it", id="NUL"),
    pytest.param("", "ReferenceError: FindProxyForURL is not defined", id="empty"),
])  # fmt: skip
async def test_a_script_that_says_nothing_has_a_reason(text: str, said: str) -> None:
    before = os.times()

    (found,) = await answers(text)

    spent = os.times()
    assert isinstance(found, PacFault)
    assert found.outcome is Outcome.ERROR
    assert found.evidence.startswith("evaluating the PAC file: ")
    assert said in found.evidence
    assert len(found.evidence) < 200
    used = spent.children_user + spent.children_system - before.children_user - before.children_system
    assert used < CPU_S + 0.7  # and the start of Python


async def test_all_questions_of_a_batch_take_one_process_and_one_second() -> None:
    text = says("if (host == 'registry-1.docker.io') while (true); return 'PROXY a:80';")
    began = os.times()

    found = await answers(text, INSIDE, HUB, INSIDE, HUB)

    spent = os.times()
    assert found[0] == PacAnswer((read_answer("PROXY a:80").ways[0],))
    assert [isinstance(one, PacFault) for one in found] == [False, True, True, True]
    assert spent.children_user - began.children_user < CPU_S + 0.7


async def test_a_name_server_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    waits = tmp_path / "waits.py"
    waits.write_text("import os, time\nos.write(0, b'{}\\n')\ntime.sleep(60)\n")  # as in a look-up
    script = PacScript(says("return 'DIRECT'"), "")
    began = time.monotonic()

    found = await ask(ByChild((sys.executable, "-I", "-S", str(waits))), script, "", (HUB, INSIDE), 0.5)

    assert set(found) == {PacFault(Outcome.TIMEOUT, "evaluating the PAC file: timed out after 0.5 s")}
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("reply", [
    pytest.param(b"{}\n" + b"x" * 300_000 + b"\n", id="without-end"),
    pytest.param(b'{}\n{"answer": 42}\n', id="of-another-kind"),
    pytest.param(b"no JSON\n", id="no-JSON"),
    pytest.param(b"\xff\xfe\n", id="no-text"),
])  # fmt: skip
async def test_a_process_that_was_taken_over_is_believed_nothing(tmp_path: Path, reply: bytes) -> None:
    (tmp_path / "reply").write_bytes(reply)
    lies = f"import os\ndata = open({str(tmp_path / 'reply')!r}, 'rb').read()\nwhile data: data = data[os.write(0, data):]\nwhile os.read(0, 4096): pass"
    asked = ask(ByChild((sys.executable, "-I", "-S", "-c", lies)), PacScript("", ""), "", (HUB,), WITHIN_S)

    (found,) = await asked

    assert found == PacFault(Outcome.ERROR, "evaluating the PAC file: its process answered with something else")


# As 1.4.5 of Debian 13 does (FACTS 234); it cannot be had beside the one that is installed.
OLD_ENGINE = """
import os
class error(Exception): pass
def version(): return "v1.4.5"
def init(): pass
def setmyip(address): pass
def parse_pac_string(script):
    if "let " in script or "FindProxyForURL(" not in script or not script.startswith("function alert() {} "):
        os.write(2, b"JSERROR: PAC script:1:\\n    SyntaxError: missing ; before statement\\n")
        os.write(2, b"pacparser.c: pacparser_parse_pac_string: Failed to evaluate the pac script.\\n")
        raise error("Could not parse pac script string")
def find_proxy(url, host): return "DIRECT"
"""


@pytest.mark.parametrize(("text", "said"), [
    pytest.param("let a = (1);", "evaluating the PAC file: needs pacparser 1.5, this is 1.4.5: SyntaxError: missing ; before statement. Run: ", id="modern"),
    pytest.param("no JavaScript", "evaluating the PAC file: SyntaxError: missing ; before statement", id="wrong-in-any"),
    pytest.param(says("return 'DIRECT'"), "", id="as-it-was-in-1996"),
])  # fmt: skip
async def test_an_old_engine_says_what_it_lacks(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pacparser.py").write_text(OLD_ENGINE)
    argv = (*pac_program.argv()[:-1], str(tmp_path))

    (found,) = await ask(ByChild(argv), PacScript(text, ""), "10.0.0.7", (HUB,), WITHIN_S)

    if said.endswith("Run: "):
        said += pac_program.how_to_install(is_there=True)
    assert found == (PacFault(Outcome.ERROR, said) if said else PacAnswer((Way(),)))


async def test_without_an_engine_it_says_how_to_have_one() -> None:
    (found,) = await ask(ByChild(pac_program.argv()[:-1]), PacScript("", ""), "", (HUB,), WITHIN_S)

    assert found == PacFault(
        Outcome.ERROR,
        f"evaluating the PAC file: pacparser is not installed. Run: {pac_program.how_to_install(is_there=False)}",
    )


def test_started_by_hand_it_says_whom_it_is_for() -> None:
    done = subprocess.run(
        pac_program.argv(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 1
    assert done.stderr == (
        "pac: --evaluator is for its systemd unit, which gives it a connection. Try: docker-proxy-agent pac\n"
    )


async def test_nobody_there_is_no_way(tmp_path: Path) -> None:
    script = PacScript(says("return 'DIRECT'"), "")

    (by_unit,) = await ask(ByUnit(tmp_path / "pac.sock"), script, "", (HUB,), WITHIN_S)
    (by_child,) = await ask(ByChild(("/bin/false",)), script, "", (HUB,), WITHIN_S)
    (by_either,) = await ask(ByEither(tmp_path / "pac.sock"), script, "", (HUB,), WITHIN_S)

    assert by_unit == PacFault(Outcome.ERROR, "evaluating the PAC file: cannot be started (No such file or directory)")
    assert isinstance(by_child, PacFault)
    assert "its process did not start" in by_child.evidence
    assert by_either == PacAnswer((Way(),))


@pytest.mark.waits
async def test_whoever_asks_for_long_gets_another_process() -> None:
    script = PacScript(says("return 'PROXY a:80'"), "")
    async with PacAsker(ByChild(), script) as asker:
        first = await asker.answer(HUB, WITHIN_S)
        child = asker._opened.child if asker._opened is not None else None
        assert child is not None
        async with asyncio.timeout(WITHIN_S):
            status = await child.wait()

        second = await asker.answer(INSIDE, WITHIN_S)

    assert status == 0  # by itself, and not as a failure
    assert first == second == read_answer("PROXY a:80")


async def test_a_cancelled_question_is_not_answered_to_the_next() -> None:
    text = says(
        "if (host == 'registry-1.docker.io') { for (var i = 0; i < 3000000; i++); return 'PROXY late:80'; } return 'DIRECT';"
    )
    async with PacAsker(ByChild(), PacScript(text, "")) as asker:
        await asker.answer(INSIDE, WITHIN_S)
        late = await asker.answer(HUB, 0.001)

        found = await asker.answer(INSIDE, WITHIN_S)

    assert isinstance(late, PacFault)
    assert found == PacAnswer((Way(),))


async def test_the_process_has_nothing_of_ours() -> None:
    os.environ["PAC_TEST_SECRET"] = "Zecret9"
    kept = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(kept, True)  # as a careless library does
    try:
        async with PacAsker(ByChild(), PacScript(says("return 'DIRECT'"), "")) as asker:
            await asker.answer(HUB, WITHIN_S)
            assert asker._opened is not None
            assert asker._opened.child is not None
            proc = Path("/proc", str(asker._opened.child.pid))
            if os.geteuid() == 0:
                assert b"Zecret9" not in (proc / "environ").read_bytes()
                opened = sorted(str(entry.readlink()).split(":")[0] for entry in (proc / "fd").iterdir())
                assert opened == ["/dev/null", "/dev/null", "/memfd", "socket"]
            status = (proc / "status").read_text()
            limits = (proc / "limits").read_text() if os.geteuid() == 0 else ""
    finally:
        os.close(kept)
        del os.environ["PAC_TEST_SECRET"]

    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status or os.geteuid() != 0
    if os.geteuid() == 0:
        assert "Uid:\t65534\t65534\t65534\t65534" in status
        assert "Groups:\t \n" in status
        assert f"Max address space         {MEMORY}" in limits


async def test_it_does_not_outlive_who_asked(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    caller = f"""if True:
        import subprocess, socket, sys, time
        ours, theirs = socket.socketpair()
        child = subprocess.Popen({pac_program.argv()!r}, stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ours.sendall(b'{{"length": 0}}\\n')
        assert ours.recv(3) == b"{{}}\\n"
        open({str(told)!r}, "w").write(f"{{child.pid}}\\n")
        time.sleep(60)
    """
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", caller)
    until(WITHIN_S, lambda: told.exists() and told.read_text().endswith("\n"), "the evaluator runs")

    process.send_signal(signal.SIGKILL)
    async with asyncio.timeout(WITHIN_S):
        await process.wait()

    status = Path("/proc", told.read_text().strip(), "status")
    until(WITHIN_S, lambda: not status.exists() or "State:\tZ" in status.read_text(), "the evaluator has ended")
