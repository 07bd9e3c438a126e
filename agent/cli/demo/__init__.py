"""A laptop that roams, on loopback and in a throw-away root, for somebody who wants to see before installing.

    roam         the journey: each place in turn, a pull, a pass, a pull
    places       where it goes: what the laptop sees there, and what names mean there          simulated
    names        the name look-up, one file that the prober and the engine both go by          simulated
    engine       what stands in for dockerd: reads daemon.json only when it starts             simulated
    supervisor   what stands in for systemd: starts the engine and restarts it when asked      simulated
    restart      what `docker.restart_command` runs: asks the supervisor
    pull         `docker pull`, by the engine's API
    servers      a registry, proxies and a portal, on loopback
    root         the throw-away root: policy, password, daemon.json
    stop         what happened at one place                                      values
    check        whether every pass ended as it must                                            pure

Everything else is the agent itself. A new place is a function in `places`, a step in `roam` and a row in `check`.
"""
