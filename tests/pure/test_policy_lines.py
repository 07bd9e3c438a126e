"""What changed in a policy, as a person reads it in the log."""

from __future__ import annotations

from agent.values.policy_lines import MOST, difference, lines_of
from agent.values.policy_parts import Part

BEFORE = """
# password hunter2
[upstream.corp]
url = "http://proxy.corp.example:3128"  # theirs
username = "token-4711"
[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = ["corp", "direct"]
[[network]]
use = ["direct"]
"""


def lined(text: str) -> tuple[str, ...]:
    """With a digest that shows how long the value was."""
    return lines_of([Part(text)], lambda value: f"d{len(value)}")


def test_each_value_is_a_line_and_neither_comments_nor_users_are_shown() -> None:
    assert lined(BEFORE) == (
        'upstream.corp.url = "http://proxy.corp.example:3128"',
        "upstream.corp.username = ••• #d12",
        'network.1.name = "office"',
        "network.1.match.gateway = ••• #d13",
        'network.1.use = ["corp", "direct"]',
        'network.2.use = ["direct"]',
    )


def test_what_was_changed_is_said_and_layout_is_no_change() -> None:
    after = BEFORE.replace('["corp", "direct"]', '["corp"]').replace("# theirs", "")
    laid_out = BEFORE.replace("\n", "\n\n").replace('match.gateway = ["10.10.0.1"]', 'match = {gateway=["10.10.0.1"]}')

    assert difference(lined(BEFORE), lined(after)) == (
        '-network.1.use = ["corp", "direct"]',
        '+network.1.use = ["corp"]',
    )
    assert difference(lined(BEFORE), lined(laid_out)) == ()


def test_that_a_user_or_a_place_changed_is_said_and_not_to_what() -> None:
    after = BEFORE.replace("token-4711", "token-47111").replace("10.10.0.1", "10.10.0.111")

    assert difference(lined(BEFORE), lined(after)) == (
        "-upstream.corp.username = •••",
        "-network.1.match.gateway = •••",
        "+upstream.corp.username = •••",
        "+network.1.match.gateway = •••",
    )


def test_a_policy_that_is_another_altogether_is_cut() -> None:
    found = difference((), [str(number) for number in range(MOST + 7)])

    assert len(found) == MOST + 1
    assert found[-1] == "… and 7 more"
