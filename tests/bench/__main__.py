"""`python -m tests.bench [--repeat N] [SUBJECT …]`: measure, print the table, and write it if nothing was left out."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import time
import traceback
from pathlib import Path

from tests.machine.lab.laptop import Laptop
from tests.machine.lab.places import World
from tests.machine.lab.rootfs import TRIXIE, rootfs

from .row import Row, in_the_middle, not_measured, number, sections, shortfalls, table

SUBJECTS = (
    "roams",
    "relay_roams",
    "survivors",
    "memory",
    "idle",
    "storm",
    "decision",
    "black_holes",
    "commands",
    "records",
    "relay",
)
# Counted and not timed: one run is as the next, and takes minutes.
ONCE = frozenset({"memory", "idle", "storm"})
MEASUREMENTS = Path(__file__).parents[2] / "docs/measurements.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="Measures the goals of speed and size.")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)}; default: all")
    parser.add_argument("--repeat", type=int, default=3, help="how often times are measured; the median counts (3)")
    args = parser.parse_args()
    if unknown := set(args.subjects) - set(SUBJECTS):
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    load = os.getloadavg()[0]
    found: dict[str, list[Row]] = {}
    failed: dict[str, str] = {}
    with World.made(rootfs(TRIXIE) / "bin/busybox") as world:
        for subject in args.subjects or SUBJECTS:
            for repetition in range(1 if subject in ONCE else args.repeat):
                try:
                    rows = importlib.import_module(f"tests.bench.{subject}").rows(world)
                except Exception as error:  # noqa: BLE001 - what the others have measured, for an hour, is not lost by it
                    traceback.print_exc()
                    failed[subject] = f"{type(error).__name__}: {error}".partition("\n")[0]
                    continue
                for row in rows:
                    found.setdefault(row.what, []).append(row)
                    print(f"{subject} {repetition + 1}: {_in_words(row)}", flush=True)
        parts = (table(found), shortfalls(found), not_measured(failed), sections(found))
        text = "\n\n".join(part for part in parts if part)
        print(f"\n{text}")
        if not args.subjects:
            MEASUREMENTS.write_text(_page(world, text, args.repeat, load))
            print(f"\nwritten to {MEASUREMENTS}")
    return 1 if failed or not all(in_the_middle(rows).is_met for rows in found.values()) else 0


def _in_words(row: Row) -> str:
    verdict = "met" if row.is_met else "NOT met"
    found = f"{row.what}: {number(row.measured)}{row.unit} (goal {row.goal}, {verdict})"
    return "; ".join(part for part in (found, row.baseline, row.where) if part)


def _page(world: World, text: str, repetitions: int, load: float) -> str:
    with Laptop(TRIXIE, world) as laptop:
        systemd = laptop.run("systemctl", "--version").stdout.split()[1]
        python = laptop.run("python3", "--version").stdout.split()[1]
        docker = laptop.docker.version()
    return f"""# Measurements

Written by `make bench` (tests/bench). Measured in the laptop of the machine tests: Debian 13 in systemd-nspawn, with a
systemd {systemd}, a Docker {docker} and a Python {python} of its own. Each row is the repetition in the middle of
{repetitions}, and "of" is the range of them all; {", ".join(sorted(ONCE))} are measured once. A ratio is against
the baseline of the same run.

{time.strftime("%Y-%m-%d")}, Linux {platform.release()}, {os.cpu_count()} cores, load {load:.2f} at the start.

{text}
"""


if __name__ == "__main__":
    raise SystemExit(main())
