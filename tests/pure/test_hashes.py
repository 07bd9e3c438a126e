"""No hash without a key of anything that may hold a secret: whoever has one tries passwords until it fits."""

from __future__ import annotations

import re
from pathlib import Path

AGENT = Path(__file__).parents[2] / "agent"
# Who hashes, and what. Whatever may hold a secret goes through `keyed`.
HASHES = {
    "audit/chain.py": "the bytes of a redacted record, which stand beside their hash",
    "audit/logs.py": "the name of an event: its MESSAGE_ID",
    "audit/about_the_log.py": "what is left of such a line, and stands in the same file",
    "cli/demo/engine.py": "an image of the demo's own",
    "cli/demo/servers.py": "an image of the demo's own",
    "cli/install/product.py": "the code of this package",
    "system/keyed.py": "with the key",
    "system/policy_file.py": "a valid policy, which holds no password",
    "values/snapshot.py": "interfaces, addresses and names of the network: no policy's values, no credentials",
}


def test_who_hashes_is_known() -> None:
    hashing = re.compile(r"^\s*(?:import|from) (?:hashlib|hmac|zlib|binascii)\b|\bcrc32\b", re.MULTILINE)
    found = {str(file.relative_to(AGENT)) for file in AGENT.rglob("*.py") if hashing.search(file.read_text())}

    # `marks` compares two digests of `keyed`, and hashes nothing.
    assert found - {"docker/marks.py"} == set(HASHES)
    assert "hashlib" not in (AGENT / "docker/marks.py").read_text()
