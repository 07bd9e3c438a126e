"""The unit's drop-in, and the file with the values that it names.

Pure. The drop-in is constant, so that new settings need no `daemon-reload`; the values lie in a file of their own,
which can be 0600: whatever stands in a unit any user can read (FACTS 10, 11).
Not known here: where the files lie and whether systemd has read the drop-in.
"""

from __future__ import annotations

from typing import Final

from agent.targets import environment, for_dockerd
from agent.values.settings import Settings, Texts

_DROP_IN: Final = """\
# Written by docker-proxy-agent: it keeps Docker's proxy right while this machine moves between networks.
# The values are in the file below, which overrides every EnvironmentFile= and Environment= before it.
# To get rid of it: delete this file, then: {systemctl} daemon-reload && {systemctl} restart docker
[Service]
EnvironmentFile=-{path}
"""


def drop_in(values_file: str, systemctl: str = "systemctl") -> str:
    """The drop-in that names a file with the values; "-", or a missing file leaves Docker failed (FACTS 11)."""
    return _DROP_IN.format(path=values_file.replace("%", "%%"), systemctl=systemctl)


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
