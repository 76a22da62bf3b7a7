"""The user's services: where they are, how they are started, where their lines come from."""

from collections.abc import Mapping

from msgspec import Struct

from specwatch.stack.logs import Logs


class Build(Struct, frozen=True, kw_only=True):
    """How compose builds a service's image."""

    context: str
    dockerfile: str
    args: Mapping[str, str] = {}


class Run(Struct, frozen=True, kw_only=True):
    """How specwatch itself starts a service: `command` under both runtimes, `image` or `build` under compose.

    `publish` are host ports bound to `Stack.bind`, as (host, container) pairs. `health` is an argument list to run in the container.
    """

    command: tuple[str, ...]
    image: str
    build: Build | None
    environment: Mapping[str, str]
    publish: tuple[tuple[int, int], ...]
    health: tuple[str, ...]
    user: str
    memory: str
    volumes: tuple[str, ...]
    depends_on: tuple[str, ...]
    restart: str


class Service(Struct, frozen=True, kw_only=True):
    """One of the user's services. `address` is host:port as other containers reach it, or empty when it serves nothing."""

    name: str
    team: str
    port: int
    host: str
    logs: Logs | None
    traces: bool
    run: Run | None
    packs: tuple[str, ...]
