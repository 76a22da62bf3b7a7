"""Who listens on a port of this machine."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from specwatch.engines.errors import PortError

_PROC: Final = Path("/proc")
_LISTEN: Final = "0A"
_ADDRESS, _SOCKET_STATE, _INODE = 1, 3, 9  # columns of /proc/net/tcp


class Owner(Struct, frozen=True):
    """Who listens on a port: pid 0 and an empty name when this user may not know."""

    pid: int
    name: str


def check(needs: Iterable[tuple[int, str]]) -> None:
    """Raise PortError when somebody listens on one of the ports that the named parts need; says who."""
    taken = [(port, name, found) for port, name in needs if (found := owner(port))]
    if taken:
        lines = [
            f"port {port}, which {name} needs, belongs to "
            + (f"{found.name} (pid {found.pid})" if found.pid else "a process that this user may not see")
            for port, name, found in taken
        ]
        raise PortError("up", "\n".join(lines), "end that process, or choose another port in the spec (stack.ports)")


def owner(port: int) -> Owner | None:
    """Return who listens on `port` so that nobody else can at 127.0.0.1, or None when it is free."""
    with socket.socket() as probe:
        # Without it, connections of the last run that are in TIME_WAIT would make the port look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return _holder(_inodes(port))
    return None


def _inodes(port: int) -> frozenset[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[_SOCKET_STATE] == _LISTEN and int(columns[_ADDRESS].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{columns[_INODE]}]")
    return frozenset(found)


def _holder(sockets: frozenset[str]) -> Owner:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if any(str(handle.readlink()) in sockets for handle in (entry / "fd").iterdir()):
                    return Owner(int(entry.name), (entry / "comm").read_text().strip())
    return Owner(0, "")
