"""The roll-out guide: what its snippet writes onto a laptop is a policy, each file alone and all of them together."""

from __future__ import annotations

import re
import textwrap

from agent.values.paths import FOLDER
from agent.values.policy import Policy, Restart
from agent.values.policy_parts import Joined, Part, join
from agent.values.policy_text import parse, parse_joined
from agent.values.policy_warnings import warnings
from tests.sources import ROOT

PAGE = (ROOT / "docs/rollout.md").read_text()
TASK = re.compile(r"^ +dest: (\S+)\n(?:.*\n)*? +content: \|\n((?: {10}.*\n|\n)+)", re.MULTILINE)


def test_the_files_that_the_snippet_writes_are_a_policy_as_they_are_validated_and_together() -> None:
    (snippet,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    files = [Part(textwrap.dedent(text), file) for file, text in TASK.findall(snippet)]

    joined = join(files)

    assert [part.file.rpartition("/")[0] for part in files] == [f"/etc/docker-proxy-agent/{FOLDER}"] * 2
    assert all(isinstance(parse(part.text), Policy) for part in files)
    assert isinstance(joined, Joined)
    policy = parse_joined(joined)
    assert isinstance(policy, Policy)
    assert policy.docker.restart is Restart.NEVER
    assert [network.use for network in policy.networks] == [("corp-proxy", "direct")]
    assert not warnings(policy, joined.origins)


def test_its_stages_are_values_of_the_policy_and_end_with_the_default() -> None:
    stages = re.findall(r'^\| \d \| `"([a-z-]+)"`', PAGE, re.MULTILINE)

    assert [Restart(stage) for stage in stages] == [Restart.NEVER, Restart.WHEN_IDLE, Restart.PROTECT]
    assert Policy().docker.restart is Restart.PROTECT
