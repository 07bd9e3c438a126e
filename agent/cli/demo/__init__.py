"""A laptop that roams, on loopback and in a temporary directory, for a look before installing.

    command      `demo` itself
    roam         the journey: each place in turn, a pull, a pass, a pull
    places       where it goes: what the laptop sees there, and where names lead               simulated
    names        the name look-up: one file that the prober and the engine both use            simulated
    engine       what stands in for dockerd: reads daemon.json only when it starts             simulated
    supervisor   what stands in for systemd: starts the engine and restarts it when asked      simulated
    restart      what `docker.restart_command` runs: asks the supervisor
    pull         `docker pull`, by the engine's API
    servers      a registry, proxies and a portal, on loopback
    root         the temporary directory: policy, password, daemon.json
    stop         what happened at one place                                      values
    check        whether every pass ended as it should                                          pure

Everything else is the real agent. A new place is a function in `places`, a step in `roam` and a row in `check`.
"""
