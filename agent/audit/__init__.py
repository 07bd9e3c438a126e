"""The audit log: what happened and why, in a chain of records that nobody changes unseen.

`log` appends, `verify` looks whether anything was changed since, and both go by `chain` (one record as a line),
`files` (which files there are and how they end) and `anchor` (the end of the chain, kept elsewhere). `facts` says
what may stand in a record. A new thing that can happen is a member of `agent.values.events.Event`; a new type of fact
is a case in `facts.plain`.
"""
