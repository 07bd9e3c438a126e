"""inotify's limits used up: in a user namespace, which has limits of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The limits of this namespace alone, and not those of the machine.
LIMITED = 'echo 0 >/proc/sys/user/max_inotify_"$1"; shift; exec "$@"'
LIFTED = """
import asyncio, sys
from pathlib import Path
from agent.service.watch.paths import FileWatch

async def main(limit: str, file: Path) -> None:
    woken = asyncio.Event()
    watch = FileWatch(lambda reason: woken.set())
    for _ in range(2):
        watch.watch([file])
        print(watch.limit, watch.unwatched)
    Path(f"/proc/sys/user/max_inotify_{limit}").write_text("100")
    watch.watch([file])
    print(watch.limit, watch.unwatched)
    woken.clear()
    file.write_text("changed")
    await asyncio.wait_for(woken.wait(), 10)
    print("woken")
    watch.close()

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


HOMES = """
import asyncio, os, sys, types
from pathlib import Path
from agent.clients.homes import Homes
from agent.clients.users import Threshold
from agent.service.watch.homes import HomeWatch

async def main(limit: str, file: Path) -> None:
    home = file.parent
    status = home.stat()
    threshold = Threshold(home, (status.st_dev, status.st_ino), (file.name,))
    whose = types.SimpleNamespace(uid=os.geteuid(), gid=os.getegid(), groups=(), threshold=threshold, inside=None)
    woken = asyncio.Event()
    watch = HomeWatch(lambda reason: woken.set())
    homes = Homes(watch=watch)
    for _ in range(2):
        await homes.read(whose, file)
        print(watch.limit, watch.unwatched)
        assert homes.is_still(whose, file, 60)
        assert not homes.is_still(whose, file, 0)
    Path(f"/proc/sys/user/max_inotify_{limit}").write_text("100")
    await homes.read(whose, file)
    print(watch.limit, watch.unwatched)
    await asyncio.sleep(0.2)
    file.write_text("changed")
    await asyncio.wait_for(woken.wait(), 10)
    print("woken")
    watch.close()

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


def _can_have_a_user_namespace() -> bool:
    return subprocess.run(["unshare", "--user", "--map-root-user", "true"], check=False, timeout=60).returncode == 0


@pytest.mark.skipif(not _can_have_a_user_namespace(), reason="this system allows no user namespace")
@pytest.mark.parametrize(
    ("limit", "sysctl"),
    [("instances", "fs.inotify.max_user_instances"), ("watches", "fs.inotify.max_user_watches")],
)
@pytest.mark.parametrize("code", [LIFTED, HOMES], ids=["system", "homes"])
def test_a_limit_that_is_reached_is_said_and_watching_begins_when_it_is_lifted(
    tmp_path: Path, code: str, limit: str, sysctl: str
) -> None:
    inside = ["sh", "-euc", LIMITED, "sh", limit, sys.executable, "-c", code, limit, str(tmp_path / "file")]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", *inside],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    *reached, lifted, woken = done.stdout.splitlines()
    assert len(reached) == 2
    assert all(line.startswith(f"{sysctl} ") and str(tmp_path) in line for line in reached)
    assert lifted == " {}"
    assert woken == "woken"
