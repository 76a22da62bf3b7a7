"""Pages that show one request."""

import json
from collections.abc import Container
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

from specwatch import promql
from specwatch.engines.trace import lines
from specwatch.engines.trace.model import Exemplar, Trace
from specwatch.names import JAEGER_UID, LOKI_UID, TEMPO_UID
from specwatch.stack import Stack

_SECOND: Final = 10**9
_AROUND: Final = 300 * _SECOND
_UIDS: Final = {"tempo": TEMPO_UID, "jaeger": JAEGER_UID}


def links(stack: Stack, running: Container[str], backend: str, trace: Trace) -> tuple[tuple[str, str], ...]:
    """Return (title, URL) of each page that shows what was found, of the parts that run. `backend` is the traces', or empty."""
    found = []
    if "grafana" in running:
        if trace.lines:
            query = {"refId": "A", "expr": lines.query(trace.id)}
            found.append(("Log lines in Grafana", _explore(stack, "loki", LOKI_UID, query, trace)))
        if trace.spans and backend in _UIDS:
            query = {"refId": "A", "query": trace.id, "queryType": "traceql" if backend == "tempo" else ""}
            found.append(("Trace in Grafana", _explore(stack, backend, _UIDS[backend], query, trace)))
    if trace.spans and backend == "jaeger":
        found.append(("Trace in Jaeger", stack.link("jaeger", f"trace/{trace.id}")))
    if trace.exemplars:
        found.append(("Metric in Prometheus", _graph(stack, trace.exemplars[0])))
    return tuple(found)


def _explore(stack: Stack, kind: str, uid: str, query: dict[str, str], trace: Trace) -> str:
    first, last = trace.times
    pane = {
        "datasource": uid,
        "queries": [{**{key: text for key, text in query.items() if text}, "datasource": {"type": kind, "uid": uid}}],
        "range": {"from": str((first - _AROUND) // 10**6), "to": str((last + _AROUND) // 10**6)},
    }
    panes = json.dumps({"one": pane}, separators=(",", ":"))
    return stack.link("grafana", f"explore?schemaVersion=1&orgId=1&panes={quote(panes, safe='')}")


def _graph(stack: Stack, exemplar: Exemplar) -> str:
    matchers = ",".join(f"{name}={promql.quote(text)}" for name, text in sorted(exemplar.labels.items()) if name in {"job", "service"})
    end = datetime.fromtimestamp((exemplar.time + _AROUND) / _SECOND, UTC)
    wanted = {
        "g0.expr": f"rate({exemplar.metric}{{{matchers}}}[1m])",
        "g0.tab": "graph",
        "g0.show_exemplars": "1",
        "g0.range_input": "15m",
        "g0.end_input": f"{end:%Y-%m-%d %H:%M:%S}",
    }
    return stack.link("prometheus", f"query?{urlencode(wanted)}")
