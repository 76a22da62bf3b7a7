from msgspec.structs import replace

from specwatch import topology
from specwatch.render.environment import service_environment
from specwatch.stack import Logs
from tests.stacks import demo_stack, ports, service

NATIVE = "/srv/run"


def test_a_service_listens_where_the_runtime_wants_it() -> None:
    """In its container a service listens on all addresses, as a child process on loopback alone."""
    stack = demo_stack()
    (shop,) = stack.services
    assert service_environment(stack, topology.compose(stack), shop)["HOST"] == "0.0.0.0"  # noqa: S104 - of the container
    native = service_environment(stack, topology.native(stack, NATIVE), shop)
    assert (native["HOST"], native["PORT"], native["LOG_FORMAT"]) == ("127.0.0.1", "8000", "json")


def test_spans_go_to_the_collector() -> None:
    """A traced service gets OpenTelemetry's own variables, as long as something takes its spans."""
    stack = demo_stack(environment="pre prod,eu")
    (shop,) = stack.services
    found = service_environment(stack, topology.compose(stack), shop)
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://tempo:4318"
    assert found["OTEL_SERVICE_NAME"] == "shop"
    assert found["OTEL_RESOURCE_ATTRIBUTES"] == "deployment.environment.name=pre%20prod%2Ceu"
    without = replace(stack, components=tuple(name for name in stack.components if name != "tempo"))
    for quiet in (service_environment(without, topology.compose(without), shop), _untraced()):
        assert not any(name.startswith("OTEL_") for name in quiet)


def test_spans_and_lines_go_to_one_endpoint() -> None:
    """Where the collector stands between, services send to it; lines are sent only by a service whose lines come by OTLP."""
    traces = replace(demo_stack().traces, backend="jaeger", through_collector=True)
    both, lines = (service(name, traces=name == "both", logs=Logs(format="json", source="otlp")) for name in ("both", "lines"))
    stack = demo_stack(components=("prometheus", "loki", "otelcol", "jaeger"), services=(service("shop"), both, lines), traces=traces)
    for where, endpoint in ((topology.compose(stack), "http://otelcol:4318"), (topology.native(stack, NATIVE), "http://127.0.0.1:4318")):
        found = [service_environment(stack, where, each) for each in stack.services]
        assert {each["OTEL_EXPORTER_OTLP_ENDPOINT"] for each in found} == {endpoint}
        assert [each["OTEL_TRACES_EXPORTER"] for each in found] == ["otlp", "otlp", "none"]
        assert [each["OTEL_LOGS_EXPORTER"] for each in found] == ["none", "otlp", "otlp"]
        assert {each["OTEL_METRICS_EXPORTER"] for each in found} == {"none"}


def test_services_find_each_other() -> None:
    """Every service with a port is at <NAME>_URL, wherever the runtime put it."""
    pay = service("pay-api", port=9000, host="pay.internal", run=None)
    worker = service("worker", port=0)
    stack = demo_stack(services=(service("shop"), pay, worker))
    found = service_environment(stack, topology.compose(stack), worker)
    assert (found["SHOP_URL"], found["PAY_API_URL"]) == ("http://shop:8000", "http://pay.internal:9000")
    assert "WORKER_URL" not in found
    assert "PORT" not in found


def test_the_forward_intake_is_named_for_those_that_send_to_it() -> None:
    """A service that logs to Fluentd is told where it is."""
    shop = service("shop", logs=Logs(format="json", source="fluentd"))
    stack = demo_stack(
        components=("prometheus", "loki", "fluentd"), services=(shop,), ports=ports() | {"fluentd-metrics": 24231, "fluentd-monitor": 24220}
    )
    found = service_environment(stack, topology.compose(stack), shop)
    assert (found["FLUENTD_HOST"], found["FLUENTD_PORT"]) == ("fluentd", "24224")


def test_the_spec_wins() -> None:
    """A variable that the spec gives a service replaces ours."""
    shop = service("shop")
    assert shop.run
    shop = replace(shop, run=replace(shop.run, environment={"PORT": "1", "OTEL_TRACES_EXPORTER": "none", "MINE": "x"}))
    stack = demo_stack(services=(shop,))
    found = service_environment(stack, topology.compose(stack), shop)
    assert (found["PORT"], found["OTEL_TRACES_EXPORTER"], found["MINE"]) == ("1", "none", "x")


def _untraced() -> dict[str, str]:
    shop = service("shop", traces=False)
    stack = demo_stack(services=(shop,))
    return service_environment(stack, topology.compose(stack), shop)
