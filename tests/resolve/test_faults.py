"""What the resolver refuses: references to nothing, clashes, expressions that do not parse, settings that cannot work."""

from pathlib import Path

import pytest

from specwatch.errors import SpecError
from specwatch.resolve import resolve, understand
from specwatch.spec.loader import parse
from specwatch.spec.source import Source
from specwatch.stack import Stack
from tests.commandline import in_process

_FAULTS: list[tuple[str, str, str]] = [
    # References.
    (
        "receivers: {ops: {webhook: {}}}\nroutes: [{to: [opps]}]\n",
        "3:16",
        'no receiver is called "opps"; expected ops; did you mean "ops"?',
    ),
    ("routes: [{to: [ops]}]\n", "2:16", 'no receiver is called "ops"; there is no receiver at all'),
    ("stack: {watchdog: dead}\nreceivers: {ops: {webhook: {}}}\n", "2:19", 'no receiver is called "dead"; expected ops'),
    ("receivers: {o: {webhook: {}}}\nroutes: [{to: [o], mute: [x]}]\n", "3:27", 'no mute time is called "x"; there is no mute time at all'),
    ("receivers: {o: {webhook: {}}}\nroutes: [{to: [o], active: [x]}]\n", "3:29", 'no mute time is called "x"'),
    ("services: {shop: {uses: [htp]}}\n", "2:26", 'no pack is called "htp"; expected http or jobs; did you mean "http"?'),
    ("services: {shop: {uses: [http], tune: {Slow: {}}}}\n", "2:40", 'no alert of its packs is called "Slow"; expected HttpErrorRatioHigh'),
    ("alerts: {A: {expr: up, service: shop}}\n", "2:33", 'no service or target is called "shop"; there is no service or target at all'),
    ("alerts: {A: {expr: up, dashboard: sales}}\n", "2:35", 'no dashboard is called "sales"; there is no dashboard at all'),
    ("services: {a: {}}\nslos: {s: {service: b, objective: 99, good: up, total: up}}\n", "3:21", 'no service is called "b"; expected a'),
    ("metrics: {m: {type: gauge, help: M., services: [shop]}}\n", "2:49", 'no service is called "shop"'),
    (
        "dashboards: {d: {service: a, rows: [{title: R, panels: [{title: P, kind: text}]}]}}\n",
        "2:27",
        'no service is called "a"',
    ),
    ("services: {a: {run: {image: i, command: [x], depends_on: [b]}}}\n", "2:59", 'no service is called "b"; there is no service at all'),
    ("services: {a: {run: {image: i, command: [x], depends_on: [b]}}, b: {}}\n", "2:59", "b has no `run`: specwatch does not start it"),
    (
        "services:\n  a: {run: {image: i, command: [x], depends_on: [b]}}\n  b: {run: {image: i, command: [x], depends_on: [a]}}\n",
        "3:50",
        "b itself waits for a; one of the two has to start first",
    ),
    # Names and ports that are taken.
    ("services: {prometheus: {}}\n", "2:12", '"prometheus" is the name of a part of the stack; choose another'),
    ("targets: {loki: {probe: http://a}}\n", "2:11", '"loki" is the name of a part of the stack; choose another'),
    ("services: {a: {}}\ntargets: {a: {probe: http://a}}\n", "3:11", '"a" is the name of a service; choose another'),
    ("alerts: {TargetDown: {expr: up}}\n", "2:10", '"TargetDown" comes with a pack or with the stack already; choose another name'),
    ("alerts: {A: {expr: up}}\nlog_alerts: {A: {expr: '{a=\"b\"}'}}\n", "3:14", '"A" is an alert on metrics already; choose another name'),
    (
        "services: {s: {metrics: true, uses: [http]}}\nmetrics: {http_requests_total: {type: counter, help: R.}}\n",
        "3:11",
        '"http_requests_total" comes with a pack of s already; take it out',
    ),
    ("metrics: {m: {type: gauge, help: M.}}\nrecording_rules: {m: {expr: up}}\n", "3:19", '"m" is one of `metrics:` already'),
    ("stack: {ports: {prometheus: 3001}}\n", "2:", "port 3001 is"),
    ("services: {s: {run: {image: i, command: [x], publish: [9090]}}}\n", "2:56", "port 9090 is the component prometheus's already"),
    ("services: {s: {run: {image: i, command: [x], publish: [80, 80]}}}\n", "2:60", "port 80 is the service s's already"),
    # Expressions.
    ("alerts: {A: {expr: 'sum(up'}}\n", "2:20", "is not PromQL: "),
    ("alerts: {A: {expr: 'rate(up[$__rate_interval])'}}\n", "2:20", "is not PromQL: `$__…` is Grafana's and goes into panels alone"),
    ("recording_rules: {r: {expr: 'a b'}}\n", "2:29", "is not PromQL: "),
    ("services: {a: {}}\nslos: {s: {service: a, objective: 99, good: '(', total: up}}\n", "3:45", "is not PromQL: "),
    ("services: {a: {}}\nslos: {s: {service: a, objective: 99, good: up, total: ')'}}\n", "3:56", "is not PromQL: "),
    ("log_alerts: {A: {expr: up}}\n", "2:24", "is not LogQL: character 1: found up, expected {, a function or a number"),
    ("log_alerts: {A: {expr: '{a=\"b\"}'}}\n", "2:24", 'is a selector of streams, such as {service="shop"}, expected a query for numbers'),
    ("log_alerts: {A: {expr: 'rate({a=\"b\"}[$__auto])'}}\n", "2:24", "is not LogQL: `$__…` is Grafana's and goes into panels alone"),
    ("log_metrics: {m: {expr: 'rate({a=\"b\"})'}}\n", "2:25", "is not LogQL: character 13: found ), expected a duration in brackets"),
    ('log_metrics: {m: {expr: \'{a="b"} |= "x"\'}}\n', "2:25", "is a query for lines, expected a query for numbers"),
    ("logs: {retention: [{selector: '{a=~\".*\"}', keep: 2d}]}\n", "2:31", 'is not LogQL: character 1: {a=~".*"} selects every stream'),
    ("logs: {retention: [{selector: 'rate({a=\"b\"}[5m])', keep: 2d}]}\n", "2:31", "expected a selector of streams"),
    ("dashboards: {d: {rows: [{title: R, panels: [{title: P, source: loki, expr: up}]}]}}\n", "2:76", "is not LogQL: "),
    (
        "dashboards: {d: {rows: [{title: R, panels: [{title: P, source: loki, queries: [{expr: '{a=\"b\"}'}]}]}]}}\n",
        "2:87",
        "is a selector of streams, such as",
    ),
    (
        "dashboards: {d: {rows: [{title: R, panels: [{title: P, kind: logs, source: loki, expr: 'rate({a=\"b\"}[$__auto])'}]}]}}\n",
        "2:88",
        "is a query for numbers, such as",
    ),
    ("dashboards: {d: {rows: [{title: R, panels: [{title: P, expr: '((('}]}]}}\n", "2:62", "is not PromQL: "),
    ("dashboards: {d: {rows: [{title: R, panels: [{title: P, queries: [{expr: '('}]}]}]}}\n", "2:73", "is not PromQL: "),
    ("dashboards: {d: {rows: [{title: R, panels: [{title: P}]}]}}\n", "2:45", '"expr" is missing: what the panel draws'),
    ("dashboards: {d: {rows: [{title: R, panels: [{title: P, kind: text, expr: up}]}]}}\n", "2:45", "a text panel has `text` and no query"),
    (
        "dashboards: {d: {rows: [{title: R, panels: [{title: P, expr: up, queries: [{expr: up}]}]}]}}\n",
        "2:66",
        "goes not with `expr`; keep one of the two",
    ),
    # Figures.
    (
        "services: {a: {}}\nslos: {s: {service: a, objective: 100, good: up, total: up}}\n",
        "3:35",
        "found 100, expected a percentage between",
    ),
    ("services: {a: {}}\nslos: {s: {service: a, objective: -0.1, good: up, total: up}}\n", "3:35", "found -0.1, expected a percentage"),
    (
        "services: {a: {}}\nslos: {s: {service: a, objective: 9, good: up, total: up, window: 0s}}\n",
        "3:67",
        "found 0s, expected at least 1s",
    ),
    ("metrics: {h: {type: histogram, help: H., buckets: [1, 1]}}\n", "2:51", "the bounds must rise from one to the next"),
    ("metrics: {h: {type: gauge, help: H., buckets: [1]}}\n", "2:38", "only a histogram has buckets, and this is a gauge"),
    ("metrics: {orders: {type: counter, help: O.}}\n", "2:11", 'a counter\'s name ends in _total: write "orders_total"'),
    ("metrics: {m: {type: gauge, help: M., labels: {le: null}}}\n", "2:47", 'the label "le" is Prometheus\' own; choose another'),
    ("alerts: {A: {expr: up, labels: {severity: x}}}\n", "2:33", '"severity" has a setting of its own; take it out of the labels'),
    ("stack: {scrape_interval: 0s}\n", "2:26", "found 0s, expected at least 1s"),
    ("stack: {evaluation_interval: 0s}\n", "2:30", "found 0s, expected at least 1s"),
    ("stack: {retention: {logs: 23h}}\n", "2:27", "found 23h, expected 24h or more: Loki deletes nothing younger than a day"),
    ("stack: {retention: {metrics: 0d}}\n", "2:30", "found 0d, expected at least 1s"),
    ("stack: {retention: {traces: 0s}}\n", "2:29", "found 0s, expected at least 1s"),
    ("stack: {bind: 300.0.0.1}\n", "2:15", "found 300.0.0.1, expected an IP address of this host"),
    ("services: {a: {metrics: {port: 1, interval: 5s, timeout: 6s}}}\n", "2:58", "found 6s, expected at most the interval, 5s"),
    ("services: {a: {metrics: {port: 1, timeout: 11s}}}\n", "2:44", "found 11s, expected at most the interval, 10s"),
    ("mute_times: {m: [{days_of_month: [1, 0]}]}\n", "2:38", "found the number 0, expected a day of the month: 1 to 31, or -1 to -31"),
    ("stack: {components: {loki: false, promtail: true}}\n", "2:35", "carries logs to loki, which is off; switch this off too, or loki on"),
    # Settings that go not together, or that lack another.
    (
        "stack: {components: {loki: false}}\nlog_alerts: {A: {expr: 'rate({a=\"b\"}[5m])'}}\n",
        "3:1",
        "is computed by Loki, which is off: switch it on, or take this out",
    ),
    (
        "stack: {components: {prometheus: false}}\nlog_metrics: {m: {expr: 'rate({a=\"b\"}[5m])'}}\n",
        "3:1",
        "is written to Prometheus, which is off",
    ),
    ("stack: {components: {loki: false}}\nlogs: {retention: [{selector: '{a=\"b\"}', keep: 2d}]}\n", "3:8", "is Loki's, which is off"),
    (
        "services: {a: {metrics: {port: 1, basic: {username: u, password: {secret: p}}, bearer: {secret: b}}}}\n",
        "2:80",
        "goes not with `basic`",
    ),
    ("services: {a: {metrics: {targets: ['h:1'], dns: [d], port: 1}}}\n", "2:44", "goes not with `targets`; keep one of the two"),
    ("services: {a: {metrics: {}}}\n", "2:16", '"port" is missing: the port of the metrics endpoint'),
    ("targets: {t: {metrics: {dns: [d]}}}\n", "2:15", '"port" is missing: `dns` gives addresses only'),
    ("targets: {t: {metrics: {port: 1}}}\n", "2:25", "a target has no address of its own: write `targets: [host:port]`"),
    ("targets: {t: {}}\n", "2:11", "says neither what to scrape (`metrics`) nor what to probe (`probe`)"),
    ("targets: {t: {probe: /x}}\n", "2:22", "found the path /x, expected a URL: t has no address of its own"),
    ("services: {t: {probe: /x}}\n", "2:23", "found the path /x, expected a URL: t has no address of its own"),
    ("targets: {t: {probe: {url: 'http://a', module: tcp_connect}}}\n", "2:22", "found http://a, expected host:port for tcp_connect"),
    ("services: {a: {logs: {source: files}}}\n", "2:16", '"files" is missing: a list of globs'),
    ("services: {a: {logs: {source: fluentd, files: [x]}}}\n", "2:40", "files go with `source: files`"),
    (
        "services: {a: {logs: {stages: [{timestamp: {field: a b}}]}}}\n",
        "2:52",
        "found a b, expected a field of letters, digits and `_`; dots reach into nested objects",
    ),
    ("services: {a: {logs: {stages: [{level: {field: 5x}}]}}}\n", "2:48", "found 5x, expected a field of letters, digits"),
    ("services: {a: {run: {command: [x]}}}\n", "2:16", '"image" or "build" is missing: compose needs one of them'),
    ("receivers: {o: {}}\n", "2:13", "delivers to nobody; give it slack, email, pagerduty,"),
    (
        "stack: {components: {inbox: false}}\n",
        "1:1",
        '"receivers" is missing: without one, and without the inbox, no alert reaches anybody',
    ),
    ("stack: {components: {inbox: false}}\nreceivers: {o: {webhook: {}}}\n", "3:17", '"url" is missing: the inbox is off'),
    ("stack: {components: {inbox: false}}\nreceivers: {o: {email: {to: [a@b]}}}\n", "3:17", "`stack.smtp` is missing: which server takes"),
    ("overrides: {loki/lok.yml: {a: 1}}\n", "2:13", 'no generated file is called loki/lok.yml; did you mean "loki/loki.yml"?'),
]


@pytest.mark.parametrize(("text", "place", "message"), _FAULTS, ids=[case[2][:50] for case in _FAULTS])
def test_what_cannot_work_is_named_at_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, place: str, message: str
) -> None:
    """Ensure a spec whose form is right and whose meaning is not leaves with 2, says where and what to do, and writes nothing."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(f"version: 1\n{text}", encoding="utf-8")
    code = in_process("generate", "--file", str(spec))
    printed = capsys.readouterr()
    assert code == 2, printed.out
    assert any(line.startswith(f"{spec}:{place}") and message in line for line in printed.err.splitlines()), printed.err
    assert list(tmp_path.iterdir()) == [spec]


def _resolved(text: str) -> Stack:
    source = Source("spec.yaml", text)
    return resolve(parse(source), source)


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    """Ensure one run names every dangling reference and wrong expression, from the top of the file to its end."""
    text = """\
version: 1
routes:
  - {to: [nobody]}
alerts:
  Second: {expr: ")"}
  First: {expr: "(", service: none}
stack: {bind: 1.2.3}
services: {grafana: {}}
"""
    with pytest.raises(SpecError) as caught:
        _resolved(text)
    assert [problem.line for problem in caught.value.problems] == [3, 5, 6, 6, 7, 8]
    assert str(caught.value).splitlines()[0].startswith('spec.yaml:3:11: no receiver is called "nobody"')


def test_the_least_spec_is_a_whole_stack() -> None:
    """Ensure `version: 1` alone has every default: components, the inbox as receiver, the stack's own alerts and dashboard."""
    stack = _resolved("version: 1\n")
    assert {"prometheus", "alertmanager", "loki", "promtail", "tempo", "grafana", "inbox"} <= set(stack.components)
    assert stack.routing.receiver == "inbox"
    assert {"TargetDown", "Watchdog"} <= {alert.name for alert in stack.alerts}
    assert [board.uid for board in stack.dashboards] == ["stack"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('a="b"', ("a", "=", "b")),
        ('a!="=~"', ("a", "!=", "=~")),
        ('a =~ "x|y"', ("a", "=~", "x|y")),
        ('a!~"\\d+"', ("a", "!~", "\\d+")),
        ('a="\\\\n"', ("a", "=", "\\n")),
        ('a="\\\\\\\\n \\n \\""', ("a", "=", '\\\\n \n "')),
    ],
)
def test_a_matcher_means_what_alertmanager_reads(written: str, meant: tuple[str, str, str]) -> None:
    """Ensure operators and escapes of a matcher's text are told apart."""
    quoted = "'" + written + "'"
    route = _resolved(f"version: 1\nreceivers: {{o: {{webhook: {{}}}}}}\nroutes: [{{to: [o], match: [{quoted}]}}]\n").routing.routes[-1]
    assert [(matcher.label, matcher.operator, matcher.value) for matcher in route.matchers] == [meant]


def test_a_span_that_passes_midnight_becomes_two() -> None:
    """Ensure `22:00-06:00` reaches Alertmanager as the evening and the morning, and a span to midnight as one."""
    (interval,) = (
        _resolved("version: 1\nmute_times: {n: [{times: ['22:00-06:00', '20:00-24:00', '20:00-00:00']}]}\n").mute_times[0].intervals
    )
    assert [(span.start, span.end) for span in interval.times] == [
        ("22:00", "24:00"),
        ("00:00", "06:00"),
        ("20:00", "24:00"),
        ("20:00", "24:00"),
    ]


def test_what_is_said_twice_counts_once() -> None:
    """Ensure a pack or a receiver named twice is used once."""
    stack = _resolved(
        "version: 1\nservices: {s: {metrics: true, uses: [http, http]}}\nreceivers: {o: {webhook: {}}}\nroutes: [{to: [o, o]}]\n"
    )
    assert stack.services[0].packs == ("http",)
    assert [row.title for row in stack.dashboards[1].rows].count("Requests") == 1
    assert stack.routing.routes[-1].receiver == "o"


def test_tuning_reaches_the_alert() -> None:
    """Ensure a tuned threshold, time, severity and runbook are the alert's, and that `enabled: false` takes it out."""
    stack = _resolved(
        """\
version: 1
services:
  s:
    metrics: true
    uses: [http]
    tune:
      HttpErrorRatioHigh: {threshold: 1, for: 3m, severity: info, runbook: https://example.com/x}
      HttpLatencyHigh: {enabled: false}
"""
    )
    (alert,) = [alert for alert in stack.alerts if alert.service == "s"]
    assert (alert.name, alert.for_seconds, alert.severity, alert.runbook_url) == (
        "HttpErrorRatioHigh",
        180,
        "info",
        "https://example.com/x",
    )
    assert alert.expr.endswith("> 1")
    assert 'job="s"' in alert.expr


def test_faults_of_form_and_of_meaning_are_told_together(tmp_path: Path) -> None:
    """A wrong key in one entry hides nothing that is wrong with the others, and nobody is told that the faulty entry is missing."""
    file = tmp_path / "spec.yaml"
    file.write_text(
        "version: 1\n"
        "services: {shop: {teams: web}}\n"
        "receivers: {ops: {slack: {}}, oncall: {mail: {}}}\n"
        "alerts: {Slow: {service: shop, expr: 'rate(x'}}\n"
        "routes: [{to: [oncall, opps]}]\n"
    )
    with pytest.raises(SpecError) as caught:
        understand(file)
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [(2, 19), (3, 40), (4, 38), (5, 24)]
