"""Stream selectors and what comes behind them: line filters, parsers, filters on labels, formats, `unwrap`."""

from collections.abc import Callable
from typing import Final

from specwatch.logql import contents
from specwatch.logql.cursor import Cursor, Reading
from specwatch.logql.tree import LogqlError, Matcher
from specwatch.logql.words import CONVERSIONS, LABEL_FILTERS, LINE_FILTERS, TEXT_FILTERS

_QUANTITIES: Final = frozenset({"bytes", "duration"})


class Pipelines(Cursor):
    """Reads one stage after another into a `Reading`."""

    def _selector(self) -> tuple[Matcher, ...]:
        opened = self._peek().at
        self._expect("{")
        found: list[Matcher] = []
        selects = False
        while not self._is("}"):
            if found:
                self._expect(",")
            matcher, matches_empty = self._matcher()
            found.append(matcher)
            selects = selects or not matches_empty
        self._expect("}")
        if not selects:
            shown = ", ".join(f'{each.label}{each.op}"{each.value}"' for each in found)
            remedy = 'one matcher must not match an empty value, as service=~".+" does'
            raise LogqlError(f"character {opened + 1}: {{{shown}}} selects every stream: {remedy}")
        return tuple(found)

    def _matcher(self) -> tuple[Matcher, bool]:
        """Read a matcher on a label's text, and tell whether it matches an empty one."""
        label = self._word("a label's name")
        if self._peek().text not in TEXT_FILTERS:
            raise self._wrong("=, !=, =~ or !~")
        operator = self._take().text
        at = self._peek().at
        value = self._string()
        equal_to_empty = contents.expression(value, at).matches_empty if operator in {"=~", "!~"} else not value
        return Matcher(label, operator, value), equal_to_empty == (operator in {"=", "=~"})

    def _at_stage(self) -> bool:
        return self._is("|", *LINE_FILTERS)

    def _at_unwrap(self) -> bool:
        return self._is("|") and self._peek(1).kind == "keyword" and self._peek(1).text == "unwrap"

    def _stages(self, reading: Reading) -> bool:
        """Read stages up to `unwrap` or the end of the pipeline; return whether there were any."""
        begin = self._next
        while self._at_stage() and not self._at_unwrap():
            if self._takes("|"):
                self._stage(reading)
            else:
                self._line_filter(reading)
        return self._next > begin

    def _line_filter(self, reading: Reading) -> None:
        operator = self._take()
        while True:
            at = self._peek().at
            if self._takes("ip"):
                text = self._in_parentheses()
                contents.check_address(text, at)
                if operator.text not in {"|=", "!="}:
                    raise LogqlError(f"character {operator.at + 1}: {operator.text} does not go with ip; write |= or !=")
            else:
                text = self._string()
                if operator.text in {"|~", "!~"}:
                    contents.expression(text, at)
                elif operator.text in {"|>", "!>"}:
                    contents.check_line_pattern(text, at)
            reading.filters.append((operator.text, text))
            if not self._takes("or"):
                return

    def _stage(self, reading: Reading) -> None:
        known: dict[str, Callable[[Reading], None]] = {
            "json": self._fields,
            "logfmt": self._fields,
            "unpack": self._unpack,
            "decolorize": lambda _: None,
            "pattern": self._pattern,
            "regexp": self._regexp,
            "line_format": self._line_format,
            "label_format": self._label_format,
            "drop": self._labels,
            "keep": self._labels,
        }
        token = self._peek()
        if token.kind == "keyword" and token.text in known:
            self._take()
            known[token.text](reading)
        elif token.kind == "word" or self._is("("):
            self._label_filter(reading)
        else:
            raise self._wrong(f"a stage: {', '.join(known)}, or a filter on a label")

    def _unpack(self, reading: Reading) -> None:
        reading.parsers.append("unpack")

    def _fields(self, reading: Reading) -> None:
        parser = self._peek(-1).text
        reading.parsers.append(parser)
        while parser == "logfmt" and self._peek().kind == "flag":
            self._take()
        more = self._peek().kind == "word"
        while more:
            reading.extracted.append(self._word("a label's name"))
            if self._takes("="):
                at = self._peek().at
                contents.check_path(parser, self._string(), at)
            more = self._takes(",")

    def _pattern(self, reading: Reading) -> None:
        at = self._peek().at
        reading.parsers.append("pattern")
        reading.extracted.extend(contents.captures(self._string(), at))

    def _regexp(self, reading: Reading) -> None:
        at = self._peek().at
        reading.parsers.append("regexp")
        reading.extracted.extend(contents.named_groups(self._string(), at))

    def _line_format(self, _reading: Reading) -> None:
        at = self._peek().at
        contents.check_template(self._string(), at)

    def _label_format(self, reading: Reading) -> None:
        begin = self._peek().at
        made: list[str] = []
        more = True
        while more:
            made.append(self._word("a label's name"))
            self._expect("=")
            if self._peek().kind == "string":
                at = self._peek().at
                contents.check_template(self._string(), at)
            else:
                self._word("a label's name or a template")
            more = self._takes(",")
        contents.check_once(made, begin)
        reading.extracted.extend(made)

    def _labels(self, _reading: Reading) -> None:
        more = True
        while more:
            if self._peek(1).kind == "sign" and self._peek(1).text in TEXT_FILTERS and self._peek(2).kind == "string":
                self._matcher()
            else:
                self._word("a label's name")
            more = self._takes(",")

    def _unwrap(self, reading: Reading) -> None:
        """Read `unwrap` and the filters behind it, if it is there."""
        if not self._at_unwrap():
            return
        self._take()
        self._take()
        if self._is(*CONVERSIONS):
            self._take()
            self._expect("(")
            reading.unwrapped = self._word("a label's name")
            self._expect(")")
        else:
            reading.unwrapped = self._word("a label's name")
        while self._takes("|"):
            if self._peek().kind != "word" and not self._is("("):
                raise self._wrong("a filter on a label: behind unwrap there is nothing else")
            self._label_filter(reading)

    def _label_filter(self, reading: Reading) -> None:
        self._label_operand(reading)
        # Two filters with nothing between them are taken for "and".
        while self._is("and", "or", ",", "(") or self._peek().kind == "word":
            if not self._is("("):
                _ = self._takes("and") or self._takes("or") or self._takes(",")
            self._label_operand(reading)

    def _label_operand(self, reading: Reading) -> None:
        if self._takes("("):
            self._label_filter(reading)
            self._expect(")")
            return
        label = self._word("a label's name")
        if not self._is(*LABEL_FILTERS):
            raise self._wrong("a comparison, such as =, != or >")
        operator = self._take().text
        reading.read.append(Matcher(label, operator, self._compared(operator)))

    def _compared(self, operator: str) -> str:
        """Read what a label is compared with."""
        at = self._peek().at
        if operator in {"=", "!="} and self._takes("ip"):
            text = self._in_parentheses()
            contents.check_address(text, at)
            return text
        if operator in TEXT_FILTERS and self._peek().kind == "string":
            text = self._string()
            if operator in {"=~", "!~"}:
                contents.expression(text, at)
            return text
        if operator in {"=~", "!~"}:
            raise self._wrong("a regular expression in quotes")
        if self._peek().kind in _QUANTITIES:
            return self._take().text
        if self._peek().kind == "number" or self._is("-", "+"):
            return self._number(signed=True)
        raise self._wrong(
            "a text in quotes, a number, a duration or a size" if operator in TEXT_FILTERS else "a number, a duration or a size"
        )
