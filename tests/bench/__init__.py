"""How fast, how small: `make bench` measures each goal and writes docs/measurements.md. No part of `make test`.

    row         what one number is, and the table they make
    figures     medians; what the kernel counts of a process
    at_work     the laptop of tests/machine with the agent under its unit, and Docker asked without detour
    __main__    runs the subjects, as often as asked for, and writes the table

A subject is a file with `rows(world)`, which sets up, measures once, and says where the time goes:

    roams        route change to dockerd's right answer, in both directions, against a bare restart
    relay_roams  route change to the first new connection through the relay that goes the right way
    survivors    containers across a restart, against a bare restart that kills them
    memory       resident memory after a hundred probes and ten roams
    idle         a minute in which nothing happens
    storm        a minute in which containers come and go
    decision     a thousand networks, two hundred upstreams
    black_holes  fifty upstreams, one of which answers
    commands     status, check, --help
    records      questions to a hundred megabytes of audit log
    relay        the relay beside tinyproxy and px

Machines differ and are noisy: what can be a ratio against a baseline of the same run is one. A new subject is a file
here and a line in SUBJECTS.
"""
