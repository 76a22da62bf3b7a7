"""What each official image holds, for its stand-in: the program's place, the user, the folders, the command line, the health check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Recipe:
    """One image: where the real programs go (`programs`, name → path in the image) or, where there are none, what is pretended.

    `tools` is what the official image has to run commands with ("", "busybox", "bash"); `folders` are path → owner's uid; `shared` are
    folders that everybody may write to;
    `ports` are those on which a placeholder answers 200; `health` is path → script of the official health check's program.
    """

    user: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    workdir: str = "/"
    tools: str = "busybox"
    programs: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, int] = field(default_factory=dict)
    shared: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    health: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_placeholder(self) -> bool:
        """Whether the image holds nothing of the real program."""
        return not self.programs


RECIPES: Mapping[str, Recipe] = {
    "prom/prometheus": Recipe(
        user="nobody",
        entrypoint=("/bin/prometheus",),
        command=("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"),
        workdir="/prometheus",
        programs={"prometheus": "/bin/prometheus", "promtool": "/bin/promtool"},
        folders={"/prometheus": 65534, "/etc/prometheus": 0},
    ),
    "prom/alertmanager": Recipe(
        user="nobody",
        entrypoint=("/bin/alertmanager",),
        command=("--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"),
        workdir="/alertmanager",
        programs={"alertmanager": "/bin/alertmanager", "amtool": "/bin/amtool"},
        folders={"/alertmanager": 65534, "/etc/alertmanager": 0},
        # Debian's build reads its default templates from here; the official one carries them inside.
        trees=("/usr/share/prometheus/alertmanager",),
    ),
    "grafana/loki": Recipe(
        user="10001",
        entrypoint=("/usr/bin/loki",),
        command=("-config.file=/etc/loki/local-config.yaml",),
        tools="",
        programs={"loki": "/usr/bin/loki"},
        folders={"/loki": 10001, "/etc/loki": 0},
    ),
    "prom/node-exporter": Recipe(user="nobody", entrypoint=("/bin/node_exporter",), programs={"node_exporter": "/bin/node_exporter"}),
    "prom/blackbox-exporter": Recipe(
        user="",
        entrypoint=("/bin/blackbox_exporter",),
        command=("--config.file=/etc/blackbox_exporter/config.yml",),
        programs={"blackbox_exporter": "/bin/blackbox_exporter"},
        folders={"/etc/blackbox_exporter": 0},
    ),
    "otel/opentelemetry-collector-contrib": Recipe(
        user="10001:10001",
        entrypoint=("/otelcol-contrib",),
        command=("--config", "/etc/otelcol-contrib/config.yaml"),
        tools="",
        programs={"otelcol": "/otelcol-contrib"},
        folders={"/etc/otelcol-contrib": 0},
    ),
    "grafana/promtail": Recipe(user="", entrypoint=("/usr/bin/promtail",), tools="bash", folders={"/etc/promtail": 0}, ports=(9080,)),
    "grafana/alloy": Recipe(
        user="", entrypoint=("/bin/alloy",), tools="bash", folders={"/var/lib/alloy/data": 473, "/etc/alloy": 0}, ports=(12345,)
    ),
    "grafana/tempo": Recipe(
        user="10001:10001",
        entrypoint=("/tempo",),
        folders={"/var/tempo": 10001, "/etc/tempo": 0},
        ports=(3200,),
        health={"/tempo": 'case "$*" in *-health*) exec wget -q -O /dev/null http://127.0.0.1:3200/ready ;; esac'},
    ),
    "jaegertracing/all-in-one": Recipe(
        user="10001",
        entrypoint=("/go/bin/all-in-one-linux",),
        programs={"jaeger": "/go/bin/all-in-one-linux"},
        shared=("/var/tmp",),  # noqa: S108 - a folder inside an image
    ),
    "grafana/grafana": Recipe(
        user="472",
        entrypoint=("/run.sh",),
        workdir="/usr/share/grafana",
        tools="bash",
        folders={"/var/lib/grafana": 472, "/etc/grafana/provisioning": 472, "/usr/share/grafana": 0},
        ports=(3000,),
    ),
    "fluent/fluentd": Recipe(
        user="fluent",
        entrypoint=("/bin/entrypoint.sh",),
        command=("fluentd",),
        folders={"/fluentd/etc": 999, "/fluentd/log": 999, "/fluentd/buffer": 999},
        ports=(24220, 24224, 24231),
        health={"/usr/bin/ruby": "exec wget -q -O /dev/null http://127.0.0.1:24220/api/plugins.json"},
    ),
    "google/cadvisor": Recipe(user="", entrypoint=("/usr/bin/cadvisor", "-logtostderr"), ports=(8080,)),
}

# An image of the project's own that is built from one of the above and cannot be built here.
ALIASES: Mapping[str, str] = {"specwatch/fluentd": "fluent/fluentd"}

PYTHON_SUITE = "trixie"
PYTHON_PACKAGES = ("base-files", "coreutils", "dash", "python3", "python3-venv", "python3-pip", "ca-certificates")


def recipe_for(image: str) -> Recipe | None:
    """Returns the recipe of an image by its name without registry and tag, or None when there is none."""
    repository = "/".join(image.partition("@")[0].split("/")[-2:])
    name = repository.rpartition(":")[0] or repository
    return RECIPES.get(ALIASES.get(name, name))


def is_python_base(image: str) -> bool:
    """Returns whether `image` is Docker's official Python image in any of its tags."""
    return image.removeprefix("docker.io/").removeprefix("library/").partition(":")[0] == "python"
