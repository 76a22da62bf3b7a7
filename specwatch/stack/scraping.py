"""What is scraped and probed, and what it emits."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from specwatch.stack.secrets import SecretFile

MetricType = Literal["counter", "gauge", "histogram", "summary", "info"]


class Tls(Struct, frozen=True, kw_only=True):
    """How a scrape or a probe speaks TLS."""

    ca: SecretFile | None = None
    certificate: SecretFile | None = None
    key: SecretFile | None = None
    server_name: str = ""
    insecure_skip_verify: bool = False


class Auth(Struct, frozen=True, kw_only=True):
    """How a scrape authenticates: basic (`username` and `secret`) or bearer (`secret` alone)."""

    kind: Literal["basic", "bearer"]
    secret: SecretFile
    username: str = ""


class Job(Struct, frozen=True, kw_only=True):
    """One Prometheus scrape job.

    `discovery` says where targets come from: "address" (the topology's address of `owner`, a service or component), "static"
    (`targets`), "files" (`files`, globs below the Prometheus config folder), "dns" (`targets` are names, `port`) or
    "containers" (Docker label).
    """

    name: str
    owner: str
    team: str
    discovery: Literal["address", "static", "files", "dns", "containers"]
    targets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    port: int = 0
    path: str = "/metrics"
    scheme: Literal["http", "https"] = "http"
    interval_seconds: int = 0
    timeout_seconds: int = 0
    labels: Mapping[str, str] = {}
    auth: Auth | None = None
    tls: Tls | None = None
    honor_labels: bool = False
    component: bool = False


class Probe(Struct, frozen=True, kw_only=True):
    """One blackbox probe. `url` is absolute, or a path below the address of the service `owner`."""

    name: str
    owner: str
    team: str
    url: str
    module: str
    interval_seconds: int = 0


class Metric(Struct, frozen=True, kw_only=True):
    """A metric that a job emits. A label's values are a tuple, or None when they are open."""

    name: str
    type: MetricType
    help: str
    unit: str
    labels: Mapping[str, tuple[str, ...] | None]
    buckets: tuple[Decimal, ...]
    jobs: tuple[str, ...]
