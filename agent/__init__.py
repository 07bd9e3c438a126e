"""docker-proxy-agent: keeps Docker's proxy settings right while the machine moves between networks.

One pass reads wake → see → probe → choose → plan → apply → record; `one_pass.reconcile` is that line.

    cli        a file for each command: reads arguments, asks one thing, prints
    service    the running agent: woken, asked, shown
    one_pass   see → choose → plan → apply, and what the agent remembers of it
    docker     dockerd looked at and changed
    clients    people's config.json, as the people whose it is
    relay      the second process: one constant address, and the upstream switched behind it
    pac        a third process, without any rights: it evaluates a script of the network
    decide     values in, a value with its reason out                                       pure
    audit      what is written down
    targets    how each place spells the settings: text in, text out                        pure
    see        the host's network becomes a Snapshot
    probe      an upstream becomes a Verdict
    system     what the operating system gives: files, clocks, processes, locks
    values     what all of them talk about                                                  pure

Imports point down; docker, clients, relay and pac, decide and audit, and see, probe and system do not know each other.
What is pure knows no clock, file, network or process. tests/pure/test_house.py keeps it so.
"""

__version__ = "0.1.0"
