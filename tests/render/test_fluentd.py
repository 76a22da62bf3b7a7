import json
import re
from typing import Any

import msgspec
import pytest

from specwatch import topology
from specwatch.render import fluentd
from specwatch.render._fluentd_text import FileContents, Section, dump
from specwatch.stack import Logs, SecretFile, Stack
from specwatch.stack.logs import Archive, Elasticsearch, Sinks
from tests import goldens, stacks
from tests.render import pipelines

UNSAFE = [
    pytest.param("match", "a>\n<source", {}, id="an-argument-that-closes-the-section"),
    pytest.param("match>", "", {}, id="a-name-that-closes-the-section"),
    pytest.param("match", "#{`id`}", {}, id="an-argument-with-embedded-ruby"),
    pytest.param("match", "", {"key value\n": "x"}, id="a-key-that-brings-its-own-line"),
    pytest.param("match", "", {"key": "nul\0"}, id="a-control-character-that-no-escape-writes"),
]


def intake() -> Stack:
    """Return the demo with Fluentd on and a service of each format that sends to it."""
    named = (stacks.service(f"shop-{name}", logs=Logs(format=name, source="fluentd")) for name in ("json", "logfmt", "text"))
    return stacks.demo_stack(components=(*stacks.COMPONENTS_ON, "fluentd"), services=tuple(named))


def shipping() -> Stack:
    """Return a stack whose shipper is Fluentd, with every stage and every sink."""
    search = Elasticsearch(url="https://search.example.com:9200", prefix="shop", user="writer", password=SecretFile("search_password"))
    sinks = Sinks(elasticsearch=search, archive=Archive(days=30))
    return msgspec.structs.replace(pipelines.every_stage("fluentd"), sinks=sinks)


def config(stack: Stack) -> str:
    """Return Fluentd's file under compose."""
    return fluentd.render(stack, topology.compose(stack))["fluentd/fluent.conf"]


def steps(text: str) -> list[tuple[str, Any]]:
    """Return kind and settings of each stage that the configuration gives to the plugin."""
    found = re.findall(r"^ *<stage>\n *kind (\S+)\n(?: *settings (.+)\n)? *</stage>$", text, re.MULTILINE)
    return [(kind, json.loads(parsed(settings)) if settings else {}) for kind, settings in found]


def parsed(text: str) -> str:
    """Return what Fluentd reads of one parameter's text: its rules for quoted values, in reverse."""
    if text[0] == "'":
        return re.sub(r"\\(['\\])", r"\1", text[1:-1])
    if text[0] == '"':
        assert not re.search(r"(?<!\\)(?:\\\\)*#\{", text), "embedded Ruby"
        named = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "b": "\b"}
        return re.sub(r"\\(.)", lambda escaped: named.get(escaped[1], escaped[1]), text[1:-1])
    return text


def test_the_demo_is_what_a_person_can_read() -> None:
    """The files of a stack with an intake for each format are the goldens."""
    stack = intake()
    goldens.check("demo", fluentd.render(stack, topology.compose(stack)))


def test_every_stage_is_what_a_person_can_read() -> None:
    """The files of a stack that Fluentd ships, with every stage and every sink, are the goldens."""
    stack = shipping()
    goldens.check("stages", fluentd.render(stack, topology.compose(stack)))


def test_a_stack_without_fluentd_has_no_files() -> None:
    """Fluentd is rendered only where it is on."""
    stack = stacks.demo_stack()
    assert fluentd.render(stack, topology.compose(stack)) == {}


@pytest.mark.parametrize("value", [*stacks.HOSTILE[1:], "#{`id`}", '"#{1}"', "a\n</match>\n<source>", "'", "\\", "[1, 2", "{", "a #b"])
def test_a_value_never_leaves_its_place(value: str) -> None:
    """Any text is written on one line, and Fluentd's rules for quoted values read the same text back."""
    lines = dump((Section(name="match", parameters={"key": value}),)).split("\n")
    assert lines[1] == "<match>"
    assert lines[3:] == ["</match>", ""]
    assert parsed(lines[2].removeprefix("  key ")) == value


@pytest.mark.parametrize(("name", "argument", "parameters"), UNSAFE)
def test_what_cannot_be_written_safely_is_refused(name: str, argument: str, parameters: dict[str, str]) -> None:
    """What the format has no escape for raises, and is never written."""
    with pytest.raises(ValueError, match="cannot be written"):
        dump((Section(name=name, argument=argument, parameters=parameters),))


def test_nothing_is_given_up() -> None:
    """Buffers lie on the data folder, are flushed by time, and retry without end; what Loki refuses for good goes to files."""
    text = config(intake())
    for setting in ("@type file", "path /fluentd/buffer/loki", "flush_mode interval", "retry_forever true", "overflow_action block"):
        assert f"      {setting}\n" in text
    assert re.search(r"<secondary>\n *@type secondary_file\n *directory /fluentd/buffer/refused\n", text)


@pytest.mark.parametrize("stack", [intake(), shipping(), pipelines.hostile("fluentd")], ids=["intake", "shipper", "hostile"])
def test_every_line_finds_its_way(stack: Stack) -> None:
    """Each label that something is sent to is there, once, and ends in a match for everything."""
    text = config(stack)
    bodies = re.findall(r"^<label (@\w+)>\n(.*?)^</label>$", text, re.MULTILINE | re.DOTALL)
    labels = [name for name, _ in bodies]
    assert len(set(labels)) == len(labels)
    assert set(re.findall(r"^ *(?:@label|timeout_label) (@\w+)$", text, re.MULTILINE)) <= set(labels)
    assert all(re.findall(r"^  <match (.*)>$", body, re.MULTILINE)[-1] == "**" for _, body in bodies)


@pytest.mark.parametrize("stack", [intake(), shipping(), pipelines.hostile("fluentd")], ids=["intake", "shipper", "hostile"])
def test_the_plugin_knows_every_stage(stack: Stack) -> None:
    """Each stage in the configuration is one that the plugin has, and its settings are JSON."""
    files = fluentd.render(stack, topology.compose(stack))
    known = re.findall(r"def do_(\w+)\(event", files["fluentd/plugins/specwatch_lines.rb"])
    found = steps(files["fluentd/fluent.conf"])
    assert len(found) == files["fluentd/fluent.conf"].count("<stage>")
    assert {kind for kind, _ in found} <= set(known)


def test_hostile_text_of_stages_stays_text() -> None:
    """What a stage holds arrives at the plugin exactly as it is in the spec, as JSON and never as Ruby."""
    found = steps(config(pipelines.hostile("fluentd")))
    written = {"text": "%s", "line": "{line}%s", "field": "{%s}"}
    lines = ["".join(written[kind] % text for kind, text in each["parts"]) for kind, each in found if kind == "line"]
    assert lines == [f"{text} {{line}} {text}" for text in pipelines.HOSTILE]
    labels = next(settings["values"] for kind, settings in found if kind == "labels")
    assert labels == {"component": list(pipelines.HOSTILE)}


def test_files_are_read_from_their_beginning_and_followed() -> None:
    """Each source keeps its positions on the data folder; a path is a path, whatever stands in it."""
    logs = Logs(format="json", source="files", files=("/var/log/100%/{a,b}/*.log", "/var/log/c|d.log"))
    stack = stacks.demo_stack(services=(stacks.service("old", logs=logs),), components=("loki", "fluentd"), shipper="fluentd")
    source = re.findall(r"<source>\n  @type tail\n(.*?)</source>", config(stack), re.DOTALL)[-1]
    settings = {key: parsed(value) for key, value in re.findall(r"^  (\S+) (.+)$", source, re.MULTILINE)}
    assert settings["path"].split(settings["path_delimiter"]) == ["/var/log/100%%/{a,b}/*.log", "/var/log/c|d.log"]
    assert settings["pos_file"] == "/fluentd/buffer/files_0.pos"
    assert (settings["read_from_head"], settings["follow_inodes"], settings["glob_policy"]) == ("true", "true", "always")


def test_fluentd_tails_nothing_beside_another_shipper() -> None:
    """As the intake beside another shipper Fluentd reads no files."""
    stack = stacks.demo_stack(components=(*stacks.COMPONENTS_ON, "fluentd"))
    assert "@type tail" not in config(stack)


def test_a_password_is_read_from_its_file() -> None:
    """The password's file is named, and nothing else of it stands in the configuration; its path cannot become Ruby."""
    assert "password \"#{File.read('/run/secrets/search_password').chomp}\"\n" in config(shipping())
    section = Section(name="match", parameters={"password": FileContents("/a'+`id`+'\\#{1}")})
    assert "password \"#{File.read('/a\\'+`id`+\\'\\\\#{1}').chomp}\"" in dump((section,))
    with pytest.raises(ValueError, match="cannot be written"):
        dump((Section(name="match", parameters={"password": FileContents("a\n")}),))


def test_sinks_are_there_where_they_are_wanted() -> None:
    """Elasticsearch gets indices by prefix and day, the archive is kept for its days; without them there is neither."""
    text = config(shipping())
    for setting in ("logstash_format true", "logstash_prefix shop", "logstash_dateformat '%Y.%m.%d'", "user writer"):
        assert f"    {setting}\n" in text
    assert "find /fluentd/buffer/archive -type f -mtime +30 -delete" in text
    alone = config(pipelines.every_stage("fluentd"))
    assert "elasticsearch" not in alone
    assert "archive" not in alone


def test_a_limit_is_each_services_own() -> None:
    """A limit is on the lines of one service, over a window that lets its burst through, and lets lines through again after it."""
    settings = re.findall(r"@type throttle\n(.*?)</filter>", config(shipping()), re.DOTALL)
    assert len(settings) == 1
    found = dict(re.findall(r"^ *(\S+) (\S+)$", settings[0], re.MULTILINE))
    assert (found["group_key"], found["group_bucket_period_s"], found["group_bucket_limit"]) == ("labels.service", "5", "500")
    assert found["group_reset_rate_s"] == "-1"


def test_the_image_pins_what_it_adds() -> None:
    """The base image is an argument with the pinned version, every gem has its version; only what reads Docker's files runs as root."""
    lines = fluentd.render(intake(), topology.compose(intake()))["fluentd/Dockerfile"].splitlines()
    assert lines[1:3] == ["ARG BASE=fluent/fluentd:v1.19.3-debian-2.2", "FROM ${BASE}"]
    gems = next(line for line in lines if "gem install" in line).partition("--no-document ")[2].split()
    assert all(re.fullmatch(r"[a-z-]+:\d+\.\d+\.\d+", gem) for gem in gems)
    assert lines[-1] == "USER 999:999"
    assert fluentd.render(shipping(), topology.compose(shipping()))["fluentd/Dockerfile"].splitlines()[-1] == "USER 0:0"


def test_it_sends_to_loki() -> None:
    """The push goes to the topology's Loki."""
    stack = intake()
    text = fluentd.render(stack, topology.native(stack, "/run/stack"))["fluentd/fluent.conf"]
    assert "    url http://127.0.0.1:3100\n" in text
