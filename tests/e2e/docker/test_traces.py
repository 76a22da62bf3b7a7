"""Traces under compose: from an application on the host through the collector to Jaeger, which keeps them on its volume."""

import time
from typing import Any, Final

import pytest

from specwatch.names import COMPOSE_FILE
from tests.e2e.conftest import Need
from tests.e2e.docker.clone import Clone
from tests.e2e.docker.conftest import MakeClone
from tests.e2e.project import free_ports
from tests.tools import wait_for

pytestmark = pytest.mark.docker

OFF: Final = dict.fromkeys(("alertmanager", "loki", "promtail", "grafana", "blackbox", "node"), False)
FAILED: Final = "0af7651916cd43dd8448eb211c80319c"
ORDINARY: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
SECOND: Final = 1_000_000_000


@pytest.fixture(scope="module")
def traced(make_clone: MakeClone, need: Need) -> Clone:
    """Give a stack that keeps failed traces alone, in Jaeger."""
    need("jaeger", "otelcol", "prometheus")
    clone = make_clone()
    clone.ports = {**clone.ports, "jaeger": free_ports(1)[0]}
    clone.write_spec(
        {
            "version": 1,
            "stack": {"components": OFF},
            "services": {"shop": {"traces": True}},
            "traces": {"backend": "jaeger", "sampling": {"ratio": 0, "wait": "1s"}},
        }
    )
    clone.engine.make_images(clone.folder / COMPOSE_FILE)
    clone.up()
    return clone


def _spans(*trace_ids: str) -> dict[str, Any]:
    """Return OTLP's JSON for one span of the shop in each trace; that of the trace FAILED failed."""
    now = time.time_ns()
    spans = [
        {
            "traceId": trace_id,
            "spanId": trace_id[:16],
            "name": "GET /",
            "kind": 2,
            "startTimeUnixNano": str(now - SECOND // 100),
            "endTimeUnixNano": str(now),
            "status": {"code": 2 if trace_id == FAILED else 0},
        }
        for trace_id in trace_ids
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}


def _kept(clone: Clone) -> set[str]:
    found = clone.get("jaeger", "/api/traces?service=shop&limit=100")
    return {trace["traceID"] for trace in found["data"]} if found else set()


def test_spans_from_outside_are_counted_sampled_and_kept(traced: Clone) -> None:
    """Ensure that of two traces sent to the published port, Prometheus counts both and Jaeger has the failed one."""
    traced.send("otlp-http", "/v1/traces", _spans(ORDINARY, FAILED))
    wait_for("the failed trace", lambda: _kept(traced) == {FAILED})
    counted = "/api/v1/query?query=sum(traces_spanmetrics_calls_total)"
    wait_for("both in Prometheus", lambda: [row["value"][1] for row in traced.get("prometheus", counted)["data"]["result"]] == ["2"], 45)


def test_traces_outlive_jaegers_container(traced: Clone) -> None:
    """Ensure that Jaeger, as a user who is not root, writes to its volume, and that a new container finds what the old one kept."""
    traced.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "--pull", "never", "jaeger")
    assert wait_for("the trace in the new container", lambda: _kept(traced)) == {FAILED}
    assert traced.compose("exec", "jaeger", "stat", "-c", "%u", "/var/tmp/badger").strip() == "10001"  # noqa: S108 - in the container
