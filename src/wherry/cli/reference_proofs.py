"""Which test shows that a member of task definitions is honoured: read off the marks of the tests, not run."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from wherry.model.taskdef_fields import FIELDS, Honoured

TESTS = Path(__file__).parents[3] / "tests"
"""The tests of the repository that this module is part of."""

Proofs = Mapping[tuple[str, str], str]
"""By structure and member: the file and name of a test on a real engine."""


def proofs(folder: Path = TESTS) -> Proofs:
    """Find the tests marked `pytest.mark.shows("SHAPE.MEMBER", "SHAPE")`; the first of a member is named.

    A structure alone stands for all members of it. Raises `LookupError` for a mark that names nothing that is honoured.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in sorted([*folder.glob("contract/test_*.py"), *folder.glob("e2e/test_*.py")]):
        for test, mark in _marks(ast.parse(path.read_text())):
            for key in _members(mark):
                found[key].append(f"{path.relative_to(folder.parent)}::{test}")
    return {key: tests[0] for key, tests in found.items()}


def missing(known: Proofs) -> list[str]:
    """Name the honoured members that a container would show and no test does."""
    wanted = ((s, n) for s, members in FIELDS.items() for n, v in members.items() if _is_shown(v))
    return [f"{shape}.{name}" for shape, name in wanted if (shape, name) not in known]


def _is_shown(verdict: object) -> bool:
    return isinstance(verdict, Honoured) and verdict.on_engine


def _marks(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in function.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.shows":
                    yield from ((function.name, ast.literal_eval(argument)) for argument in decorator.args)


def _members(mark: str) -> list[tuple[str, str]]:
    name, _, member = mark.partition(".")
    shape = name if name in FIELDS else f"{name}Request"
    if shape not in FIELDS or (member and member not in FIELDS[shape]):
        raise LookupError(f"pytest.mark.shows({mark!r}) names no member of a task definition.")
    members = [member] if member else [m for m, verdict in FIELDS[shape].items() if isinstance(verdict, Honoured)]
    return [(shape, one) for one in members]
