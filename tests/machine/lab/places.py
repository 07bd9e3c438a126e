"""Where the laptop goes: a home and a café and an office, and the internet behind them.

    internet   10.99.0.0/24    registry.example is 10.99.0.10; so is Docker Hub (registry-1.docker.io)
    home       10.20.0.0/24    NAT; direct works
    office     10.10.0.0/24    no way out but the proxies on 10.10.0.2 (proxy.corp.example); a PAC file at
                               pac.corp.example, and where WPAD looks for one
    guest      10.10.0.0/24    NAT; direct works; a stranger sits where the office has its proxies
    cafe       10.30.0.0/24    a portal; direct works once it is passed. Whoever asks for `wpad` gets a PAC file that
                               names a stranger on 10.30.0.1
    campus     fd00:40::/64    IPv6 and nothing else; direct works, and so does a proxy on ::2

In each the gateway and the DNS server are .1 and the laptop gets .100 (on the campus ::1 and ::100).
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .authority import ca_file, issue
from .ground import Ground, Server

REGISTRY = "registry.example"
HUB = "registry-1.docker.io"
IMAGE = f"{REGISTRY}/busybox:latest"
HUB_IMAGE = "busybox:latest"
GUARDED_PORT, TOKENS_PORT = 5000, 8443
GUARDED = f"{REGISTRY}:{GUARDED_PORT}"
TOKENS = f"auth.example:{TOKENS_PORT}"
ALICE = "alice"
# Everything that some reader of a URL, a file or a shell takes for something else.
PASSWORD = "p@ss:w%rd$x \"q'#/?\\"
HERE = Path(__file__).parent
# A proxy's log in, the host:port of each request that was let through out.
Asked = Callable[[str], list[str]]


class Proxy:
    """A proxy and what was asked of it."""

    def __init__(self, server: Server, url: str, asked: Callable[[str], list[str]], user: str = "") -> None:
        self._server, self._asked, self._mark = server, asked, 0
        self.user, self.password = user, PASSWORD if user else ""
        self.url = url
        at = f"{quote(user, safe='')}:{quote(PASSWORD, safe='')}@" if user else ""
        self.url_with_password = url.replace("://", f"://{at}")
        # As /info on Docker's socket shows it.
        self.url_reported = url.replace("://", "://xxxxx:xxxxx@") if user else url

    def log(self) -> list[str]:
        """The host:port that clients were let through to since the test began, or since `forget`."""
        return self._asked(self.log_text())

    def log_text(self) -> str:
        return self._server.log_file.read_bytes()[self._mark :].decode(errors="replace")

    def forget(self) -> None:
        self._mark = self._server.log_file.stat().st_size

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()

    def freeze(self) -> None:
        """Until `start`: it accepts connections, and hangs."""
        self._server.freeze()


class Internet:
    def __init__(self, scratch: Path, busybox: Path) -> None:
        self.ground = Ground("internet")
        # With an address of its own: else it takes the lowest of its ports', and whoever asked before one was added
        # goes on to speak to nobody.
        self.ground.sh("""
            ip link add net type bridge; ip link set net address 02:00:0a:63:00:01; ip link set net up
            ip address add 10.99.0.1/24 dev net; ip address add 10.99.0.10/24 dev net
            ip address add fd00:99::1/64 dev net nodad; ip address add fd00:99::10/64 dev net nodad
        """)
        names = [f"--address=/{name}/10.99.0.10" for name in (REGISTRY, HUB, "mirror.example", "auth.example")]
        self.dns = serve_dns(self.ground, scratch, "10.99.0.1", [*names, "--address=/#/"])
        certificate, key = issue(scratch, REGISTRY, HUB, "mirror.example", "auth.example", "10.99.0.10")
        config = scratch / "registry.yml"
        # Not in memory: there it copies all that it has of a layer for each piece, 90 s for 100 MB.
        kept = scratch / "registry"
        basics = (
            "version: 0.1\nlog: {accesslog: {disabled: false}, level: warn}\n"
            f"storage: {{filesystem: {{rootdirectory: {kept}}}}}\n"
        )
        tls = f"tls: {{certificate: {certificate}, key: {key}}}"
        config.write_text(f"{basics}http: {{addr: ':443', {tls}}}\n")
        # Any token will do there.
        self._door = scratch / "door.yml"
        self._door.write_text(
            f"{basics}http: {{addr: ':{GUARDED_PORT}', {tls}}}\n"
            f"auth: {{silly: {{realm: 'https://{TOKENS}/token', service: lab}}}}\n"
        )
        self._scratch = scratch
        self._keys, self._has_guarded_door = (certificate, key), False
        self._registry = self.ground.serve(["docker-registry", "serve", str(config)], scratch / "registry.log", [443])
        resolve_by(self.ground, scratch, "10.99.0.1")
        self._busybox = busybox
        self.put_images("busybox", "library/busybox")
        self._mark = 0
        self.files = scratch / "web"  # what http://10.99.0.10 has
        self.files.mkdir()
        (self.files / "hello").write_text("hello from the internet\n")
        module = [sys.executable, "-m", "http.server", "--protocol", "HTTP/1.1"]  # which keeps connections
        server = [*module, "--bind", "10.99.0.10", "--directory", str(self.files), "80"]
        self.web = self.ground.serve(server, scratch / "web.log", [80])

    def open_guarded_door(self) -> None:
        """To the same registry: GUARDED, which lets nobody in without a token. TOKENS gives one to everybody."""
        if not self._has_guarded_door:
            self._has_guarded_door = True
            serve = ["docker-registry", "serve", str(self._door)]
            self.ground.serve(serve, self._scratch / "door.log", [GUARDED_PORT])
            tokens = [sys.executable, str(HERE / "tokens.py"), "10.99.0.10", str(TOKENS_PORT), *map(str, self._keys)]
            self.ground.serve(tokens, self._scratch / "tokens.log", [TOKENS_PORT])

    def put_images(self, *names: str) -> None:
        """Into the registry, as `images.py` takes them."""
        self.ground.python(HERE / "images.py", str(self._busybox), str(ca_file()), REGISTRY, *names)

    def requests(self) -> list[str]:
        """What the registry was asked since the test began: "ADDRESS METHOD PATH"."""
        lines = self._registry.log_file.read_bytes()[self._mark :].decode(errors="replace").splitlines()
        words = [line.split() for line in lines if " HTTP/" in line]
        return [f"{word[0]} {word[5].lstrip(chr(34))} {word[6]}" for word in words if word[5].startswith('"')]

    def stop_registry(self) -> None:
        self._registry.stop()

    def reset(self) -> None:
        self._mark = self._registry.log_file.stat().st_size


class Place:
    """A network that a laptop can be plugged into."""

    NETWORK = ""
    WAN = ""
    SEARCH = ""
    MAC = "02:00"  # what its gateway's begins with

    def __init__(self, internet: Internet, scratch: Path) -> None:
        scratch.mkdir()
        self.name = type(self).__name__.lower()
        self.scratch = scratch
        self.dns_log = scratch / "dnsmasq.log"
        self.gateway = f"{self.NETWORK}.1"
        self.gateway_mac = f"{self.MAC}:" + ":".join(f"{int(part):02x}" for part in self.gateway.split("."))
        self.laptop_address = f"{self.NETWORK}.100"
        self.resolv_conf = (f"search {self.SEARCH}\n" if self.SEARCH else "") + f"nameserver {self.gateway}\n"
        self.ground = Ground(self.name)
        self.ground.sh(f"""
            ip link add lan type bridge; ip link set lan address {self.gateway_mac}; ip link set lan up
            ip address add {self.gateway}/24 dev lan
            ip link add wan type veth peer name {self.name} netns {internet.ground.pid}
            ip address add {self.WAN}/24 dev wan; ip link set wan up; ip route add default via 10.99.0.1
        """)
        internet.ground.sh(f"ip link set {self.name} master net; ip link set {self.name} up")
        self.ground.files("echo 1 >/proc/sys/net/ipv4/ip_forward")
        resolve_by(self.ground, scratch, "10.99.0.1")

    @property
    def lease(self) -> str:
        """What the laptop gets here, as a script for its wlan0."""
        return f"""
            ip address add {self.laptop_address}/24 dev wlan0
            ip route add default via {self.gateway} dev wlan0
        """

    def forward(self, *rules: str) -> None:
        """Which packets of the laptop go on to the internet; the DNS server of the place before says no at once."""
        first = "-p udp --dport 53 -j REJECT --reject-with icmp-port-unreachable"
        self.ground.sh(
            "; ".join(["iptables -F FORWARD", *(f"iptables -A FORWARD -i lan {rule}" for rule in (first, *rules))])
        )

    def names_asked(self) -> set[str]:
        """What the DNS server of the place was asked for since the laboratory was made."""
        lines = self.dns_log.read_text(errors="replace").split("\n")
        return {line.partition("] ")[2].partition(" ")[0] for line in lines if "query[" in line}

    def reset(self) -> None:
        """As it was before the test."""


class Home(Place):
    NETWORK, WAN, SEARCH = "10.20.0", "10.99.0.20", "home.example"

    def __init__(self, internet: Internet, scratch: Path) -> None:
        super().__init__(internet, scratch)
        self.ground.sh("iptables -t nat -A POSTROUTING -o wan -j MASQUERADE")
        self.forward()
        serve_dns(self.ground, scratch, self.gateway, ["--server=10.99.0.1"])


class Guest(Place):
    """The addresses are the office's, all of them; whoever trusts them gives the office's password to a stranger."""

    NETWORK, WAN, MAC = "10.10.0", "10.99.0.50", "02:01"

    def __init__(self, internet: Internet, scratch: Path) -> None:
        super().__init__(internet, scratch)
        self.ground.sh(
            f"ip address add {Office.PROXIES}/24 dev lan; iptables -t nat -A POSTROUTING -o wan -j MASQUERADE"
        )
        self.forward()
        serve_dns(self.ground, scratch, self.gateway, ["--server=10.99.0.1"])
        ports = [1080, 3128, 8888]
        argv = [sys.executable, str(HERE / "stranger.py"), Office.PROXIES, *map(str, ports)]
        self._stranger = self.ground.serve(argv, scratch / "stranger.log", ports)
        self._mark = 0

    def heard(self) -> str:
        """What the stranger was told since the test began."""
        return self._stranger.log_file.read_bytes()[self._mark :].decode()

    def reset(self) -> None:
        self._mark = self._stranger.log_file.stat().st_size


class Cafe(Place):
    NETWORK, WAN, SEARCH = "10.30.0", "10.99.0.30", "cafe.example"

    def __init__(self, internet: Internet, scratch: Path) -> None:
        super().__init__(internet, scratch)
        own = ("portal.cafe.example", "wpad", "wpad.cafe.example", "wpad.corp.example")
        names = [f"--address=/{name}/{self.gateway}" for name in own]
        serve_dns(self.ground, scratch, self.gateway, ["--server=10.99.0.1", *names])
        portal = [sys.executable, str(HERE / "portal.py"), self.gateway, "80", f"{self.gateway}:{self.PROXY_PORT}"]
        self._portal = self.ground.serve(portal, scratch / "portal.log", [80])
        argv = [sys.executable, str(HERE / "stranger.py"), self.gateway, str(self.PROXY_PORT)]
        self._stranger = self.ground.serve(argv, scratch / "stranger.log", [self.PROXY_PORT])
        self.ground.sh("iptables -t nat -A POSTROUTING -o wan -j MASQUERADE")
        self.reset()

    PROXY_PORT = 3128

    def pacs_given(self) -> int:
        """How often its PAC file was fetched since the laboratory was made."""
        return self._portal.log_file.read_text(errors="replace").count("/wpad.dat HTTP")

    def heard(self) -> str:
        """What the stranger was told since the laboratory was made."""
        return self._stranger.log_file.read_text()

    def pass_portal(self) -> None:
        """As if a person had accepted the terms: from now on everything goes through."""
        self.ground.sh("iptables -t nat -F PREROUTING")
        self.forward()

    def reset(self) -> None:
        redirect = "iptables -t nat -A PREROUTING -i lan -p tcp --dport 80 -j REDIRECT"
        self.ground.sh(f"iptables -t nat -F PREROUTING; {redirect}")
        self.forward("-p tcp -j REJECT --reject-with tcp-reset", "-j DROP")


class Office(Place):
    NETWORK, WAN, SEARCH = "10.10.0", "10.99.0.40", "corp.example"
    PROXIES = "10.10.0.2"

    def __init__(self, internet: Internet, scratch: Path) -> None:
        super().__init__(internet, scratch)
        self.ground.sh(f"ip address add {self.PROXIES}/24 dev lan")
        # Knows the names of the house, and says of all others that there is no such name.
        names = [f"--address=/{name}.corp.example/{self.PROXIES}" for name in ("proxy", "pac", "wpad")]
        serve_dns(self.ground, scratch, self.gateway, [*names, "--address=/#/"])
        self._pac = scratch / "pac"
        self._pac.mkdir()
        (self._pac / "wpad.dat").symlink_to("proxy.pac")
        server = [sys.executable, "-m", "http.server", "--bind", self.PROXIES, "--directory", str(self._pac), "80"]
        self.pac_server = self.ground.serve(server, scratch / "pac.log", [80])
        self._password = PASSWORD
        self.tinyproxy = serve_tinyproxy(self.ground, self.scratch, self.PROXIES, f"http://{self.PROXIES}:8888")
        self.squid, self.tls = self._squid()
        self.socks = self._microsocks(1080)
        self.socks_with_password = self._microsocks(1081, ALICE)
        self.proxies = [self.tinyproxy, self.squid, self.tls, self.socks, self.socks_with_password]
        self.reset()

    PAC = "http://pac.corp.example/proxy.pac"

    def says(self, *lines: str) -> None:
        """What the office's PAC file does."""
        (self._pac / "proxy.pac").write_text("\n".join(["function FindProxyForURL(url, host) {", *lines, "}", ""]))

    def swallow(self) -> None:
        """From now on packets to the outside vanish, instead of being answered with "network unreachable"."""
        self.forward("-j DROP")

    def reset(self) -> None:
        self.forward("-j REJECT --reject-with icmp-net-unreachable")
        self.change_password(PASSWORD)
        self.pac_server.start()
        for proxy in self.proxies:
            proxy.start()
            proxy.forget()

    def change_password(self, password: str) -> None:
        """Alice's at the squid, which believes from now on no other one."""
        if password != self._password:
            self._users.write_text(_known(ALICE, password))
            self.squid.stop()
            self.squid.start()
        self._password = password

    def _squid(self) -> tuple[Proxy, Proxy]:
        """One squid with two doors: plain with Basic auth, and TLS without."""
        folder = self.scratch / "squid"
        folder.mkdir()
        certificate, key = issue(folder, "proxy.corp.example", self.PROXIES)
        self._users, access = folder / "users", folder / "access.log"
        self._users.write_text(_known(ALICE, PASSWORD))
        access.touch()
        config = folder / "squid.conf"
        config.write_text(f"""
http_port {self.PROXIES}:3128
https_port {self.PROXIES}:3129 tls-cert={certificate} tls-key={key}
auth_param basic program /usr/lib/squid/basic_ncsa_auth {self._users}
auth_param basic children 2 startup=1 idle=1
acl by_tls localport 3129
acl known proxy_auth REQUIRED
http_access allow by_tls
http_access allow known
http_access deny all
cache deny all
visible_hostname proxy.corp.example
pid_filename none
cache_log {folder}/cache.log
logformat lab %>lp %>Hs %rm %ru
access_log stdio:{access} lab
shutdown_lifetime 0 seconds
""")
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "proxy", "proxy")
        # What it shares with itself has one name for all of this machine: what a squid left there that was killed while
        # it started would keep those of every lab after it from starting.
        alone = ["unshare", "--mount", "sh", "-euc", 'mount -t tmpfs shm /dev/shm; exec squid -N -f "$1"', "sh"]
        server = self.ground.serve([*alone, str(config)], folder / "out.log", [3128, 3129])
        server.log_file = access

        def asked(port: str) -> Asked:
            def of(text: str) -> list[str]:
                lines = [line.split() for line in text.splitlines()]
                return [words[3] for words in lines if words[0] == port and words[1] == "200"]

            return of

        return (
            Proxy(server, f"http://{self.PROXIES}:3128", asked("3128"), ALICE),
            Proxy(server, f"https://{self.PROXIES}:3129", asked("3129")),
        )

    def _microsocks(self, port: int, user: str = "") -> Proxy:
        argv = ["microsocks", "-i", self.PROXIES, "-p", str(port), *(["-u", user, "-P", PASSWORD] if user else [])]
        server = self.ground.serve(argv, self.scratch / f"microsocks-{port}.log", [port])

        def asked(text: str) -> list[str]:
            # client[4] 10.10.0.100: connected to registry.example:443
            return [line.split("connected to ")[1] for line in text.splitlines() if "connected to " in line]

        return Proxy(server, f"socks5://{self.PROXIES}:{port}", asked, user)


class Campus(Place):
    """The laptop gets IPv6 only, and its DNS server says nothing but IPv6 addresses."""

    NETWORK, WAN = "10.40.0", "10.99.0.60"
    NETWORK_V6 = "fd00:40:"
    PROXY = f"{NETWORK_V6}:2"

    def __init__(self, internet: Internet, scratch: Path) -> None:
        super().__init__(internet, scratch)
        gateway = f"{self.NETWORK_V6}:1"
        self.ground.sh(f"""
            ip address add {gateway}/64 dev lan nodad; ip address add {self.PROXY}/64 dev lan nodad
            ip address add fd00:99::60/64 dev wan nodad
        """)
        self.ground.files("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
        internet.ground.sh(f"ip route add {self.NETWORK_V6}:/64 via fd00:99::60")
        serve_dns(self.ground, scratch, gateway, [f"--address=/{REGISTRY}/fd00:99::10", "--address=/#/"])
        self.resolv_conf = f"nameserver {gateway}\n"
        self.tinyproxy = serve_tinyproxy(self.ground, scratch, self.PROXY, f"http://[{self.PROXY}]:8888")
        self.reset()

    @property
    def lease(self) -> str:
        return f"""
            ip address add {self.NETWORK_V6}:100/64 dev wlan0 nodad
            ip route add default via {self.NETWORK_V6}:1 dev wlan0
        """

    def reset(self) -> None:
        self.tinyproxy.start()
        self.tinyproxy.forget()


@dataclass
class World:
    """All the places; a context that ends them."""

    internet: Internet
    home: Home
    office: Office
    guest: Guest
    cafe: Cafe
    campus: Campus
    _ends: ExitStack

    @classmethod
    def made(cls, busybox: Path) -> "World":
        with ExitStack() as ends:
            scratch = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="docker-proxy-agent-lab-")))
            scratch.chmod(0o755)
            internet = Internet(scratch, busybox)
            ends.callback(internet.ground.close)
            home = Home(internet, scratch / "home")
            ends.callback(home.ground.close)
            office = Office(internet, scratch / "office")
            ends.callback(office.ground.close)
            guest = Guest(internet, scratch / "guest")
            ends.callback(guest.ground.close)
            cafe = Cafe(internet, scratch / "cafe")
            ends.callback(cafe.ground.close)
            campus = Campus(internet, scratch / "campus")
            ends.callback(campus.ground.close)
            return cls(internet, home, office, guest, cafe, campus, ends.pop_all())
        raise AssertionError

    def place(self, name: str) -> Place:
        places = (self.home, self.office, self.guest, self.cafe, self.campus)
        return {place.name: place for place in places}[name]

    def reset(self) -> None:
        self.internet.reset()
        self.office.reset()
        self.guest.reset()
        self.cafe.reset()
        self.campus.reset()

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()


def _known(user: str, password: str) -> str:
    """A line of squid's file of users."""
    argv = ["openssl", "passwd", "-apr1", "-stdin"]
    return (
        f"{user}:" + subprocess.run(argv, input=password, capture_output=True, text=True, check=True, timeout=60).stdout
    )


def serve_tinyproxy(ground: Ground, scratch: Path, address: str, url: str) -> Proxy:
    config, log = scratch / "tinyproxy.conf", scratch / "tinyproxy.log"
    config.write_text(f"Listen {address}\nPort 8888\nMaxClients 100\nTimeout 600\nLogLevel Connect\n")
    server = ground.serve(["tinyproxy", "-d", "-c", str(config)], log, [8888])

    def asked(text: str) -> list[str]:
        # ... Request (file descriptor 5): CONNECT registry.example:443 HTTP/1.1
        lines = [line.partition("): ")[2].split() for line in text.splitlines() if "Request (file" in line]
        return [words[1] for words in lines if len(words) > 1]

    return Proxy(server, url, asked)


def serve_dns(ground: Ground, scratch: Path, address: str, answers: list[str]) -> Server:
    quiet = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--pid-file=", "--user=root"]
    argv = ["dnsmasq", *quiet, "--bind-interfaces", f"--listen-address={address}", "--log-facility=-", "--log-queries"]
    return ground.serve([*argv, *answers], scratch / "dnsmasq.log", [53])


def resolve_by(ground: Ground, scratch: Path, server: str) -> None:
    """The ground's own programs ask this DNS server."""
    file = scratch / "resolv.conf"
    file.write_text(f"nameserver {server}\n")
    ground.files(f"mount --bind {file} /etc/resolv.conf")
