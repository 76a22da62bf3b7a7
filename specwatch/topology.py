"""Where things are: the same renderers serve compose and native processes because they ask a `Topology`."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from specwatch.stack import SecretFile


class Topology(Struct, frozen=True, kw_only=True):
    """Addresses and folders as the components themselves see them.

    `addresses` maps a component, or one of the user's services, to host:port; extra endpoints are "inbox-smtp", "otlp-grpc"
    and "otlp-http". `listen` maps a component to the host:port it binds. `config`, `data` and `secrets` map a component to a
    folder; `logs` maps a service to the glob of the files in which its standard output lands (native only).
    """

    runtime: Literal["compose", "native"]
    addresses: Mapping[str, str]
    listen: Mapping[str, str]
    config: Mapping[str, str]
    data: Mapping[str, str]
    secrets: Mapping[str, str]
    logs: Mapping[str, str]

    def address(self, name: str) -> str:
        """Return host:port of a component or service; raises KeyError for one that is not there."""
        return self.addresses[name]

    def url(self, name: str, path: str = "") -> str:
        """Return the http URL of a component or service, with `path` (no leading slash) below it."""
        return f"http://{self.addresses[name]}/{path}"

    def secret(self, component: str, secret: SecretFile) -> str:
        """Return the path at which `component` reads `secret`."""
        return f"{self.secrets[component]}/{secret.name}"
