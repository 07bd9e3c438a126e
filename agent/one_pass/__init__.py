"""One pass: see → choose → plan → apply. All that a pass needs; not what starts one.

`reconcile` is that line, `seen` what a pass has found, `ports` what it asks for. `world` puts together what answers on
this host: `this_host`, `registries`, `local_daemon`, `local_clients`, `relay` and `pac`.
`memory` is what the agent knows from earlier passes, with `past_restarts` and with `overrides`, the pins and pauses
that a person has set. `page` words a pass for a person. Nothing is imported here, so that `status` starts at once.
"""
