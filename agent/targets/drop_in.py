"""The unit's drop-in, and the file with the values that it names.

Pure. The drop-in is constant, so that new settings need no `daemon-reload`; the values lie in a file of their own,
which can be 0600: whatever stands in a unit any user can read (FACTS 10, 11).
Not known here: where the files lie and whether systemd has read the drop-in.
"""

from __future__ import annotations

from typing import Final

from agent.targets import environment, for_dockerd
from agent.values.settings import Settings, Texts

_BY_US: Final = "# Written by docker-proxy-agent"
_DROP_IN: Final = f"""\
{_BY_US}: it keeps Docker's proxy right while this machine moves between networks.
# The values are in the file below, which overrides every EnvironmentFile= and Environment= before it.
# To get rid of it: delete this file, then: {{systemctl}} daemon-reload && {{systemctl}} restart docker
[Service]
EnvironmentFile=-{{path}}
"""


def drop_in(values_file: str, systemctl: str = "systemctl") -> str:
    """The drop-in that names a file with the values; "-", or a missing file leaves Docker failed (FACTS 11)."""
    return _DROP_IN.format(path=values_file.replace("%", "%%"), systemctl=systemctl)


def is_ours(text: str, values_file: str) -> bool:
    """Whether nobody has added a setting. The comments of another version of the agent say the same in other words."""
    return text.startswith(_BY_US) and _settings(text) == _settings(drop_in(values_file))


def _settings(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip() and not line.startswith(("#", ";"))]


_HEAD: Final = "# Written by docker-proxy-agent; changes are overwritten. Empty values mean: no proxy.\n"


def edit(settings: Settings) -> str:
    """The file with the values: all six names, for an empty one hides what other files set (FACTS 11)."""
    texts = for_dockerd.as_written(settings)
    values = (
        (environment.HTTP, texts.http),
        (environment.HTTPS, texts.https),
        (environment.NO_PROXY, texts.no_proxy),
    )
    lines = (f"{name}={environment.quoted(value)}\n" for names, value in values for name in names)
    return _HEAD + "".join(lines)


def read(text: str) -> Texts:
    """What dockerd gets from a file with the values."""
    return environment.texts(environment.parse(text))
