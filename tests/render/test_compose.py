import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from specwatch import names, topology
from specwatch.components import BY_NAME, COMPONENTS
from specwatch.render import compose
from specwatch.render import render as render_all
from specwatch.stack import Build, Job, Stack
from tests.goldens import check
from tests.stacks import HOSTILE, component_jobs, demo_stack, full_stack, ports, probe, service
from tests.tools import write

# What the images that are pinned by default hold: a health check may call nothing else.
INSIDE = {
    "prometheus": {"wget", "promtool"},
    "alertmanager": {"wget", "amtool"},
    "loki": {"/usr/bin/loki"},
    "promtail": {"bash"},
    "alloy": {"bash"},
    "fluentd": {"ruby", "sh"},
    "tempo": {"/tempo"},
    "jaeger": {"wget"},
    "grafana": {"wget", "curl", "bash"},
    "blackbox": {"wget"},
    "node": {"wget"},
    "cadvisor": {"wget"},
    "inbox": {"/opt/inbox/bin/python"},
}
EVERY_PORT = ports() | {"fluentd-metrics": 24231, "otelcol-metrics": 8888, "otelcol-health": 13133}


def everything(**changes: Any) -> Stack:
    return full_stack(**{"ports": EVERY_PORT} | changes)


def collected() -> Stack:
    """Return the demo with the collector as its shipper and no Tempo."""
    on = ("prometheus", "alertmanager", "loki", "otelcol", "grafana", "inbox")
    jobs = tuple(job for job in demo_stack().jobs if not job.component or job.owner in on)
    return demo_stack(components=on, shipper="otelcol", ports=EVERY_PORT, jobs=jobs, probes=())


def traced() -> Stack:
    """Return the demo with Jaeger behind the collector, and Promtail as its shipper."""
    on = ("prometheus", "alertmanager", "loki", "promtail", "otelcol", "jaeger", "grafana", "inbox")
    traces = replace(demo_stack().traces, backend="jaeger", through_collector=True)
    return demo_stack(components=on, jobs=component_jobs(*on), probes=(), traces=traces, ports=EVERY_PORT, external_network="backend")


def document(stack: Stack) -> dict[str, Any]:
    text = compose.render(stack, topology.compose(stack))[names.COMPOSE_FILE]
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def services(stack: Stack) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = document(stack)["services"]
    return found


@pytest.fixture(params=["demo", "everything", "collected", "traced"])
def stack(request: pytest.FixtureRequest) -> Stack:
    return {"demo": demo_stack, "everything": everything, "collected": collected, "traced": traced}[request.param]()


@pytest.fixture(scope="session")
def command() -> list[str]:
    """Return the command line of Docker Compose 2, with or without Docker's own client."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]):
            asked = subprocess.run([*words, "version", "--short"], capture_output=True, text=True, check=False)
            if asked.returncode == 0 and not asked.stdout.startswith("1."):
                return words
    pytest.skip("Docker Compose 2 is not here: scripts/engines/get --only docker")


def ask(command: list[str], folder: Path, *files: str) -> dict[str, Any]:
    """Return what Compose itself understands; it must have nothing to complain of."""
    chosen = [word for file in files for word in ("-f", file)]
    done = subprocess.run([*command, *chosen, "config", "--format", "json"], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    understood: dict[str, Any] = json.loads(done.stdout)
    return understood


def test_golden() -> None:
    """The demo's compose file, and that of a stack with everything in it, are as they were reviewed."""
    for case, stack in (("demo", demo_stack()), ("full", everything())):
        check(case, compose.render(stack, topology.compose(stack)))


@pytest.mark.engine
def test_compose_accepts_the_file(stack: Stack, command: list[str], tmp_path: Path) -> None:
    """Docker Compose reads every file without an error or a warning, and finds every part in it."""
    write(tmp_path, compose.render(stack, topology.compose(stack)))
    understood = ask(command, tmp_path, names.COMPOSE_FILE)
    optional = {component.name for component in COMPONENTS if component.optional}
    assert understood["name"] == "shop"
    assert {*stack.components, "secrets", "shop"} - optional <= set(understood["services"])


def test_every_service_is_hardened(stack: Stack) -> None:
    """Each container has a read-only root, no capability or new privilege, limits, log rotation and a numeric user."""
    for name, body in services(stack).items():
        assert body["read_only"] is True
        assert body["tmpfs"] == ["/tmp"]  # noqa: S108 - a folder in the container
        assert body["cap_drop"] == ["ALL"]
        assert body["security_opt"] == ["no-new-privileges:true"]
        assert re.fullmatch(r"\d+[mg]", body["mem_limit"]), name
        assert body["pids_limit"] > 0
        assert body["logging"]["driver"] == "json-file"
        assert {"max-size", "max-file"} <= set(body["logging"]["options"])
        assert re.fullmatch(r"\d+:\d+", body["user"]), name
        assert "privileged" not in body


def test_every_grant_has_its_reason(stack: Stack) -> None:
    """Root, a capability, the host's folders and sockets, a group and a kernel setting come with the reason beside them."""
    for body in services(stack).values():
        reasons = body.get("x-reason", {})
        granted: set[str] = {"cap_add", "group_add", "sysctls"} & set(body)
        granted |= {"user"} if body["user"].startswith("0") else set()
        granted |= {"volumes"} if any(mount.startswith(("/", "$")) for mount in body.get("volumes", ())) else set()
        assert granted <= set(reasons)
        assert set(reasons) - granted <= {"healthcheck"}


def test_only_the_one_shot_service_has_capabilities(stack: Stack) -> None:
    """No component that keeps running gets a capability back."""
    assert [name for name, body in services(stack).items() if "cap_add" in body] == ["secrets"]


def test_ports_are_bound_to_the_chosen_address(stack: Stack) -> None:
    """Every published port names its address: loopback unless the spec says otherwise."""
    published = [port for body in services(stack).values() for port in body.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_an_ipv6_address_is_bracketed() -> None:
    """A bind address with colons does not run into the port."""
    assert services(demo_stack(bind="::1"))["grafana"]["ports"] == ["[::1]:3001:3000"]


def test_no_host_port_is_published_twice(stack: Stack) -> None:
    """Two containers never ask for the same port."""
    published = [port for body in services(stack).values() for port in body.get("ports", ())]
    assert len(published) == len(set(published))


def test_images_are_pinned(stack: Stack) -> None:
    """Every image has a tag, and none is "latest"."""
    for name, body in services(stack).items():
        assert re.search(r":[\w.-]+\Z", body["image"]), name
        assert not body["image"].endswith(":latest")


def test_health_checks_call_what_the_image_holds(stack: Stack) -> None:
    """Each component's check is a program in its image, asked at 127.0.0.1; only the collector, which has none, goes without."""
    for name, body in services(stack).items():
        if name in BY_NAME and name != "otelcol":
            kind, program, *rest = body["healthcheck"]["test"]
            assert kind == "CMD"
            assert program in INSIDE[name]
            assert "localhost" not in " ".join(rest)


def test_start_interval_is_not_used(stack: Stack) -> None:
    """An engine older than 25 makes compose refuse the whole file for a start_interval."""
    assert all("start_interval" not in body.get("healthcheck", {}) for body in services(stack).values())


def test_mounts_of_the_project_are_rendered_folders(stack: Stack) -> None:
    """A config mount is a read-only folder into which files are really rendered, never a single file."""
    files = render_all(stack, topology.compose(stack))
    folders = {str(parent) for path in files for parent in Path(path).parents}
    for body in services(stack).values():
        for mount in body.get("volumes", ()):
            source, target, *mode = mount.split(":")
            if source.startswith("./") and source != "./secrets":
                assert source.removeprefix("./") in folders
                assert Path(target).suffix == ""
                assert mode == ["ro"]


def test_what_must_last_is_in_a_named_volume(stack: Stack) -> None:
    """Each component's data folder is a named volume that the file declares."""
    whole = document(stack)
    for name in stack.components:
        if BY_NAME[name].data:
            assert f"{name}-data:{BY_NAME[name].data}" in whole["services"][name]["volumes"]
            assert f"{name}-data" in whole["volumes"]


@pytest.mark.parametrize("shipper", ["promtail", "alloy", "fluentd"])
def test_a_shipper_reads_dockers_files_as_root_without_any_capability(shipper: str) -> None:
    """Whoever ships mounts the containers' log files, read-only, and says why it runs as root; beside another shipper Fluentd does not."""
    on = tuple(dict.fromkeys(("loki", shipper, "fluentd")))
    found = services(demo_stack(components=on, shipper=shipper, ports=EVERY_PORT, jobs=(), probes=(), secrets=()))
    reading = {name for name, body in found.items() if "/var/lib/docker/containers:ro" in str(body.get("volumes"))}
    assert reading == {shipper}
    assert (found[shipper]["user"], found[shipper]["cap_drop"], "user" in found[shipper]["x-reason"]) == ("0:0", ["ALL"], True)
    assert found["fluentd"]["user"] == ("0:0" if shipper == "fluentd" else "999:999")


def test_a_component_sees_its_own_secrets_only(stack: Stack) -> None:
    """Whoever reads secrets mounts one volume for them, read-only, and starts when they are there."""
    for name, body in services(stack).items():
        secret = [mount for mount in body.get("volumes", ()) if "/run/secrets" in mount]
        wanted = any(name in secret.components for secret in stack.secrets)
        assert secret == ([f"{name}-secrets:/run/secrets:ro"] if wanted else [])
        assert ("secrets" in body.get("depends_on", {})) == wanted


def test_a_stack_without_secrets_has_no_secrets_service() -> None:
    """Nothing runs as root for nothing."""
    assert "secrets" not in services(demo_stack(secrets=()))


def test_others_wait_for_health() -> None:
    """Prometheus waits for Alertmanager and the shipper for Loki, and no more than that, so that the start stays short."""
    waits = {name: set(body.get("depends_on", {})) - {"secrets"} for name, body in services(demo_stack()).items()}
    assert {name: others for name, others in waits.items() if others} == {"prometheus": {"alertmanager"}, "promtail": {"loki"}}
    assert services(demo_stack())["promtail"]["depends_on"] == {"loki": {"condition": "service_healthy"}}


def test_a_service_waits_for_what_it_names() -> None:
    """depends_on asks for health where there is a check, and for a start where there is none."""
    shop = service("shop")
    assert shop.run
    quiet = replace(shop, name="quiet", run=replace(shop.run, health=(), publish=()))
    front = replace(shop, name="front", run=replace(shop.run, depends_on=("shop", "quiet", "loki"), publish=()))
    assert services(demo_stack(services=(shop, quiet, front)))["front"]["depends_on"] == {
        "shop": {"condition": "service_healthy"},
        "quiet": {"condition": "service_started"},
        "loki": {"condition": "service_healthy"},
    }


def test_an_optional_component_waits_in_a_profile() -> None:
    """A cAdvisor that the spec does not ask for starts with --profile; one that it does is a part like any other."""
    assert services(everything(optional=("cadvisor",)))["cadvisor"]["profiles"] == ["cadvisor"]
    assert "profiles" not in services(everything())["cadvisor"]


def test_lines_are_labelled_for_the_shipper() -> None:
    """Docker writes the service's name beside each line, but not for a service whose lines are wanted from elsewhere or not at all."""
    found = services(demo_stack(services=(service("shop"), service("silent", logs=None))))
    assert found["shop"]["labels"] == {"specwatch.service": "shop", "specwatch.port": "8000"}
    assert found["shop"]["logging"]["options"]["labels"] == "specwatch.service"
    assert "labels" not in found["silent"]["logging"]["options"]


def test_the_docker_socket_is_for_discovery_alone() -> None:
    """Prometheus gets Docker's socket when a job finds its targets by container label, and not otherwise."""
    assert "group_add" not in services(demo_stack())["prometheus"]
    prometheus = services(everything())["prometheus"]
    assert "/var/run/docker.sock:/var/run/docker.sock:ro" in prometheus["volumes"]
    assert prometheus["group_add"] == ["${DOCKER_GID:-999}"]


def test_ping_needs_no_capability() -> None:
    """A probe by ping opens the group range for unprivileged pings, a probe by HTTP does not."""
    assert "sysctls" not in services(demo_stack())["blackbox"]
    assert services(demo_stack(probes=(probe("gw", module="icmp"),)))["blackbox"]["sysctls"] == {"net.ipv4.ping_group_range": "0 65534"}


def test_a_port_on_the_host_is_reached_through_the_gateway() -> None:
    """A service at host.docker.internal gives the name to those that ask it, and to no one else."""
    outside = service("legacy", host="host.docker.internal", run=None)
    job = Job(name="legacy", owner="legacy", team="core", discovery="address")
    found = services(demo_stack(services=(outside,), jobs=(job,), probes=(probe("legacy", owner="legacy"),)))
    assert {name for name, body in found.items() if "extra_hosts" in body} == {"prometheus", "blackbox"}
    assert found["prometheus"]["extra_hosts"] == ["host.docker.internal:host-gateway"]
    assert not any("extra_hosts" in body for body in services(demo_stack()).values())


def test_a_shared_network_is_joined() -> None:
    """Those that ask or are sent something by other projects' containers join the network that they share."""
    whole = document(demo_stack(external_network="backend"))
    assert whole["networks"] == {"shared": {"name": "backend", "external": True}}
    joined = {name for name, body in whole["services"].items() if "networks" in body}
    assert joined == {"prometheus", "blackbox", "tempo", "shop"}
    assert whole["services"]["prometheus"]["networks"] == ["default", "shared"]


def test_what_services_send_to_is_what_is_published() -> None:
    """OTLP is published with the component that takes it from services, and that one alone joins the network of others' containers."""
    otlp = {"127.0.0.1:4317:4317", "127.0.0.1:4318:4318"}
    found = services(traced())
    assert otlp == set(found["otelcol"]["ports"])
    assert found["jaeger"]["ports"] == ["127.0.0.1:16686:16686"]
    assert otlp == set(services(demo_stack())["tempo"]["ports"])
    assert {name for name in ("otelcol", "jaeger") if "networks" in found[name]} == {"otelcol"}


def test_a_collector_for_traces_sees_no_log_files() -> None:
    """Beside another shipper the collector has its configuration and its queue, and nothing of the host's."""
    body = services(traced())["otelcol"]
    assert body["volumes"] == ["./otelcol:/etc/otelcol:ro", "otelcol-data:/var/lib/otelcol"]
    assert "queue" in body["x-reason"]["user"]


def test_jaeger_keeps_its_spans_on_a_volume_that_it_may_write_to() -> None:
    """Jaeger runs as the image's user; its volume takes the rights of a folder of the image that everybody may write to."""
    body = services(traced())["jaeger"]
    assert body["user"] == "10001:10001"
    assert body["volumes"] == ["jaeger-data:/var/tmp"]
    assert body["environment"]["SPAN_STORAGE_TYPE"] == "badger"


def test_volumes_of_services_are_declared_when_they_are_named() -> None:
    """A named volume of a service is declared; a folder of the host is not."""
    shop = service("shop")
    assert shop.run
    mounts = ("uploads:/srv/uploads", "./assets:/srv/assets:ro", "/srv/host:/srv/host", "/anonymous")
    whole = document(demo_stack(services=(replace(shop, run=replace(shop.run, volumes=mounts)),)))
    assert whole["services"]["shop"]["volumes"] == list(mounts)
    assert set(whole["volumes"]) & {"uploads", "./assets", "/srv/host", "/anonymous"} == {"uploads"}


def test_a_service_without_an_image_is_not_in_the_file() -> None:
    """Without image and build there is nothing that compose could start."""
    shop = service("shop")
    assert shop.run
    assert "shop" not in services(demo_stack(services=(replace(shop, run=replace(shop.run, image="", build=None)),)))


@pytest.mark.engine
def test_text_reaches_the_container_as_it_was_written(command: list[str], tmp_path: Path) -> None:
    """Commands, variables and build arguments survive YAML and compose's own interpolation, whatever is in them."""
    shop = service("shop")
    assert shop.run
    variables = {f"V{index}": text for index, text in enumerate(HOSTILE)}
    build = Build(context=".", dockerfile="Dockerfile", args=variables)
    run = replace(shop.run, command=("sh", *HOSTILE), environment=variables, build=build, health=("sh", *HOSTILE))
    stack = demo_stack(services=(replace(shop, run=run),))
    write(tmp_path, compose.render(stack, topology.compose(stack)))
    understood = ask(command, tmp_path, names.COMPOSE_FILE)["services"]["shop"]
    plain = {name: text.replace("$$", "$") for name, text in understood["environment"].items()}
    assert {name: plain[name] for name in variables} == variables
    assert [word.replace("$$", "$") for word in understood["command"]] == ["sh", *HOSTILE]
    assert {name: text.replace("$$", "$") for name, text in understood["build"]["args"].items()} == variables
    assert [word.replace("$$", "$") for word in understood["healthcheck"]["test"]] == ["CMD", "sh", *HOSTILE]


APP = {
    "services": {
        "api": {
            "image": "example/api:1",
            "labels": {"specwatch.service": "api"},
            "logging": {"driver": "json-file", "options": {"labels": "specwatch.service"}},
        }
    }
}


@pytest.mark.engine
def test_an_application_includes_the_stack(command: list[str], tmp_path: Path) -> None:
    """An application's compose file that includes ours has both, under its own name, with our folders where they are."""
    stack = demo_stack()
    write(tmp_path / "observability", compose.render(stack, topology.compose(stack)))
    own = {"name": "mine", "include": [f"observability/{names.COMPOSE_FILE}"], **APP}
    write(tmp_path, {"docker-compose.yml": yaml.safe_dump(own)})
    understood = ask(command, tmp_path, "docker-compose.yml")
    assert understood["name"] == "mine"
    assert {"api", "prometheus"} <= set(understood["services"])
    sources = [mount["source"] for mount in understood["services"]["prometheus"]["volumes"]]
    assert str(tmp_path / "observability" / "prometheus") in sources


@pytest.mark.engine
def test_an_application_is_a_second_file(command: list[str], tmp_path: Path) -> None:
    """An application's compose file beside ours makes one project with both on one network."""
    stack = demo_stack()
    write(tmp_path, compose.render(stack, topology.compose(stack)) | {"docker-compose.yml": yaml.safe_dump(APP)})
    understood = ask(command, tmp_path, names.COMPOSE_FILE, "docker-compose.yml")
    assert understood["name"] == "shop"
    assert "default" in understood["services"]["api"]["networks"]
    assert "default" in understood["services"]["prometheus"]["networks"]
