"""`doctor`: what stands in the way of a pull, where it is, why it matters, and the command that helps.

`look.py` is all that looks, and records what it saw as values. Each other file is one subject: what is recorded for it,
and a pure `judge` over that. A new subject: a file here with `judge`, a field in `Facts` in `facts.py`, a line in
`judged` there, and a reader in `look.py`. `finding.py` lists the codes.
"""
