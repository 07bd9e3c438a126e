"""What a record says of where the laptop is."""

from __future__ import annotations

from pathlib import Path

from msgspec import UNSET

from agent.one_pass.places import Places
from agent.system.state_file import StateFile
from agent.values.events import InterfaceSeen
from agent.values.policy import Places as Kept
from agent.values.snapshot import Interface, Snapshot


def at(gateway: str, ssid: str = "Guests") -> Snapshot:
    wlan = Interface(
        "wlan0", ssid=ssid, ipv4=("10.0.0.7/24",), gateways=(gateway,), gateway_macs=("02:00:00:00:00:01",)
    )
    return Snapshot((wlan, Interface("eth0", has_carrier=False)))


def test_two_places_are_two_and_each_is_new_once(tmp_path: Path) -> None:
    places = Places(tmp_path)

    seen = [places.seen(at(gateway)) for gateway in ("10.0.0.1", "10.0.0.2", "10.0.0.1")]

    assert seen[0].place == seen[2].place != seen[1].place
    assert [one.is_new for one in seen] == [True, True, False]
    assert Places(tmp_path).seen(at("10.0.0.2")).is_new is False  # also after a restart of the agent


def test_all_that_is_known_of_a_place_is_said(tmp_path: Path) -> None:
    seen = Places(tmp_path).seen(at("10.0.0.1"))

    assert seen.fingerprint == at("10.0.0.1").fingerprint()
    assert seen.interfaces == (
        InterfaceSeen(
            name="wlan0",
            ssid="Guests",
            gateways=("10.0.0.1",),
            gateway_macs=("02:00:00:00:00:01",),
            addresses=("10.0.0.7/24",),
        ),
    )


def test_by_names_only_that_it_is_the_same_place_is_said_and_nobody_else_can_tell(tmp_path: Path) -> None:
    places, elsewhere = Places(tmp_path / "a"), Places(tmp_path / "b")
    places.kept = elsewhere.kept = Kept.NAMES

    seen = places.seen(at("10.0.0.1"))

    assert (seen.fingerprint, seen.interfaces) == (UNSET, UNSET)
    assert seen.place == places.seen(at("10.0.0.1")).place
    assert seen.place != elsewhere.seen(at("10.0.0.1")).place  # the key is of one state directory


def test_older_records_do_not_tell_where_a_place_is_that_is_only_named_now(tmp_path: Path) -> None:
    places = Places(tmp_path)
    before = places.seen(at("10.0.0.1"))
    places.kept = Kept.NAMES

    assert places.seen(at("10.0.0.1")).place != before.place


def test_a_damaged_file_is_written_anew(tmp_path: Path) -> None:
    Places(tmp_path).seen(at("10.0.0.1"))
    (tmp_path / "places.json").write_text("{")

    assert [Places(tmp_path).seen(at("10.0.0.1")).is_new for _ in range(2)] == [True, False]


def test_on_a_full_disk_the_rest_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")

    seen = Places(tmp_path / "state").seen(at("10.0.0.1"))

    assert (seen.place, seen.is_new) == (UNSET, UNSET)
    assert seen.interfaces


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "places.json", list[str], 1)
    file.save([f"{number:016x}" for number in range(500)])

    here = Places(tmp_path).seen(at("10.0.0.1"))

    assert file.load() == [*(f"{number:016x}" for number in range(1, 500)), here.place]
