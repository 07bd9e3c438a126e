"""One pass: see → choose → plan → apply. All that a pass needs; not what starts one.

`reconcile` is that line. It takes a `look`, which changes nothing of Docker's, once the network stands still
(`at_rest`), and carries out what that has planned. A look's steps hand on `here`; they are `docker_now`, `leading`,
which tells the relay, `weighing`, which plans, and `clients_now`. `following` leads the relay while Docker is
restarted. `records` has what a pass writes into the log, `seen` what it has found, `ports` what it asks for. `world`
puts together what answers on this host: `this_host`, `registries`, `local_daemon`, `local_clients`, `relay` and `pac`.
`memory` is what the agent knows from earlier passes, with `past_restarts` and with `overrides`, the pins and pauses
that a person has set. `page` words a pass for a person. Nothing is imported here, so that `status` starts at once.
"""
