"""The reference page of settings, read off the fields of `wherry.settings` and the strings beneath them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec

from wherry import settings
from wherry.settings import PREFIX, Settings, Timing


def lines() -> list[str]:
    """Write the page's lines."""
    return [
        "# Settings",
        "",
        "Every setting is a variable. Options of commands ([command line](cli.md)) win over variables.",
        "`WHERRY_LOG_LEVEL` (debug, info, warning) and `WHERRY_LOG_FORMAT` (console, json) are for the log.",
        "",
        *_table(Settings(), "Settings"),
        "",
        "## Waiting times",
        "",
        "In seconds, each as ECS has it. Make them shorter where a CI run has no time to wait.",
        "",
        *_table(Timing(), "Timing"),
    ]


def _table(defaults: Any, name: str) -> Iterator[str]:
    yield "| Variable | Default | |"
    yield "|---|---|---|"
    for field, text in _documented(settings, name).items():
        value = getattr(defaults, field)
        if not isinstance(value, msgspec.Struct):
            yield f"| `{PREFIX}{field.upper()}` | {_shown(value)} | {text} |"


def _shown(value: object) -> str:
    return "" if value is None else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _documented(module: ModuleType, name: str) -> dict[str, str]:
    """Map the fields of a class to the strings that stand beneath them; raises `LookupError` for one that has none."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    found: dict[str, str] = {}
    for field, below in zip(body, [*body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[field.target.id] = " ".join(str(below.value.value).split())
        elif field.target.id != "timing":
            raise LookupError(f"{name}.{field.target.id} has no sentence beneath it.")
    return found
