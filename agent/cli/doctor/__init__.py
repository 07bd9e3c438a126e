"""`doctor`: what stands in the way of a pull, where it is, why it matters, and the command that helps.

`look.py` is all that looks, with `look_by_a_pass.py`, `look_at_units.py` and `look_at_proxies.py`, and records what it
saw as values. Each other file is one subject: what is recorded for it, and a pure `judge` over that. A new subject: a
file here with `judge`, a field in `Facts` in `facts.py`, a line in `judged` there, and a reader in the `look` that it
belongs to. `finding.py` lists the codes.
"""
