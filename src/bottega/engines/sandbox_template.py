"""A Jinja environment for templates that came with a plan: nothing private, no large values, known filters only."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from decimal import Decimal
from itertools import islice
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from bottega.core.errors import EngineFailed

HEEDED = "_heeded"  # no name that a template can write
_FILTERS = [
    "abs",
    "capitalize",
    "count",
    "default",
    "d",
    "dictsort",
    "first",
    "float",
    "groupby",
    "int",
    "join",
    "items",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "string",
    "sum",
    "title",
    "trim",
    "truncate",
    "unique",
    "upper",
    "wordcount",
]
_METHODS = {
    "append",
    "extend",
    "center",
    "ljust",
    "rjust",
    "zfill",
    "expandtabs",
    "format",
    "format_map",
    "translate",
}


class _Guarded(NodeTransformer):
    """``a ~ b`` becomes ``[a, b] | join``, so that its length can be bounded; loops look at the stop signal at every turn."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """Rewrite what one loop goes over."""
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, HEEDED, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """Rewrite one concatenation."""
        self.generic_visit(node)
        joined = nodes.Filter(
            nodes.List(node.nodes, lineno=node.lineno), "join", [], [], None, None, lineno=node.lineno
        )
        return joined.set_environment(node.environment) if node.environment else joined


class Sandbox(ImmutableSandboxedEnvironment):
    """Unknown names are errors; no value inside a template may grow beyond ``max_chars``. ``heed`` raises when it shall stop."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(
        self, filters: Mapping[str, Callable[..., Any]], max_chars: int, heed: Callable[[], None]
    ) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._max_chars, self._heed = max_chars, heed
        known = {name: self.filters[name] for name in _FILTERS}
        self.filters = {
            **known,
            "join": self._join,
            "replace": self._replace,
            HEEDED: self._heeded,
            **filters,
        }
        self.globals = {"range": self.globals["range"], "dict": dict}

    def write(self, template: str, values: Mapping[str, Any]) -> str:
        """Render, and stop at ``max_chars``.

        Raises:
            EngineFailed: a mistake in the template; ``where`` names its line.
        """
        compiled: Template | None = None
        try:
            compiled = self.from_string(template)
            pieces: list[str] = []
            size = 0
            for piece in compiled.generate(values):
                size += len(piece)
                if size > self._max_chars:
                    raise EngineFailed(
                        f"the text is longer than {self._max_chars} characters", where="template"
                    )
                pieces.append(piece)
            return "".join(pieces)
        except EngineFailed:
            raise
        except TemplateError as error:
            raise _failed(error, getattr(error, "lineno", None) or _line(error)) from error
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, AttributeError) as error:
            raise _failed(error, _line(error)) from error

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """No private names, and no methods that make text of any length."""
        return (
            attr not in _METHODS and not attr.startswith("_") and super().is_safe_attribute(obj, attr, value)
        )

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers is free; on text and lists only ``+`` is, within the limit."""
        if isinstance(left, int | float | Decimal) and isinstance(right, int | float | Decimal):
            if operator == "**" and (abs(right) > 64 or abs(left) > 10**9):
                raise ValueError("the power is too large")
        elif operator == "+" and isinstance(left, Sized) and isinstance(right, Sized):
            self._bound(len(left) + len(right))
        else:
            raise ValueError(f"'{operator}' works on numbers only")
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Guarded().visit(super()._parse(source, name, filename))

    def _heeded(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._heed()
            yield value

    def _join(self, values: Any, separator: str = "", attribute: str | None = None) -> str:
        """Join the items' text, or that of one of their attributes."""
        pieces: list[str] = []
        size = 0
        for value in islice(values, self._max_chars):
            pieces.append(str(self.getitem(value, attribute) if attribute else value))
            size += len(pieces[-1]) + len(separator)
            self._bound(size)
        return separator.join(pieces)

    def _replace(self, text: str, old: str, new: str) -> str:
        """Replace every occurrence."""
        text = str(text)
        self._bound(len(text) + text.count(old) * len(new))
        return text.replace(old, new)

    def _bound(self, size: int) -> None:
        if size > self._max_chars:
            raise ValueError(f"a value grows beyond {self._max_chars} characters")


def _line(error: BaseException) -> int:
    """The line of the template where an error arose: Jinja maps its frames to template lines."""
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _failed(error: Exception, line: int) -> EngineFailed:
    what = str(error) or type(error).__name__
    return EngineFailed(
        f"the template fails: {what}", where=f"template, line {line}", remedy="mend the template"
    )
