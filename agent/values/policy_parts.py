"""One policy that is written in several files: config.toml and those of config.d.

Pure: the texts go in, in the order in which they count, one document comes out, with the file that each table is from.
Upstreams are put together, networks are lined up, and every other table stands in one file alone.
Not known here: what a table means (`policy_text.py`), and which files there are (`system/policy_file.py`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from agent.values.policy import Problems
from agent.values.remark import Remark

UPSTREAM: Final = "upstream"
NETWORK: Final = "network"


class Part(msgspec.Struct, frozen=True):
    """One file of a policy."""

    text: str
    file: str = ""


class Spot(msgspec.Struct, frozen=True):
    """Where a network is written."""

    file: str
    number: int  # in that file, from 1

    def label(self, name: str) -> str:
        """How the network is called in a line about its file."""
        return f"network {self.number} ({name})" if name else f"network {self.number}"


class Origins(msgspec.Struct, frozen=True):
    """Which file each upstream, each network and each other table is from."""

    files: tuple[str, ...] = ()
    upstreams: Mapping[str, str] = {}
    networks: tuple[Spot, ...] = ()  # in the order in which they are tried
    tables: Mapping[str, str] = {}

    def spot(self, number: int) -> Spot:
        """Of a network, by its place in the whole policy, from 1."""
        return self.networks[number - 1] if number <= len(self.networks) else Spot("", number)


NO_ORIGINS: Final = Origins()


class Joined(msgspec.Struct, frozen=True):
    """The document that all files are together; without what keeps them from being one, which `problems` names."""

    document: Mapping[str, Any]
    origins: Origins
    problems: tuple[Remark, ...] = ()


def join(parts: Sequence[Part]) -> Joined | Problems:
    """One document; or which of the files are none."""
    read = [_read(part) for part in parts]
    broken = tuple(one for one in read if isinstance(one, Remark))
    if broken:  # without what stands in these, the rest would be judged wrongly
        return Problems(broken)
    joining = _Joining()
    for part, document in zip(parts, read, strict=True):
        assert not isinstance(document, Remark)  # noqa: S101 - there is none: see above
        joining.add(part.file, document)
    return joining.joined(parts)


def documents(parts: Sequence[Part]) -> Iterator[tuple[str, dict[str, Any]]]:
    """File and document of each part of a valid policy."""
    for part in parts:
        yield part.file, tomllib.loads(part.text)


def _read(part: Part) -> dict[str, Any] | Remark:
    try:
        document = tomllib.loads(part.text)
        has_nul = "\0" in str(document) or "\\x00" in str(document)
    except tomllib.TOMLDecodeError as error:
        # Not the line itself: it may hold a password, and everybody may read `status`.
        hint = "; a text stands in quotes, and true and false have no capitals" if "Invalid value" in str(error) else ""
        return Remark(f"not TOML: {error}{hint}", part.file)
    except ValueError:  # a number of thousands of digits
        return Remark("not a policy: it contains a number that is too long", part.file)
    except RecursionError:
        return Remark("not a policy: nested too deeply", part.file)
    if has_nul:
        return Remark("not a policy: it contains a NUL character", part.file)
    return document


class _Joining:
    """Files put together one after the other."""

    def __init__(self) -> None:
        self._problems: list[Remark] = []
        self._document: dict[str, Any] = {}
        self._upstreams: dict[str, Any] = {}
        self._networks: list[Any] = []
        self._tables: dict[str, str] = {}
        self._upstream_files: dict[str, str] = {}
        self._spots: list[Spot] = []

    def add(self, file: str, document: dict[str, Any]) -> None:
        for name, value in document.items():
            if name == UPSTREAM:
                self._add_upstreams(file, value)
            elif name == NETWORK:
                self._add_networks(file, value)
            elif name in self._document:
                self._problems.append(
                    Remark(f"{name}: is also in {self._tables[name]}; keep all of it in one file", file)
                )
            else:
                self._document[name], self._tables[name] = value, file

    def _add_upstreams(self, file: str, value: object) -> None:
        if not isinstance(value, dict):
            self._problems.append(Remark("upstream: expected tables, such as [upstream.corp-proxy]", file))
            return
        for name, table in value.items():
            if name in self._upstreams:
                self._problems.append(
                    Remark(f"upstream.{name}: is also in {self._upstream_files[name]}; use another name", file)
                )
                continue
            self._upstreams[name], self._upstream_files[name] = table, file

    def _add_networks(self, file: str, value: object) -> None:
        if not isinstance(value, list):
            self._problems.append(Remark("network: expected [[network]], with double brackets", file))
            return
        self._networks += value
        self._spots += [Spot(file, number) for number in range(1, len(value) + 1)]

    def joined(self, parts: Sequence[Part]) -> Joined:
        return Joined(
            {**self._document, UPSTREAM: self._upstreams, NETWORK: self._networks},
            Origins(
                files=tuple(part.file for part in parts),
                upstreams=self._upstream_files,
                networks=tuple(self._spots),
                tables=self._tables,
            ),
            tuple(self._problems),
        )
