"""One booted machine: systemd-nspawn on a throw-away overlay. Not known here: Docker, networks, the product."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import Seen, until

from .ground import ALONE, DIES_WITH_US, ENVIRONMENT, children

# Run ALONE: nspawn's systemd would outlive a killed nspawn, but not the process namespace around both.
BOOT = """
echo $$ >$CGROUP/cgroup.procs
# Where nspawn keeps what it knows of machines by their names, and removes it by their names: others have this one, too.
mkdir -p /run/systemd/nspawn
mount -t tmpfs nspawn /run/systemd/nspawn
# In a mount namespace of its own: memory and overlay are gone with the last process of the box; and in a network of its
# own, which is there before the box boots and while it boots again.
mount -t tmpfs -o mode=0755 box $DIR
mkdir $DIR/upper $DIR/work $DIR/root $DIR/docker $DIR/containerd
mount -t overlay box -o lowerdir=$LOWER,upperdir=$DIR/upper,workdir=$DIR/work $DIR/root
# Docker's own overlays cannot lie on an overlay.
boot() {
    systemd-nspawn --quiet --register=no --keep-unit --machine=$MACHINE --directory=$DIR/root \
        --bind=$DIR/docker:/var/lib/docker --bind=$DIR/containerd:/var/lib/containerd \
        --network-namespace-path=/proc/self/ns/net --capability=all --system-call-filter='add_key keyctl bpf' \
        --resolv-conf=off --timezone=off --boot || ended=$?
    # "Start me again": a reboot. What only a boot makes has to be gone by then.
    test "$ended" = 133
    if test -d /sys/class/net/docker0; then ip link delete docker0; fi
}
while :; do boot; done
"""


_BOOTS_WITHIN_S = 60  # a group that is younger may be another run's, about to be lived in


class CommandFailed(AssertionError):
    pass


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        return f"{' '.join(self.argv)} ended with {self.code}\n{self.stdout}{self.stderr}".rstrip()


class Box:
    def __init__(self, machine: str, lower: Sequence[Path]) -> None:
        """Boot, and come back when systemd says that everything has started."""
        self._cgroup = _cgroup()
        self._dir = Path(tempfile.mkdtemp(prefix="docker-proxy-agent-box-"))
        self._console = self._dir.with_suffix(".console")
        settings = {
            "CGROUP": str(self._cgroup),
            "DIR": str(self._dir),
            "LOWER": ":".join(str(path) for path in lower),
            "MACHINE": machine,
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        }
        with self._console.open("wb") as console:
            self._holder = subprocess.Popen(
                [*DIES_WITH_US, *ALONE, "--net", "sh", "-euc", BOOT],
                env={**ENVIRONMENT, **settings},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # a Ctrl-C is for the tests, which then close this
            )
        self.pid = 0
        try:
            self._has_started()
        except BaseException:
            self.close()
            raise

    def _has_started(self) -> None:
        try:
            until(20, self._init, "the box's systemd starts", every=0.02)
            until(60, self._is_up, "everything in the box has started")
        except BaseException as error:
            error.add_note(self._console.read_text(errors="replace")[-3000:])
            raise

    def reboot(self) -> None:
        """Shut down in good order and boot again: disks and cables stay, /run and all processes do not."""
        self.run("systemctl", "reboot", "--no-block")
        self._has_started()

    def has_rebooted(self, within: float) -> None:
        """By its own doing: its old systemd ends, and everything in the new one has started."""
        old = self.pid
        until(within, lambda: not is_systemd(old), "the box goes down")
        self._has_started()

    def stand_still(self, seconds: float) -> None:
        """All of its processes, as in a virtual machine that is paused; the clocks go on."""
        switch, events = self._cgroup / "cgroup.freeze", self._cgroup / "cgroup.events"
        switch.write_text("1")
        try:
            until(10, lambda: "frozen 1" in events.read_text(), "the box stands still")
            time.sleep(seconds)
        finally:
            switch.write_text("0")

    def run(
        self,
        *argv: str,
        input: str | bytes = "",  # noqa: A002 (as subprocess has it)
        user: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> Ran:
        """A command in the box, in the clean environment of a log-in."""
        inside = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        who = (
            ["runuser", "-u", user, "--", "env", f"HOME=/home/{user}", f"USER={user}", f"LOGNAME={user}"]
            if user
            else []
        )
        try:
            done = subprocess.run(
                [*inside, *who, *argv],
                env=ENVIRONMENT,
                input=input.encode() if isinstance(input, str) else input,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            said = b"".join(part for part in (late.stdout, late.stderr) if part).decode(errors="replace")
            raise CommandFailed(f"{' '.join(argv)} did not end within {timeout:g} s\n{said}") from late
        ran = Ran(argv, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if check and not ran.ok:
            raise CommandFailed(str(ran))
        return ran

    def put(self, path: str, content: str | bytes, mode: int = 0o644, owner: str = "root") -> None:
        """A file with this content, at once; a link is replaced. Folders that are missing are made, by the owner."""
        write = 'mkdir -p "$(dirname "$1")"; cat >"$1.new"; chmod "$2" "$1.new"; mv -T "$1.new" "$1"'
        user = None if owner == "root" else owner
        self.run("sh", "-euc", write, "sh", path, f"{mode:o}", input=content, user=user)

    def peek(self, path: str) -> bytes:
        """What is in this file now; b"" if it is not there. Starts nothing in the box, as `run` does: for who waits.

        No part of the path may be a link: it would lead out of the box.
        """
        try:
            return Path(f"/proc/{self.pid}/root{path}").read_bytes()
        except OSError:  # it is not there, or the box goes down
            return b""

    def processes(self, group: str) -> str:
        """The numbers of those in this control group of the box, as they are outside; "" if it has none."""
        try:
            return (self._cgroup / "payload" / group / "cgroup.procs").read_text()
        except OSError:  # it is not there, or goes just now
            return ""

    def close(self) -> None:
        """Pull the plug."""
        self._holder.kill()
        self._holder.wait(60)
        until(10, lambda: _removed(self._cgroup), f"{self._cgroup} is empty", every=0.02)
        shutil.rmtree(self._dir)
        self._console.unlink()

    def __enter__(self) -> "Box":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _init(self) -> bool:
        if self._holder.poll() is not None:
            raise RuntimeError(f"systemd-nspawn ended with {self._holder.returncode}")
        found = [
            pid
            for shell in children(self._holder.pid)
            for nspawn in children(shell)
            for pid in children(nspawn)
            if pid != self.pid and is_systemd(pid)
        ]
        if found:
            (self.pid,) = found
        return bool(found)

    def _is_up(self) -> Seen:
        state = self.run("systemctl", "is-system-running", "--wait", check=False)
        if state.stdout.strip() == "degraded":
            state = self.run("systemctl", "--failed", "--no-legend", "--plain", check=False)
        return Seen(state.stdout == "running\n", state)


def is_systemd(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "systemd\n"
    except (FileNotFoundError, ProcessLookupError):  # one of nspawn's helpers, which has done its part
        return False


def _cgroup() -> Path:
    """A control group outside all others: machines booted from one group stop each other's services."""
    unified = Path("/sys/fs/cgroup/unified")
    top = unified if unified.is_dir() else Path("/sys/fs/cgroup")
    for stale in top.glob("docker-proxy-agent-box-*"):
        with contextlib.suppress(FileNotFoundError):  # somebody else was faster
            # Of a run that was killed. Where one lives nothing is removed: not the group of a service that is about to
            # start, either.
            if time.time() > stale.stat().st_mtime + _BOOTS_WITHIN_S and not _is_lived_in(stale):
                _removed(stale)
    return Path(tempfile.mkdtemp(prefix="docker-proxy-agent-box-", dir=top))


def _is_lived_in(group: Path) -> bool:
    return "populated 1" in (group / "cgroup.events").read_text().splitlines()


def _removed(group: Path) -> bool:
    """Whether the group is gone; it and those below it are removed when they are empty."""
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            Path(folder).rmdir()
    except OSError:  # EBUSY: a process is still in it
        return False
    return True
