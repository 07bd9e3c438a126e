"""How a command prints facts for programs."""

from __future__ import annotations

import json


def print_json(facts: object) -> None:
    print(json.dumps(facts, indent=2, ensure_ascii=False))
