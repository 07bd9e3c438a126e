"""Probing: a real request to a registry through an upstream becomes a `Verdict`.

    side_by_side   the upstreams of a network, in order of preference
    probe          one upstream: which way to each registry, and what to make of how it went
    answer         what a registry's answer means                                           pure
    no_proxy       which hosts dockerd goes to directly                                     pure
    stream         bytes to host:port through an upstream; serves the relay as well
    handshake      CONNECT and SOCKS5                                                       pure
    exchange       one HTTP request and the head of its answer                              pure
    redirect       where a redirect leads                                                   pure
    dial           a name becomes a connected socket
    race           who starts when, and when it is decided
    tls            whom a registry's certificate must be signed by
    der            whose a certificate is, and who signed it                                pure
    stopwatch      which step is under way, and how long each took

What is pure is tested by transcripts in tests/pure, the rest against real servers in tests/loopback. A new kind of
upstream is a dialogue in `handshake` and a scheme in `settings`.
"""
