"""A list of mounts that somebody made long: so much of it is kept, and hides nothing that was mounted later."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.clients.mounts import mountinfo

_MOUNTS = """
import ctypes, json, os, sys, time
from agent.clients.descriptors import file_system, folder, held
from agent.clients.mounts import mountinfo, mounts
from agent.clients.users import ThisSystem, is_gone

def mount(source, name):
    place = os.path.join(sys.argv[1], name)
    os.mkdir(place)
    assert ctypes.CDLL(None).mount(source, place.encode(), b"tmpfs", 0, b"size=4k") == 0
    return place

def said(place):
    with held(place) as descriptor:
        try:
            ThisSystem().entry(place)
            seen = ""
        except OSError as error:
            seen = error.strerror
        kind = file_system(descriptor)
        return [kind, folder(descriptor, kind) is not None, seen]

near = mount(b"near", "near")
for number in range(160):
    mount(b" " * 4000, str(number))  # four letters each
far = mount(b"far", "far")
cpu = time.thread_time()
text = mountinfo()
cpu = time.thread_time() - cpu
print(json.dumps({
    "bytes": len(text), "whole": text.endswith("\\n"), "cpu": cpu, "near": said(near), "far": said(far),
    "known": [os.path.basename(one.point) for one in mounts(text) if one.point in (near, far)],
    "gone": is_gone(far + "/file"),
}))
"""


@pytest.mark.needs_root
def test_what_was_mounted_after_the_bound_is_found_where_it_is_asked_for(tmp_path: Path) -> None:
    argv = ("unshare", "--mount", sys.executable, "-c", _MOUNTS, str(tmp_path))
    run = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2], timeout=60)
    said = json.loads(run.stdout)

    assert 1.9 * 1024 * 1024 < said["bytes"] <= 2 * 1024 * 1024
    assert said["whole"]
    assert said["known"] == ["near"]
    assert said["near"] == ["tmpfs", True, ""]
    assert said["far"] == ["tmpfs", True, ""]
    assert said["gone"] is True


def test_so_many_bytes_of_it_and_whole_lines() -> None:
    everything = mountinfo()
    first, second = everything.split("\n")[:2]

    assert mountinfo(len(first)) == ""
    assert mountinfo(len(first) + 1) == f"{first}\n"
    assert mountinfo(len(first) + len(second) + 1) == f"{first}\n"
    assert mountinfo(len(first) + len(second) + 2) == f"{first}\n{second}\n"
    assert everything.endswith("\n")
