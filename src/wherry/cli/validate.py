"""`wherry validate FILE`: everything that is wrong with a task definition, each with its line and column."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path as FilePath
from typing import Annotated, Any

import botocore.session
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from wherry.api.ecs import tags
from wherry.cli.failure import CommandFailed
from wherry.cli.lenient_json import Reading, position, read
from wherry.model.errors import ApiError
from wherry.model.problem import Path, written
from wherry.model.taskdef_rules import problems


class Level(StrEnum):
    """What a finding means for the definition."""

    ERROR = "error"  # RegisterTaskDefinition refuses it here
    WARNING = "warning"  # only Amazon ECS would
    NOTE = "note"  # nobody refuses it, but it is hardly meant


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence about one place of the text, counted from 1; `source` is who objects: JSON, ECS, Wherry or nobody."""

    line: int
    column: int
    level: Level
    source: str
    message: str
    path: str = ""


Objection = tuple[Path, Level, str, str]
"""Where, how bad, who objects, and what is said."""


class Review(msgspec.Struct, frozen=True):
    """What was found, by place, and the text as proper JSON, None if it could not be read to its end."""

    findings: tuple[Finding, ...]
    mended: str | None


def validate(
    file: Annotated[FilePath, Parameter(help="The input of RegisterTaskDefinition, as written for the AWS CLI.")],
    /,
    *,
    output: Annotated[
        FilePath | None, Parameter(name=["--output", "-o"], help="Write the text as proper JSON to this file.")
    ] = None,
    ecs: Annotated[bool, Parameter(help="Fail also on what only Amazon ECS would refuse.", negative="")] = False,
) -> int:
    """Check a task definition in JSON: its syntax, what ECS refuses, and what Wherry does not support yet.

    Exits with 1 if RegisterTaskDefinition would refuse the file as it is.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"Cannot read {file}: {error}") from None
    found = review(text)
    _print(Console(highlight=False, soft_wrap=True), file, text, found)
    if output is not None:
        _write(output, found.mended)
    failing = {Level.ERROR, Level.WARNING} if ecs else {Level.ERROR}
    return int(any(finding.level in failing for finding in found.findings))


def findings(text: str) -> list[Finding]:
    """Find all that is wrong with a task definition's text, in the order of the text."""
    return list(review(text).findings)


def review(text: str) -> Review:
    """Read a task definition's text as it is meant, and find all that is wrong with it."""
    reading = read(text)
    found = [_finding(text, fault.offset, ((), Level.ERROR, "JSON", fault.message)) for fault in reading.faults]
    if reading.mended is not None:
        found += _meaning(text, reading)
    return Review(tuple(sorted(found, key=lambda finding: (finding.line, finding.column))), reading.mended)


def _meaning(text: str, reading: Reading) -> Iterator[Finding]:
    """Say what is wrong beyond JSON, one thing about each place: the first is the one that counts."""
    seen: set[Path] = set()
    for objection in _objections(reading.value):
        path = objection[0]
        if path not in seen or not path:
            seen.add(path)
            yield _finding(text, _offset(reading, path), objection)


def _objections(value: Any) -> Iterator[Objection]:
    inside: Path = ()
    if isinstance(value, dict) and isinstance(inner := value.get("taskDefinition"), dict):
        inside, value = ("taskDefinition",), inner
        text = "This is an answer of ECS. The task definition is what stands inside taskDefinition: keep only that."
        yield inside, Level.ERROR, "ECS", text
    shape = _service().operation_model("RegisterTaskDefinition").input_shape
    faults: list[tuple[Path, str]] = []
    params = _typed(value, shape, (), faults)
    for path, message in faults:
        yield (*inside, *path), Level.ERROR, "ECS", message
    if params is None:
        return
    for problem in problems(params):
        yield (*inside, *problem.path), Level.ERROR, str(problem.source), problem.message
    try:
        tags.check(params.get("tags"))
    except ApiError as error:
        yield (*inside, "tags"), Level.ERROR, "ECS", error.message
    for path, level, source, message in _registry(params):
        yield (*inside, *path), level, source, message


_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "structure": ((dict,), "an object"),
    "map": ((dict,), "an object"),
    "list": ((list,), "a list"),
    "string": ((str,), "a string"),
    "boolean": ((bool,), "true or false"),
    "integer": ((int,), "a whole number"),
}


def _typed(given: Any, shape: Any, path: Path, faults: list[tuple[Path, str]]) -> Any:
    """Return `given` as the model has it, as far as it is plain what was meant; null means absent."""
    types, noun = _TYPES[shape.type_name]
    value = given
    if value is None:
        return None
    if type(value) not in types:
        value = _meant(given, shape)
        hint = "" if value is None else f": write {json.dumps(value)}"
        faults.append((path, f"{_name(path)} must be {noun}{hint}."))
    elif shape.type_name == "structure":
        return _structure(value, shape, path, faults)
    elif shape.type_name == "list":
        items = [_typed(item, shape.member, (*path, index), faults) for index, item in enumerate(value)]
        # Every item keeps its place, or what is said of the others would point beside them.
        return [_empty(shape.member) if item is None else item for item in items]
    elif shape.type_name == "map":
        typed = {key: _typed(item, shape.value, (*path, key), faults) for key, item in value.items()}
        return {key: item for key, item in typed.items() if item is not None}
    return value


def _name(path: Path) -> str:
    if not path:
        return "A task definition"
    return written(path[-2:]) if isinstance(path[-1], int) else path[-1]


def _empty(shape: Any) -> Any:
    return {} if shape.type_name == "structure" else ""


def _structure(value: dict[str, Any], shape: Any, path: Path, faults: list[tuple[Path, str]]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for given, member in value.items():
        name: str | None = given
        if given not in shape.members:
            name = _resembling(given, shape, value)
            faults.append(((*path, given), _unknown(given, name, shape)))
        if name and (typed := _typed(member, shape.members[name], (*path, given), faults)) is not None:
            kept[name] = typed
    if path:
        missing = [name for name in shape.required_members if value.get(name) is None and name not in kept]
        faults.extend((path, f"{written(path)} must have {name}.") for name in missing)
    return kept


def _meant(value: Any, shape: Any) -> Any:
    """Return the value that was meant by one of another type; None if it is not plain."""
    text = str(value).strip().lower()
    match shape.type_name:
        case "string" if isinstance(value, (int, float)):
            return text
        case "integer" if isinstance(value, str) and text.isascii() and text.isdecimal():
            return int(text)
        case "boolean" if text in ("true", "false"):
            return text == "true"
    return None


def _resembling(name: str, shape: Any, value: dict[str, Any]) -> str | None:
    """Find the member that was meant by a name that the model does not have."""
    by_lower = {member.lower(): member for member in shape.members if member not in value}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close and not _is_answer(name, shape) else None


def _unknown(name: str, meant: str | None, shape: Any) -> str:
    if _is_answer(name, shape):
        return f"{name} is part of ECS's answer, not of what is registered: remove it."
    return f"ECS knows no {name} here.{f' Did you mean {meant}?' if meant else ''}"


def _is_answer(name: str, shape: Any) -> bool:
    return shape.name == "RegisterTaskDefinitionRequest" and name in _service().shape_for("TaskDefinition").members


_ECR = re.compile(r"(?P<account>[^./]+)\.dkr\.ecr(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/")


def _registry(params: dict[str, Any]) -> Iterator[Objection]:
    """Say what concerns images in Amazon ECR, which Wherry pulls with the container engine's own credentials."""
    is_fargate = "FARGATE" in (params.get("requiresCompatibilities") or ())
    is_said = not is_fargate or bool(params.get("executionRoleArn"))
    for index, container in enumerate(params.get("containerDefinitions") or ()):
        image = _ECR.match(container.get("image") or "")
        if image is None:
            continue
        if not is_said:
            is_said = True
            text = "Fargate requires task definition to have execution role ARN to support ECR images."
            yield ("executionRoleArn",), Level.WARNING, "ECS", f"{text} Wherry pulls them without one."
        if not re.fullmatch(r"\d{12}", image["account"]):
            text = (
                f"{image['account']} is no account's twelve digits but a placeholder: nothing can be pulled from there."
            )
            yield ("containerDefinitions", index, "image"), Level.NOTE, "", text


@cache
def _service() -> Any:
    return botocore.session.get_session().get_service_model("ecs")


def _offset(reading: Reading, path: Path) -> int:
    """Find the place of a member, or of what should have it."""
    while path not in reading.places:
        path = path[:-1]
    return reading.places[path]


def _finding(text: str, offset: int, objection: Objection) -> Finding:
    line, column = position(text, offset)
    path, level, source, message = objection
    return Finding(line=line, column=column, level=level, source=source, message=message, path=written(path))


_COLOURS = {Level.ERROR: "bold red", Level.WARNING: "bold yellow", Level.NOTE: "bold cyan"}


def _print(console: Console, file: FilePath, text: str, found: Review) -> None:
    lines = text.split("\n")
    for finding in found.findings:
        console.print(
            Text(f"{file}:{finding.line}:{finding.column}: ", style="bold"),
            Text(f"{finding.level}: ", style=_COLOURS[finding.level]),
            Text(f"{finding.message} "),
            Text(f"[{finding.source}]" if finding.source else "", style="dim"),
            sep="",
        )
        # Tabs stay tabs, so that the caret stands below its character in every terminal.
        indent = re.sub(r"[^\t]", " ", lines[finding.line - 1][: finding.column - 1])
        console.print(Text(f"{finding.line:>5} | {lines[finding.line - 1]}", style="dim"))
        console.print(Text(f"      | {indent}"), Text("^", style=_COLOURS[finding.level]), sep="")
    if not found.findings:
        console.print(f"{file}: nothing wrong.", markup=False)
        return
    counts = Counter(finding.level for finding in found.findings)
    counted = [f"{counts[level]} {level}{'s' if counts[level] > 1 else ''}" for level in Level if counts[level]]
    console.print(f"{file}: {', '.join(counted)}.", markup=False)


def _write(output: FilePath, mended: str | None) -> None:
    if mended is None:
        raise CommandFailed("The file could not be read to its end, so there is nothing to write.")
    try:
        output.write_text(mended, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"Cannot write {output}: {error}") from None
