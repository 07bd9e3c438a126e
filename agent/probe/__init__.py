"""Probing: a real request to a registry through an upstream becomes a `Verdict`.

    side_by_side     the upstreams of a network, in order of preference
    probe            one upstream: a request to each registry, and what to make of how it went
    through_proxy    CONNECT and SOCKS5, and what a proxy's refusal means: 407, 403, 502        pure
    registry_answer  what a registry's answer means, and a 407 to a whole URL                   pure
    private          registries with private addresses that the upstream does not lead to
    no_proxy         which hosts dockerd goes to directly                                       pure
    stream           bytes to host:port through an upstream
    exchange         one HTTP request and the head of its answer                                pure
    redirect         where a redirect leads                                                     pure
    dial             a name becomes a connected socket
    without_netlink  a look-up that asks the kernel nothing of its interfaces
    reading          bytes of a socket, after everybody else has had a turn
    guard            whose listener a proxy on loopback must be
    login            a password that several proxies may have is tried at one of them first
    on_their_way     passwords that were sent, of which it is not known yet whether they are taken
    listens          whether anybody listens at a local address
    race             who starts when, and when it is decided
    tls              whom a registry's certificate must be signed by
    der              whose a certificate is, and who signed it                                  pure
    pac              what a PAC script says of a host, asked of the process that evaluates it
    pac_program      that process, as it is started
    pac_fetch        a PAC file, from a server or a file
    stopwatch        which step is under way, and how long each took

What is pure is tested by transcripts in tests/pure, the rest against real servers in tests/loopback. A new kind of
upstream is a dialogue in `through_proxy` and a scheme in `settings`.
"""
