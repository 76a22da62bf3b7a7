import re

import pytest
import yaml

from specwatch import topology
from specwatch.render import fluentd
from specwatch.render._fluentd_text import Section, dump
from specwatch.stack import Logs, Stack
from tests import goldens, stacks

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
    """The buffer lies on the data folder, is flushed by time, and retries without end."""
    text = fluentd.render(intake(), topology.compose(intake()))["fluentd/fluent.conf"]
    for setting in ("@type file", "path /fluentd/buffer/loki", "flush_mode interval", "retry_forever true", "overflow_action block"):
        assert f"    {setting}\n" in text


def test_the_image_pins_what_it_adds() -> None:
    """The base image is an argument with the pinned version, every gem has its version, and it does not run as root."""
    lines = fluentd.render(intake(), topology.compose(intake()))["fluentd/Dockerfile"].splitlines()
    assert lines[1:3] == ["ARG BASE=fluent/fluentd:v1.19.3-debian-2.2", "FROM ${BASE}"]
    gems = next(line for line in lines if "gem install" in line).partition("--no-document ")[2].split()
    assert all(re.fullmatch(r"[a-z-]+:\d+\.\d+\.\d+", gem) for gem in gems)
    assert lines[-1] == "USER 999:999"


def test_it_sends_to_loki_with_the_two_labels() -> None:
    """The push goes to the topology's Loki, under `service` and `level` and nothing else."""
    stack = intake()
    text = fluentd.render(stack, topology.native(stack, "/run/stack"))["fluentd/fluent.conf"]
    assert "  url http://127.0.0.1:3100\n" in text
    label = text.partition("  <label>\n")[2].partition("  </label>")[0]
    assert yaml.safe_load(re.sub(r"^ *(\S+) ", r"\1: ", label, flags=re.MULTILINE)) == {"service": "$.service", "level": "$.level"}
