"""The second process: Docker and containers have one constant address, and the upstream is switched behind it.

It runs as an unprivileged user, because it parses what containers send. The agent gives it the upstreams in a file, and
it reports on itself in another one (`values/relay.py`). The agent imports nothing from here, and this folder imports
only what is below it: `audit/`, `probe/`, `see/`, `system/` and `values/`.

    conversation     one client's connection: its bytes become what it asks for, and our answer becomes bytes  pure
    outward          the other side of a request: what a server or an upstream is sent, and what it answers    pure
    strict           what a proxy must not let pass, though it may look like HTTP                              pure
    chunks           a body in chunks, before h11 reads it: one chunk at a time                                pure
    headers          which headers go on                                                                       pure
    veil             our password for a proxy, overwritten in that proxy's answers                             pure
    refusals         what is answered instead, and what to do about it                                         pure
    client           the client's socket
    forward          requests for whole URLs on one client's connection, and their answers
    process          what the unit starts: the sockets that it is given, signals, the end
    serving          whoever connects: let in or not, and given a task
    visit            one client's connection, from its first byte to the line in the log
    carried          a way that is open for it: counted, and ended if it must be
    arrivals         who is served first when many come at once                                                pure
    by_source        a queue in which sources take turns                                                       pure
    turns            whose turn it is among connections that all have something to do
    rounds           how long each round of the loop may take with what it carries
    orders_file      what the agent says, read again when it changes
    who              who may use it
    aside            what the kernel is asked that it may be long about
    where            where a container may not go                                                              pure
    own_pages        pages that a proxy answers itself, for this host and not for containers                   pure
    ways             the ways that the orders allow to a host, in order                                        pure
    by_pac           asks the PAC in the orders which ways lead to a host
    names            how a name is looked up
    open             a connection to host:port by the orders: the first upstream, and once the next one
    pump             bytes between two sockets, without a copy
    pour             a known number of bytes, one way, without a copy: the rest of a large body
    draining         what ends an open connection: its address is gone, it is idle, nobody is there any more
    weight           which of them hold too much memory of the kernel's
    limits           how many connections there may be, and of whom                                            pure
    used_ports       how many are opened to one place for containers                                           pure
    tally            what it has done so far
    noted            what is said of it in the journal, once a minute
    state_file       when it says so
    connections_log  who went where, if that is asked for
"""
