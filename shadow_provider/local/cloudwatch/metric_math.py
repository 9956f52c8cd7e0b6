"""CloudWatch's metric math: a parser of its expressions, without eval, and what they mean.

The language is that of the CloudWatch user guide, "Using math expressions with CloudWatch metrics"; its functions stand
in math_functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from shadow_provider.local.cloudwatch.math_functions import FILL_WORDS, FUNCTIONS
from shadow_provider.local.cloudwatch.math_values import MathError, TimeSeries, Value, combine, negate

# A request may be 2,048 characters long; deeper nesting than this is refused before Python's own stack is full.
MAX_DEPTH = 50
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<string>\"[^\"]*\"|'[^']*')|(?P<sign>&&|\|\||[<>=!]=|[-+*/^()\[\],<>]))",
    re.ASCII,
)
_WORDS = {"AND": "&&", "OR": "||"}
# From weakest to strongest; operators of one level are applied from left to right.
_LEVELS = (("||",), ("&&",), ("==", "!=", "<", ">", "<=", ">="), ("+", "-"), ("*", "/"))


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written."""

    value: float


@dataclass(frozen=True, slots=True)
class Word:
    """Text in quotes, or one of FILL's words."""

    text: str


@dataclass(frozen=True, slots=True)
class Reference:
    """The Id of another query."""

    name: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands of one level of precedence; a list, so that a long sum is no deep tree."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """A minus sign before a value."""

    value: Node


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """Several values in brackets."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments."""

    name: str
    arguments: tuple[Node, ...]


Node = Number | Word | Reference | Chain | Negation | ArrayOf | Call


def parse(text: str) -> Node:
    """The tree of an expression.

    Raises:
        MathError: It is no expression, or one with a function that is not supported.
    """
    return _Parser(text).whole()


def references(node: Node) -> Iterator[str]:
    """The Ids that an expression names, with repetitions."""
    match node:
        case Reference():
            yield node.name
        case Chain():
            yield from references(node.first)
            for _, operand in node.rest:
                yield from references(operand)
        case Negation():
            yield from references(node.value)
        case ArrayOf():
            for item in node.items:
                yield from references(item)
        case Call():
            for argument in node.arguments:
                yield from references(argument)


def evaluate(node: Node, values: Mapping[str, Value], metrics: Mapping[str, TimeSeries]) -> Value:
    """The value of an expression.

    Args:
        node: What parse returned.
        values: What each Id stands for.
        metrics: What METRICS() stands for: the queries that are no expressions, by Id.

    Raises:
        MathError: A reference to an unknown Id, or arguments that a function does not take.
    """
    return _Evaluation(values, metrics).value(node)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        found = self._level(0)
        if self._at < len(self._tokens):
            raise MathError(f"Unexpected '{self._tokens[self._at][1]}'")
        return found

    def _level(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        first = self._level(level + 1)
        rest: list[tuple[str, Node]] = []
        while self._peek() in _LEVELS[level]:
            sign = self._next()[1]
            rest.append((sign, self._level(level + 1)))
        return Chain(first, tuple(rest)) if rest else first

    def _unary(self) -> Node:
        minus = False
        while self._peek() in ("-", "+"):
            minus ^= self._next()[1] == "-"
        value = self._power()
        return Negation(value) if minus else value

    def _power(self) -> Node:
        base = self._primary()
        if self._peek() != "^":
            return base
        self._next()
        # The power may have a sign of its own, and 2^3^2 is 2^(3^2).
        return Chain(base, (("^", self._nested(self._unary)),))

    def _primary(self) -> Node:
        kind, text = self._next()
        if kind == "number":
            return Number(float(text))
        if kind == "string":
            return Word(text[1:-1])
        if kind == "name":
            return self._name(text)
        if text == "(":
            inside = self._nested(lambda: self._level(0))
            self._expect(")")
            return inside
        if text == "[":
            return ArrayOf(self._list("]"))
        raise MathError(f"Unexpected '{text}'")

    def _name(self, name: str) -> Node:
        if self._peek() == "(":
            self._next()
            if name not in FUNCTIONS and name != "METRICS":
                raise MathError(f"Unsupported function: {name}")
            return Call(name, self._list(")"))
        return Word(name) if name in FILL_WORDS else Reference(name)

    def _list(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        if self._peek() != closing:
            items.append(self._nested(lambda: self._level(0)))
            while self._peek() == ",":
                self._next()
                items.append(self._nested(lambda: self._level(0)))
        self._expect(closing)
        return tuple(items)

    def _nested(self, inner: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise MathError("The expression is nested too deeply")
        found = inner()
        self._depth -= 1
        return found

    def _peek(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise MathError("Unexpected end of the expression")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, sign: str) -> None:
        found = self._next()[1]
        if found != sign:
            raise MathError(f"Expected '{sign}' but found '{found}'")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, text = 0, text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise MathError(f"Unexpected '{text[at:].strip()[:1]}'")
        at = found.end()
        token = found[found.lastgroup]
        yield ("sign", _WORDS[token]) if token in _WORDS else (found.lastgroup, token)


class _Evaluation:
    def __init__(self, values: Mapping[str, Value], metrics: Mapping[str, TimeSeries]) -> None:
        self._values = values
        self._metrics = metrics

    def value(self, node: Node) -> Value:
        match node:
            case Number():
                return node.value
            case Negation():
                return negate(self.value(node.value))
            case Chain():
                found = self.value(node.first)
                for sign, operand in node.rest:
                    found = combine(sign, found, self.value(operand))
                return found
            case Call():
                return self._call(node)
            case ArrayOf():
                return self._array(node)
            case Reference():
                if node.name not in self._values:
                    raise MathError(f"Undefined id: {node.name}")
                return self._values[node.name]
        raise MathError(f"Unexpected '{node.text}'")

    def _call(self, node: Call) -> Value:
        if node.name == "METRICS":
            return self._all_metrics(node.arguments)
        arguments = [item.text if isinstance(item, Word) else self.value(item) for item in node.arguments]
        return FUNCTIONS[node.name](arguments)

    def _all_metrics(self, arguments: tuple[Node, ...]) -> list[TimeSeries]:
        """All metrics of the request, or those whose Id contains a text."""
        match arguments:
            case ():
                return list(self._metrics.values())
            case (Word(text=part),):
                return [series for name, series in self._metrics.items() if part in name]
        raise MathError("Invalid arguments of METRICS")

    def _array(self, node: ArrayOf) -> list[TimeSeries]:
        found: list[TimeSeries] = []
        for item in node.items:
            value = self.value(item)
            if isinstance(value, float):
                raise MathError("An array must consist of time series")
            found += [value] if isinstance(value, TimeSeries) else value
        return found
