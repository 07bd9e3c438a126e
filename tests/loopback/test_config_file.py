"""What those are handed of daemon.json who only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.docker.config_file import ConfigFile
from agent.values.dockerd import FileFault, Phase, Reality, UnitState
from agent.values.errors import TargetFailed
from agent.values.paths import Paths

BY_DEFAULT = '{"bridge": "lan0"}'
ELSEWHERE = '{"bridge": "lan1"}'
RUNS = UnitState(Phase.RUNNING)


@pytest.fixture
def config_file(tmp_path: Path) -> ConfigFile:
    paths = Paths(tmp_path)
    paths.daemon_json.parent.mkdir(parents=True)
    paths.daemon_json.write_text(BY_DEFAULT)
    return ConfigFile(paths)


def test_it_is_what_the_last_look_found_wherever_dockerd_reads_it(config_file: ConfigFile) -> None:
    config_file.note(Reality(RUNS, daemon_json_path="/srv/docker.json", daemon_json=ELSEWHERE))
    assert config_file.text() == ELSEWHERE

    config_file.note(Reality(RUNS, daemon_json_path="/srv/docker.json", daemon_json=None))
    assert config_file.text() is None


def test_before_the_first_look_it_is_read_in_the_default_place(config_file: ConfigFile) -> None:
    assert config_file.text() == BY_DEFAULT


@pytest.mark.parametrize("phase", [Phase.ABSENT, Phase.MASKED])
def test_without_docker_a_look_says_nothing_of_it(config_file: ConfigFile, phase: Phase) -> None:
    config_file.note(Reality(RUNS, daemon_json=ELSEWHERE))

    config_file.note(Reality(UnitState(phase)))

    assert config_file.text() == BY_DEFAULT


def test_what_is_no_text_is_an_error_with_its_place(config_file: ConfigFile) -> None:
    fault = FileFault("/srv/docker.json", "is a folder", "Remove it")
    config_file.note(Reality(RUNS, daemon_json_path="/srv/docker.json", daemon_json_fault=fault))

    with pytest.raises(TargetFailed, match=r"^/srv/docker\.json: is a folder; left as it is\. Remove it$"):
        config_file.text()
