import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import promql_parser
import pytest
import yaml

from specwatch import dashboards, names, topology
from specwatch.catalog.stack_dashboard import stack_dashboard
from specwatch.render import grafana
from specwatch.stack import Dashboard, Job, Panel, Row, Stack
from tests import npm, stacks

GRAFANA: Final = Path(__file__).parent.parent / "grafana"
DATASOURCES: Final = "grafana/provisioning/datasources/specwatch.yml"
PROVIDER: Final = "grafana/provisioning/dashboards/specwatch.yml"
VALUES: Final = {"$__rate_interval": "1m", "$__range": "1h", "$__interval": "1m", "$instance": "a:1"}
PROMETHEUS, LOKI, TEMPO = "${datasource}", "${loki_datasource}", "${tempo_datasource}"


def every_panel() -> Dashboard:
    """Return a dashboard with every kind of panel, from every source that it can have, with and without what is optional."""
    queries = {
        "prometheus": (("histogram_quantile(0.9, sum by (le) (rate(x_bucket[$__rate_interval])))", "{{le}}"), ("sum(rate(x[1m]))", "sum")),
        "loki": (('sum by (level) (count_over_time({service="shop"}[$__auto]))', "{{level}}"),),
        "tempo": (("{ duration > 1s }", ""),),
    }
    panels = [
        Panel(
            title=f"{kind} of {source} {variant}",
            kind=kind,
            source=source,
            queries=queries[source],
            description="Why it matters." if variant else "",
            unit="percentunit" if variant else "short",
            thresholds=((Decimal("0.5"), "yellow"), (Decimal("0.999"), "green")) if variant else (),
            stacked=bool(variant),
            width=7,
        )
        for kind in ("timeseries", "stat", "gauge", "table", "bargauge", "heatmap", "logs")
        for source in ("prometheus", "loki", "tempo")
        for variant in (0, 1)
    ]
    text = Panel(title="Read me", kind="text", source="", queries=(), text="# Hello")
    wide = Panel(title="Many", kind="timeseries", source="prometheus", queries=tuple((f"up * {n}", f"{n}") for n in range(30)), width=99)
    return Dashboard(uid="every", title="Every panel", rows=(Row(title="All", panels=(*panels, text, wide)), Row(title="", panels=(text,))))


def hostile() -> Dashboard:
    """Return a dashboard with hostile text in every place for free text."""
    return Dashboard(
        uid="hostile",
        title=stacks.HOSTILE[3],
        tags=stacks.HOSTILE,
        rows=tuple(
            Row(
                title=text,
                panels=(
                    Panel(title=text, kind="stat", source="prometheus", queries=(("up", text),), description=text, unit=text),
                    Panel(title=text, kind="text", source="", queries=(), text=text),
                ),
            )
            for text in stacks.HOSTILE
        ),
    )


def shop_dashboard() -> Dashboard:
    """Return the demo shop's dashboard as the spec's resolver makes it, with a panel that has a variable."""
    chosen = Panel(
        title="By instance",
        kind="timeseries",
        source="prometheus",
        queries=(('sum by (instance) (rate(orders_total{instance=~"$instance"}[$__rate_interval]))', "{{instance}}"),),
    )
    return dashboards.service_dashboard(
        "shop", "web", (Row(title="Orders", panels=(chosen,)),), has_logs=True, has_probe=True, jobs=("shop", "shop-extra")
    )


def stack_with(*more: Dashboard, **changes: Any) -> Stack:
    """Return the demo stack with every kind of job, its own dashboard, the shop's and `more`."""
    demo = stacks.demo_stack(jobs=(*stacks.component_jobs(*stacks.COMPONENTS_ON, "otelcol"), *stacks.full_jobs()))
    return msgspec.structs.replace(demo, **{"dashboards": (stack_dashboard(demo), shop_dashboard(), *more)} | changes)


def render(stack: Stack) -> dict[str, str]:
    """Return Grafana's files under compose."""
    return grafana.render(stack, topology.compose(stack))


def dashboard(stack: Stack, uid: str) -> Any:
    """Return one rendered dashboard."""
    return json.loads(render(stack)[f"grafana/dashboards/{uid}.json"])


def queries(board: Any) -> Iterator[tuple[Any, str]]:
    """Return every target of the dashboard with its datasource's uid."""
    return ((target, target["datasource"]["uid"]) for panel in board["panels"] for target in panel.get("targets", ()))


def all_dashboards() -> list[Any]:
    """Return everything that can be drawn."""
    files = render(stack_with(every_panel(), hostile(), *stacks.demo_stack().dashboards))
    return [json.loads(text) for path, text in files.items() if path.startswith("grafana/dashboards/")]


@pytest.fixture(scope="session")
def grafana_types() -> Path:
    """Return a folder whose node_modules holds the TypeScript compiler and Grafana's types."""
    return npm.installed(GRAFANA)


def typecheck(folder: Path, types: Path, source: str) -> str:
    """Return what the TypeScript compiler says about `source`; nothing when it is right."""
    for name in ("types.ts", "tsconfig.json"):
        shutil.copy(GRAFANA / name, folder)
    (folder / "generated.ts").write_text(source, encoding="utf-8")
    (folder / "node_modules").symlink_to(types / "node_modules")
    command = [str(types / "node_modules" / ".bin" / "tsc"), "--project", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300).stdout


def typed(values: list[tuple[str, Any]]) -> str:
    """Return TypeScript that declares each value to be of the named type."""
    kinds = ", ".join(sorted({kind for kind, _ in values}))
    declared = [f"export const v{index}: {kind} = {json.dumps(value)};" for index, (kind, value) in enumerate(values)]
    return "\n".join([f"import type {{ {kinds} }} from './types';", *declared])


@pytest.mark.engine
def test_everything_has_the_shape_of_grafanas_own_types(grafana_types: Path, tmp_path: Path) -> None:
    """Every dashboard and provisioning file is accepted by the TypeScript compiler against @grafana/schema."""
    files = render(stack_with())
    values = [("GeneratedDashboard", board) for board in all_dashboards()]
    values += [("GeneratedDatasources", yaml.safe_load(files[DATASOURCES])), ("GeneratedProvider", yaml.safe_load(files[PROVIDER]))]
    assert typecheck(tmp_path, grafana_types, typed(values)) == ""


@pytest.mark.engine
def test_the_shape_check_notices_a_wrong_option(grafana_types: Path, tmp_path: Path) -> None:
    """Misspelt options, fields, query settings and wrong values are each refused, so the check above means something."""
    wrongs: tuple[tuple[str, str, object], ...] = (
        ("timeseries", "options.legend.placement", "up"),
        ("timeseries", "options.tooltipp", {}),
        ("timeseries", "fieldConfig.defaults.custom.lineWidht", 1),
        ("gauge", "fieldConfig.defaults.custom", {"lineWidth": 1}),
        ("gauge", "options.showThresholdLabel", True),
        ("logs", "options.wrapLogMessages", True),
        ("stat", "fieldConfig.defaults.thresholds.mode", "relative"),
        ("table", "targets.0.step", 3),
        ("heatmap", "gridPos.x", "0"),
    )
    boards = []
    for kind, path, wrong in wrongs:
        board = dashboard(stack_with(every_panel()), "every")
        *parents, last = path.split(".")
        place = next(panel for panel in board["panels"] if panel["type"] == kind)
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        place[last] = wrong
        boards.append(("GeneratedDashboard", board))
    said = typecheck(tmp_path, grafana_types, typed(boards))
    noticed = {int(line) - 2 for line in re.findall(r"generated\.ts\((\d+),", said)}
    assert noticed == set(range(len(wrongs))), said


def test_ids_and_ref_ids_are_unique() -> None:
    """Panel ids count from one without a gap, and a panel's refIds differ from each other."""
    for board in all_dashboards():
        assert [panel["id"] for panel in board["panels"]] == list(range(1, len(board["panels"]) + 1))
        for panel in board["panels"]:
            ref_ids = [target["refId"] for target in panel.get("targets", ())]
            assert len(set(ref_ids)) == len(ref_ids)
            assert all(re.fullmatch("[A-Z]+", ref_id) for ref_id in ref_ids)


def test_panels_do_not_overlap_and_stay_on_the_page() -> None:
    """No two panels share a cell of the grid, and none is wider than the page."""
    for board in all_dashboards():
        cells: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert at["x"] + at["w"] <= 24
            assert not cells & own
            cells |= own


def test_every_datasource_is_a_variable_that_leads_to_a_provisioned_uid() -> None:
    """Each panel, query, variable and annotation names a datasource that the dashboard declares and the provisioning file has."""
    files = render(stack_with())
    provisioned = {source["uid"] for source in yaml.safe_load(files[DATASOURCES])["datasources"]}
    for board in all_dashboards():
        declared = {
            f"${{{item['name']}}}": item["current"]["value"] for item in board["templating"]["list"] if item["type"] == "datasource"
        }
        used = {uid for _, uid in queries(board)} | {panel["datasource"]["uid"] for panel in board["panels"] if "datasource" in panel}
        used |= {item["datasource"]["uid"] for item in board["templating"]["list"] if item["type"] == "query"}
        used |= {item["datasource"]["uid"] for item in board["annotations"]["list"] if "builtIn" not in item}
        assert used == declared.keys()
        assert set(declared.values()) <= provisioned


def test_every_promql_expression_parses() -> None:
    """Each Prometheus query, annotation and variable query of every dashboard is PromQL once its variables have values."""
    seen = 0
    for board in all_dashboards():
        expressions = [target["expr"] for target, uid in queries(board) if uid == PROMETHEUS]
        expressions += [item["target"]["expr"] for item in board["annotations"]["list"] if "target" in item]
        for item in board["templating"]["list"]:
            if item["type"] == "query":
                expressions.append(re.sub(r"label_values\((.*), \w+\)", r"\1", item["query"]["query"]))
        for expression in expressions:
            for variable, value in VALUES.items():
                expression = expression.replace(variable, value)  # noqa: PLW2901  # one value after the other
            promql_parser.parse(expression)
            assert "$" not in expression
            seen += 1
    assert seen > 100


def test_hostile_text_stays_in_its_place() -> None:
    """Titles, legends, units, tags and texts come back exactly as they went in."""
    board = dashboard(stack_with(hostile()), "hostile")
    assert board["tags"] == ["specwatch", *stacks.HOSTILE]
    stats = [panel for panel in board["panels"] if panel["type"] == "stat"]
    assert [panel["title"] for panel in stats] == list(stacks.HOSTILE)
    assert [panel["fieldConfig"]["defaults"]["unit"] for panel in stats] == list(stacks.HOSTILE)
    assert [panel["options"]["content"] for panel in board["panels"] if panel["type"] == "text"] == list(stacks.HOSTILE)


def test_dollars_in_provisioning_files_are_doubled() -> None:
    """Grafana would read `$name` as an environment variable; what it reads after that is what was meant."""
    files = render(stack_with(name="a$HOME", environment="${PATH}"))
    for text in (files[DATASOURCES], files[PROVIDER]):
        assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", text)
    assert "folder: 'a$$HOME ($${PATH})'" in files[PROVIDER]
    assert "{$${__tags}} | trace_id=" in files[DATASOURCES]


def test_datasources_are_those_of_the_components_that_are_on() -> None:
    """Without Tempo no link leads to it, and its datasource is pruned."""
    everything = yaml.safe_load(render(stack_with())[DATASOURCES])
    assert [source["uid"] for source in everything["datasources"]] == ["prometheus", "loki", "tempo", "alertmanager"]
    few = yaml.safe_load(render(stack_with(components=("prometheus", "loki", "grafana")))[DATASOURCES])
    assert few["prune"] is True
    assert [source["uid"] for source in few["datasources"]] == ["prometheus", "loki"]
    assert "tempo" not in json.dumps(few)
    assert "alertmanager" not in json.dumps(few)


def test_links_between_datasources_lead_to_datasources() -> None:
    """Every datasourceUid and alertmanagerUid in the settings is the uid of a datasource in the same file."""
    text = render(stack_with())[DATASOURCES]
    uids = {source["uid"] for source in yaml.safe_load(text)["datasources"]}
    assert set(re.findall(r"(?:datasourceUid|alertmanagerUid): (\w+)", text)) == uids


@pytest.mark.parametrize("counting", [True, False])
def test_jaeger_is_linked_as_tempo_is(counting: bool) -> None:
    """Where Jaeger keeps the traces, metrics and lines lead to it and it leads back: to metrics only where they are made of spans."""
    traces = msgspec.structs.replace(stacks.demo_stack().traces, backend="jaeger", through_collector=True, span_metrics=counting)
    text = render(stack_with(traces=traces, components=("prometheus", "loki", "otelcol", "jaeger", "grafana")))[DATASOURCES]
    found = {source["uid"]: source for source in yaml.safe_load(text.replace("$$", "$"))["datasources"]}
    assert set(found) == {"prometheus", "loki", "jaeger"}
    assert found["jaeger"]["url"] == "http://jaeger:16686"
    assert {each["datasourceUid"] for each in found["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]} == {"jaeger"}
    assert found["loki"]["jsonData"]["derivedFields"][0]["datasourceUid"] == "jaeger"
    settings = found["jaeger"]["jsonData"]
    assert settings["tracesToLogsV2"]["query"] == '{service=~".+"} | trace_id="${__trace.traceId}"'
    assert ("tracesToMetrics" in settings) is counting
    if counting:
        assert settings["tracesToMetrics"]["tags"] == [{"key": "service"}]


def test_somebody_elses_traces_have_no_datasource() -> None:
    """With an endpoint outside there is nothing in the stack that Grafana could ask, and no link to it."""
    traces = msgspec.structs.replace(stacks.demo_stack().traces, backend="otlp", endpoint="https://a.example.com", through_collector=True)
    text = render(stack_with(traces=traces, components=("prometheus", "loki", "otelcol", "grafana")))[DATASOURCES]
    assert [source["uid"] for source in yaml.safe_load(text)["datasources"]] == ["prometheus", "loki"]
    assert "Open the trace" not in text


def test_rates_of_a_slow_job_span_its_own_interval() -> None:
    """A panel that asks a job scraped every minute has that as its interval, or $__rate_interval would hold one sample."""
    slow = Job(name="shop", owner="shop", team="web", discovery="address", interval_seconds=60)
    query = ('rate(orders_total{job="shop"}[$__rate_interval])', "")
    other = ('rate(x_total{job="other"}[$__rate_interval])', "")
    rows = (
        Row(title="", panels=tuple(Panel(title="x", kind="timeseries", source="prometheus", queries=(one,)) for one in (query, other))),
    )
    board = Dashboard(uid="free", title="Free", rows=rows)
    stack = stack_with(board, jobs=(slow,))
    assert [target.get("interval") for target, _ in queries(dashboard(stack, "free"))] == ["1m", None]
    assert {target.get("interval") for target, uid in queries(dashboard(stack, "svc-shop")) if uid == PROMETHEUS} == {"1m"}


@pytest.mark.parametrize(
    ("thresholds", "steps"),
    [
        (((1, "red"),), [("green", None), ("red", 1)]),
        (((1, "yellow"), (2, "green")), [("red", None), ("yellow", 1), ("green", 2)]),
        (((0, "green"), (1, "red")), [("green", None), ("red", 1)]),
        ((), [("blue", None)]),
    ],
)
def test_below_the_first_threshold_holds_what_the_steps_lead_away_from(thresholds: Any, steps: list[tuple[str, int | None]]) -> None:
    """Colours begin at minus infinity: with the step at zero where there is one, with the opposite of the last one elsewhere."""
    values = tuple((Decimal(value), colour) for value, colour in thresholds)
    panel = Panel(title="x", kind="stat", source="prometheus", queries=(("up", ""),), thresholds=values)
    board = dashboard(stack_with(Dashboard(uid="one", title="One", rows=(Row(title="", panels=(panel,)),))), "one")
    written = board["panels"][0]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["color"], step["value"]) for step in written] == steps


def test_figures_are_asked_for_as_they_are_now() -> None:
    """A stat, gauge or table asks an instant query, so that a series that ended does not show its last value as if it were alive."""
    for board in all_dashboards():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                if target["datasource"]["uid"] == PROMETHEUS:
                    assert target["instant"] is (panel["type"] in {"stat", "gauge", "bargauge", "table"})
                    assert target["range"] is not target["instant"]


def test_a_services_dashboard_shows_its_own_alerts_logs_and_instances() -> None:
    """Alerts and log streams are chosen by the label `service`, and the variable `instance` lists the service's own targets."""
    stack = stack_with(jobs=(Job(name="shop", owner="shop", team="web", discovery="address"),))
    board = dashboard(stack, names.dashboard_uid("shop"))
    assert board["annotations"]["list"][1]["target"]["expr"] == 'ALERTS{alertstate="firing",alertname!="Watchdog",service="shop"}'
    instance = next(item for item in board["templating"]["list"] if item["name"] == "instance")
    assert instance["query"]["query"] == 'label_values(up{job="shop"}, instance)'
    assert [target["expr"] for target, uid in queries(board) if uid == LOKI][-1] == '{service="shop"}'
    assert [panel["title"] for panel in board["panels"] if panel["type"] == "row"] == ["Overview", "Orders", "Logs"]


def test_a_service_without_metrics_logs_or_alerts_has_no_panels_about_them() -> None:
    """Nothing is drawn that could only ever be empty."""
    rows = dashboards.service_dashboard("cron", "", (), has_logs=False, has_probe=False, jobs=(), has_alerts=False).rows
    assert rows == ()


def test_a_dashboard_without_the_variable_has_no_variable() -> None:
    """`instance` is declared only where a query uses it."""
    board = dashboard(stacks.demo_stack(), "shop")
    assert [item["name"] for item in board["templating"]["list"]] == ["datasource", "loki_datasource"]


def test_matchers_escape_what_promql_and_regular_expressions_read() -> None:
    """One value is compared as it is; several become a regular expression of literal texts."""
    assert dashboards.matcher("job", ("a.b",)) == 'job="a.b"'
    assert dashboards.matcher("job", ('a"b\\',)) == 'job="a\\"b\\\\"'
    assert dashboards.matcher("job", ("a.b", "c|d")) == 'job=~"a\\\\.b|c\\\\|d"'
    promql_parser.parse(f"up{{{dashboards.matcher('job', stacks.HOSTILE)}}}")


def test_the_stacks_own_dashboard_has_a_row_for_each_component_that_is_scraped() -> None:
    """A component that is off, or not scraped, is not drawn."""
    every = ("prometheus", "alertmanager", "loki", "promtail", "tempo", "blackbox", "inbox", "node")
    full = stack_dashboard(stacks.demo_stack(jobs=stacks.component_jobs(*every)))
    assert [row.title for row in full.rows] == [
        "Overview",
        "Scrapes",
        "Prometheus",
        "Alertmanager",
        "Loki",
        "Promtail",
        "Inbox",
        "Host",
        "Probes",
    ]
    few = stack_dashboard(stacks.demo_stack(jobs=stacks.component_jobs("prometheus", "otelcol"), probes=()))
    assert [row.title for row in few.rows] == ["Overview", "Scrapes", "Prometheus", "OpenTelemetry Collector"]


def test_grafana_starts_closed_and_reads_its_password_from_a_file() -> None:
    """No anonymous user, no sign-up, no password in the environment, nothing sent to the internet."""
    stack = stack_with()
    variables = grafana.environment(stack, topology.compose(stack))
    assert variables["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_admin_password"  # noqa: S105  # a path
    assert "GF_SECURITY_ADMIN_PASSWORD" not in variables
    assert variables["GF_AUTH_ANONYMOUS_ENABLED"] == variables["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert variables["GF_SERVER_ROOT_URL"] == "http://127.0.0.1:3001/"
    assert variables["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == "/etc/grafana/dashboards/stack.json"
    written = [variables[f"GF_PATHS_{name}"] for name in ("DATA", "LOGS", "PLUGINS")]
    assert all(path.startswith("/var/lib/grafana") for path in written)


def test_natively_grafana_reads_below_the_run_folder() -> None:
    """The same files serve a child process: its paths lie below the run folder, its password is read by Grafana itself."""
    stack = stack_with()
    native = topology.native(stack, "/run/x")
    variables = grafana.environment(stack, native)
    assert variables["GF_SECURITY_ADMIN_PASSWORD"] == "$__file{/run/x/secrets/grafana/grafana_admin_password}"  # noqa: S105  # a path
    provider = yaml.safe_load(grafana.render(stack, native)[PROVIDER])["providers"][0]
    assert provider["options"]["path"] == "/run/x/config/grafana/dashboards"
    assert (variables["GF_SERVER_HTTP_ADDR"], variables["GF_SERVER_HTTP_PORT"]) == ("127.0.0.1", "3001")
