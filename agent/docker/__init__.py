"""dockerd: looked at, and changed.

`look` puts a `Reality` together from what dockerd reports over its socket (`engine`), its unit in systemd (`unit`), its
process's flags and environment (`process`), and whatever overrides the agent's drop-in (`overruling`). `glance` tells
for next to nothing whether anything has moved since.

`transaction` writes, restarts and verifies (`confirming`), or goes back (`roll_back`). Each step is in the `journal`
before it is taken, so that `recover` can finish or undo what an agent left that died in the middle. A restart that
containers must survive goes through `live_restore`, and they are `counted` before it and after it. What is remembered
between passes has a file each: `last_good`, `originals`, `marks`, `quarantine`. `news` says which starts and stops are
not in the audit log yet.

Where dockerd stands is told by `vantage`; if it is in a network of its own, `inside` asks and connects from there, by a
process that enters it (`inside_helper`).

What these ask of the world is in `ports`: a supervisor is systemd (`unit`) or a command of the policy
(`restart_command`). A newcomer reads `transaction.Transaction._restart` first, then `journal.Stage`.
Not known here: what is to be written and when a restart is due (`decide/`), and the clients' files.
"""
