"""All that is stale, in its order, with what is to be done first and what is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agent.decide.stale import Expected
from agent.decide.stale_things import Kind, Stale, stale_things
from agent.values.inventory import Inventory
from agent.values.settings import DIRECT, settings

from .test_make_again import COMPOSE, ID, IMAGE, NUMBER, inspected

URL = "http://proxy.corp.example:3128"
OFFICE = Expected(settings(URL, URL, "localhost"))
HOME = Expected(DIRECT)
OF_THE_OFFICE = [
    f"{name}={value}"
    for pair, value in ((("HTTP_PROXY", "http_proxy"), URL), (("HTTPS_PROXY", "https_proxy"), URL), (("NO_PROXY", "no_proxy"), "localhost"))
    for name in pair
]  # fmt: skip
BY_HAND = [f"HTTP_PROXY={URL}"]


def image(env: list[str], *names: str) -> Mapping[str, Any]:
    return {NUMBER: {"Id": NUMBER, "RepoTags": list(names), "Config": {"Env": env}}}


def found(
    *containers: Mapping[str, Any], images: Mapping[str, Any] | None = None, expects: Expected = OFFICE
) -> list[Stale]:
    return list(stale_things(Inventory(containers, {NUMBER: IMAGE} if images is None else images), expects, ()))


def test_what_carries_the_settings_is_not_listed() -> None:
    assert found(inspected(config={"Env": OF_THE_OFFICE})) == []
    assert found(inspected(), expects=HOME) == []


def test_those_that_run_come_first() -> None:
    down = inspected("a", State={"Running": False})

    assert [(one.name, one.is_running) for one in found(down, inspected("c"), inspected("b"))] == [
        ("b", True),
        ("c", True),
        ("a", False),
    ]


def test_the_containers_of_a_service_are_one_thing() -> None:
    made = [inspected(f"shop-web-{number}", config={"Labels": COMPOSE}) for number in (1, 2)]
    right = inspected("shop-web-3", config={"Labels": COMPOSE, "Env": OF_THE_OFFICE})

    (one,) = found(*made, right)

    assert (one.kind, one.name, one.containers) == (Kind.SERVICE, "shop/web", ("shop-web-1", "shop-web-2"))
    assert one.command.endswith("--scale web=3 web")


@pytest.mark.parametrize(
    ("name", "labels", "kind"),
    [
        pytest.param("web", {}, Kind.CONTAINER, id="container"),
        pytest.param("shop-web-run-1", {**COMPOSE, "com.docker.compose.oneoff": "True"}, Kind.ONE_OFF, id="compose-run"),
        pytest.param("app", {"devcontainer.local_folder": "/app"}, Kind.DEV_CONTAINER, id="dev-container"),
        pytest.param("app", {**COMPOSE, "devcontainer.local_folder": "/app"}, Kind.DEV_CONTAINER, id="of-compose-too"),
        pytest.param("buildx_buildkit_multi0", {}, Kind.BUILDER, id="builder"),
    ],
)  # fmt: skip
def test_what_made_a_container_is_told_by_its_labels(name: str, labels: dict[str, str], kind: Kind) -> None:
    (one,) = found(inspected(name, config={"Labels": labels}))

    assert one.kind is kind
    assert one.command


def test_a_builder_without_a_proxy_is_stale_although_no_client_gives_it_one() -> None:
    nobody = Expected(OFFICE.settings, is_given=False)

    assert [one.kind for one in found(inspected("buildx_buildkit_multi0"), inspected(), expects=nobody)] == [
        Kind.BUILDER
    ]


def test_what_its_image_sets_is_to_be_changed_there_first() -> None:
    images = image([f"HTTP_PROXY={URL}"], "corp/app:1")
    container, of_image = found(inspected(config={"Env": BY_HAND}), images=images, expects=HOME)

    assert container.first == "its image sets HTTP_PROXY: recreate the image first"
    assert (of_image.kind, of_image.name) == (Kind.IMAGE, "corp/app:1")


def test_what_its_compose_file_sets_is_to_be_changed_there_first() -> None:
    (one,) = found(inspected(config={"Labels": COMPOSE, "Env": BY_HAND}), expects=HOME)

    assert one.first == "its compose file sets HTTP_PROXY: change it there first"
    assert one.by_hand == ("HTTP_PROXY",)


@pytest.mark.parametrize(
    ("env", "names", "is_listed"),
    [
        pytest.param([f"http_proxy={URL}"], ["app:1"], True, id="of-another-place"),
        pytest.param([], ["app:1"], False, id="none"),
        pytest.param(["http_proxy="], ["app:1"], False, id="emptied"),
        pytest.param([f"http_proxy={URL}"], [], False, id="without-a-name"),
        pytest.param([f"http_proxy={URL}"], ["<none>:<none>"], False, id="dangling"),
    ],
)
def test_an_image_is_listed_for_the_proxy_that_it_carries(env: list[str], names: list[str], is_listed: bool) -> None:
    listed = found(images=image(env, *names), expects=HOME)

    assert [one.kind for one in listed] == [Kind.IMAGE] * is_listed


@pytest.mark.parametrize(
    ("size", "lost"),
    [
        pytest.param(None, ("what it wrote outside its volumes",), id="not-known"),
        pytest.param(0, (), id="nothing"),
        pytest.param(999, ("999 bytes that it wrote outside its volumes",), id="bytes"),
        pytest.param(1_234_567, ("1.2 MB that it wrote outside its volumes",), id="megabytes"),
    ],
)
def test_what_is_lost(size: int | None, lost: tuple[str, ...]) -> None:
    (one,) = found({**inspected(), **({} if size is None else {"SizeRw": size})})

    assert one.lost == lost


def test_the_exclusions_that_a_person_set_are_lost() -> None:
    env = [*OF_THE_OFFICE[:4], "NO_PROXY=db", "no_proxy=localhost"]
    (one,) = found(inspected(config={"Env": env}, SizeRw=0), expects=HOME)

    assert one.lost == ("the no_proxy entries that were set by hand",)


@pytest.mark.parametrize(
    ("asks", "dns", "is_listed"),
    [
        pytest.param(("10.20.0.1",), ("10.10.0.1",), True, id="another-network"),
        pytest.param(("10.10.0.1",), ("10.10.0.1",), False, id="this-one"),
        pytest.param(("10.10.0.1", "10.10.0.2"), ("10.10.0.2", "10.10.0.1"), False, id="in-another-order"),
        pytest.param(("10.10.0.1",), ("10.10.0.1", "fd00::1"), False, id="without-ipv6"),
        pytest.param(("10.20.0.1",), (), False, id="not-known-here"),
        pytest.param((), ("10.10.0.1",), False, id="not-known-there"),
    ],
)
def test_dns_of_another_network(asks: tuple[str, ...], dns: tuple[str, ...], is_listed: bool) -> None:
    inventory = Inventory((inspected(),), {}, {ID: asks})

    listed = list(stale_things(inventory, HOME, dns))

    assert [one.kind for one in listed] == [Kind.NAME_SERVERS] * is_listed
    assert all((one.command, one.name_servers) == ("docker restart web", asks) for one in listed)
