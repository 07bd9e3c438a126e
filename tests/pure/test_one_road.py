"""Nobody prints but `cli/printing.py`, so that nothing reaches a screen unseen."""

from __future__ import annotations

import ast

from tests.sources import SOURCES, methods_called, named, nodes

# A screen, and two processes of their own that speak to who started them.
MAY_PRINT = {"cli/printing.py", "cli/demo/engine.py", "clients/home_helper.py"}
STREAMS = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"}


def test_nobody_else_prints() -> None:
    wrong = []
    for file in SOURCES:
        names = {node.id for node in nodes(file) if isinstance(node, ast.Name)} & {"print", "pprint"}
        called = {
            call.func.attr
            for call in methods_called(file)
            if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in STREAMS
        } - {"isatty", "close", "flush", "fileno"}
        if (names or called) and named(file) not in MAY_PRINT:
            wrong.append(f"{named(file)}: {', '.join(sorted(names | called))}")

    assert not wrong


# What the C library asks the name service for, and that may be LDAP: without an end.
ASKS = {"getpwnam", "getpwuid", "getpwall", "getgrnam", "getgrgid", "getgrall", "getgrouplist", "initgroups", "getuser"}
ASKS_OF_A_PATH = {"owner", "expanduser", "home"}  # called; of a Path, `group` is one, too


def test_nobody_waits_for_a_name_service_but_by_its_own_module() -> None:
    """`clients/accounts.py`: by a program, with an end."""
    wrong = []
    for file in SOURCES:
        imported = {
            name.split(".")[0]
            for node in nodes(file)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
        }
        named_ = {node.attr for node in nodes(file) if isinstance(node, ast.Attribute)}
        called = {call.func.attr for call in methods_called(file) if isinstance(call.func, ast.Attribute)}
        arguments = (
            {keyword.arg or "" for node in nodes(file) if isinstance(node, ast.Call) for keyword in node.keywords}
            if "subprocess" in imported or "asyncio" in imported
            else set()
        )
        found = {
            *(imported & {"pwd", "grp", "getpass"}),
            *(named_ & ASKS),
            *(called & ASKS_OF_A_PATH),
            *(arguments & {"user", "group", "extra_groups"}),  # of a process: by name
        }
        wrong += [f"{named(file)}: {name}" for name in sorted(found)]

    assert not wrong


READS_A_SOCKET = {"sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into"}


def test_nobody_reads_a_strangers_socket_but_by_the_one_function_that_gives_way() -> None:
    """`probe/reading.py`: to await a socket that is ready is no pause."""
    wrong = []
    for file in SOURCES:
        if named(file).split("/")[0] in ("relay", "probe") and named(file) != "probe/reading.py":
            called = {node.attr for node in nodes(file) if isinstance(node, ast.Attribute)} & READS_A_SOCKET
            wrong += [f"{named(file)}: {name}" for name in sorted(called)]

    assert not wrong


# A thread without netlink, and two processes of their own; the demo has names of its own.
LOOK_UP = {"probe/dial.py", "docker/inside_helper.py", "cli/doctor/seat_helper.py"}


def test_nobody_looks_a_name_up_but_where_the_c_library_has_no_netlink() -> None:
    """One thread that waits there for the kernel's lock keeps all others of its process waiting (FACTS 260)."""
    wrong = []
    for file in SOURCES:
        called = {
            call.func.attr
            for call in methods_called(file)
            if isinstance(call.func, ast.Attribute) and not any(keyword.arg == "sock" for keyword in call.keywords)
        } & {"getaddrinfo", "gethostbyname", "getfqdn", "open_connection", "create_connection"}
        if called and named(file) not in LOOK_UP and not named(file).startswith("cli/demo/"):
            wrong.append(f"{named(file)}: {', '.join(sorted(called))}")

    assert not wrong
