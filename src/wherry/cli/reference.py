"""The reference pages that are made of tables: `scripts/docs` writes them, a test keeps them true."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import botocore.session

from wherry.api.ecs.refused import Refused
from wherry.api.table import TABLES
from wherry.cli import main, reference_settings
from wherry.cli.reference_proofs import Proofs, proofs
from wherry.model import service_fields, taskdef_fields
from wherry.model.taskdef_fields import Honoured, Verdict

HEAD = "<!-- Made by scripts/docs. Do not edit. -->\n"

Fields = Mapping[str, Mapping[str, Verdict]]

NOUNS = {
    "ecs": "Amazon ECS",
    "ec2": "Amazon EC2",
    "ecr": "Amazon ECR",
    "iam": "AWS IAM",
    "sts": "AWS STS",
    "logs": "Amazon CloudWatch Logs",
    "secretsmanager": "AWS Secrets Manager",
    "ssm": "AWS Systems Manager, of which Wherry has the Parameter Store",
}


def operations() -> str:
    """Write the page of all operations: what is done, what is refused and what the refusal says."""
    done = {service: _done(service) for service in TABLES}
    lines = [
        "# Operations",
        "",
        "Wherry answers the operations below as AWS does. Every other one is answered with a well-formed AWS error.",
    ]
    for service, names in done.items():
        lines += ["", f"## {NOUNS[service]}: {len(names)} of {len(_model(service).operation_names)} done", ""]
        lines += [f"- `{name}`" for name in names]
        lines += _refused_operations(service)
    return _page(lines)


def _refused_operations(service: str) -> list[str]:
    refused = {name: entry for name, entry in sorted(TABLES[service].items()) if isinstance(entry, Refused)}
    if not refused:
        return []
    lines = ["", "### Refused", "", "| Operation | Error | What it says |", "|---|---|---|"]
    return lines + [f"| `{name}` | {entry.error.__name__} | {entry.sentence} |" for name, entry in refused.items()]


def task_definition() -> str:
    """Write the page of all members of RegisterTaskDefinition: honoured, or refused and why."""
    lines = [
        "# Task definitions, member by member",
        "",
        "No member is accepted and ignored: it is honoured, or RegisterTaskDefinition refuses it with ClientException",
        "and the sentence below. A refused member may be there if it asks for nothing: an empty list, `false`, the",
        "default.",
        "",
        "Check a file with `wherry validate FILE`.",
        "",
        "`yes` names the test that shows the member's effect on a real container engine; where it names none, the",
        "effect is the control plane's alone. `Windows` is refused because it means nothing on Linux.",
    ]
    return _page(lines + _tables(taskdef_fields.FIELDS, taskdef_fields.ROOT, shown=proofs()))


def service() -> str:
    """Write the page of all members of CreateService and UpdateService: honoured, or refused and why."""
    lines = [
        "# Services, member by member",
        "",
        "No member is accepted and ignored: it is honoured, or CreateService and UpdateService refuse it with",
        "InvalidParameterException and the sentence below. A refused member may be there if it asks for nothing: an",
        "empty list, `false`, the default.",
    ]
    return _page(lines + _tables(service_fields.FIELDS, service_fields.CREATE, service_fields.UPDATE))


def _tables(fields: Fields, *roots: str, shown: Proofs = MappingProxyType({})) -> list[str]:
    lines: list[str] = []
    for shape in dict.fromkeys(shape for root in roots for shape in _reachable(fields, root)):
        lines += ["", f"## {shape.removesuffix('Request')}", "", "| Member | Type | Honoured | |", "|---|---|---|---|"]
        lines += list(_members(fields, shape, shown))
    return lines


def _members(fields: Fields, shape: str, shown: Proofs) -> Iterator[str]:
    types = _model("ecs").shape_for(shape).members
    for name, verdict in fields[shape].items():
        if isinstance(verdict, Honoured):
            below = f"See [{verdict.shape}](#{verdict.shape.lower()})." if verdict.shape else ""
            test = shown.get((shape, name))
            proof = f" [`{test.rpartition('::')[2]}`](../../{test.partition('::')[0]})" if test else ""
            yield f"| `{name}` | {_type(types[name])} | yes{proof} | {' '.join(filter(None, (below, verdict.note)))} |"
        else:
            refusal = "**no**" if verdict.on_linux else "Windows"
            yield f"| `{name}` | {_type(types[name])} | {refusal} | {verdict.sentence} |"


def _reachable(fields: Fields, shape: str) -> Iterator[str]:
    """Name the structures in the order in which a reader meets them."""
    yield shape
    for verdict in fields[shape].values():
        if isinstance(verdict, Honoured) and verdict.shape is not None:
            yield from _reachable(fields, verdict.shape)


def _type(shape: Any) -> str:
    if shape.type_name == "list":
        return f"list of {_type(shape.member)}"
    if shape.type_name == "string" and 0 < len(shape.enum) <= 4:
        return ", ".join(f"`{value}`" for value in shape.enum)
    return str(shape.name if shape.type_name == "structure" else shape.type_name)


def _done(service: str) -> list[str]:
    return sorted(name for name, entry in TABLES[service].items() if not isinstance(entry, Refused))


def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _page(lines: list[str]) -> str:
    return HEAD + "\n".join(lines) + "\n"


def command_line() -> str:
    """Write the page of all commands and their options."""
    return HEAD + main.app.generate_docs().rstrip() + "\n"


def settings() -> str:
    """Write the page of all settings."""
    return _page(reference_settings.lines())


PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": command_line,
    "operations.md": operations,
    "service.md": service,
    "settings.md": settings,
    "task-definition.md": task_definition,
}
"""File name below docs/reference -> what writes it."""


def outdated(folder: Path) -> list[str]:
    """Name the pages in `folder` that are missing or differ from what would be written."""
    return [name for name, make in PAGES.items() if not (page := folder / name).exists() or page.read_text() != make()]


def write(arguments: list[str]) -> int:
    """Write the pages into the folder that is given; with --check only say which ones are out of date."""
    folder = Path(arguments[-1])
    stale = outdated(folder)
    if "--check" in arguments:
        for name in stale:
            print(f"{folder / name} is out of date: run scripts/docs.")
        return int(bool(stale))
    for name in stale:
        (folder / name).write_text(PAGES[name]())
        print(f"wrote {folder / name}")
    return 0


if __name__ == "__main__":
    sys.exit(write(sys.argv[1:]))
