"""One pass: see → choose → plan → apply. All that a pass needs; not what starts one.

`reconcile` is that line, `seen` what a pass has found, `ports` what it asks for. `world` puts together who answers on
this host: `this_host`, `registries`, `local_daemon`, `local_clients`, `relay` and `pac`.
`memory` is what the agent knows from earlier passes, with `past_restarts` and with `overrides`, what a person has laid
down. `page` says how a pass reads. Nothing is imported here, so that `status` starts at once.
"""
