"""`wherry validate`: what is found in a text, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cli.failure import CommandFailed
from wherry.cli.validate import Level, findings, review, validate
from wherry.model.taskdef_fields import FIELDS

GOOD: dict[str, Any] = {
    "family": "web",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [{"name": "app", "image": "nginx"}],
}

# As people write it: a trailing comma after the last word of the command.
SLOPPY = """{
  "family": "my-task-def",
  "networkMode": "awsvpc",
  "requiresCompatibilities": ["FARGATE"],
  "cpu": "256",
  "memory": "512",
  "containerDefinitions": [
    {
      "name": "frontend",
      "image": "xxxxx.dkr.ecr.ap-northeast-1.amazonaws.com/frontend:latest",
      "command": [
        "run",
      ]
    }
  ]
}
"""


def container(**changes: Any) -> dict[str, Any]:
    return GOOD | {"containerDefinitions": [{"name": "app", "image": "nginx"} | changes]}


def found(definition: Any) -> list[tuple[str, str, str]]:
    return [(finding.path, str(finding.level), finding.message) for finding in findings(json.dumps(definition))]


def test_a_good_definition_has_no_findings() -> None:
    assert found(GOOD) == []


def test_a_trailing_comma_is_named_and_the_rest_is_looked_at_as_well() -> None:
    at = [(finding.line, finding.column, finding.level, finding.source) for finding in findings(SLOPPY)]
    assert at == [
        (1, 1, Level.WARNING, "ECS"),
        (10, 7, Level.NOTE, ""),
        (12, 14, Level.ERROR, "JSON"),
    ]
    assert [finding.message.split(":")[0] for finding in findings(SLOPPY)][2] == "Trailing comma"


def test_the_mended_text_is_the_same_without_the_slip() -> None:
    assert review(SLOPPY).mended == SLOPPY.replace('"run",', '"run"')


def test_ecr_images_on_fargate_want_an_execution_role_of_ecs_once() -> None:
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/web:1"
    definition = GOOD | {"containerDefinitions": [{"name": name, "image": image} for name in ("one", "two")]}
    ((path, level, message),) = found(definition)
    assert (path, level) == ("executionRoleArn", "warning")
    assert "Fargate requires task definition to have execution role ARN to support ECR images." in message
    assert found(definition | {"requiresCompatibilities": ["EC2"]}) == []


def test_a_placeholder_for_the_account_is_worth_a_note() -> None:
    definition = container(image="xxxxx.dkr.ecr.us-east-1.amazonaws.com/web") | {"requiresCompatibilities": []}
    ((path, level, message),) = found(definition)
    assert (path, level) == ("containerDefinitions[0].image", "note")
    assert "xxxxx" in message


def test_what_ecs_refuses_and_what_wherry_refuses_are_told_apart() -> None:
    text = json.dumps(container(stopTimeout=300, credentialSpecs=["credentialspec:x"]))
    assert {(finding.path, finding.source) for finding in findings(text)} == {
        ("containerDefinitions[0].stopTimeout", "ECS"),
        ("containerDefinitions[0].credentialSpecs", "Wherry"),
    }


@pytest.mark.parametrize(
    ("definition", "path", "words"),
    [
        (GOOD | {"cpus": "1"}, "cpus", "ECS knows no cpus here."),
        ({**GOOD, "Family": "x"}, "Family", "ECS knows no Family here."),
        (container(portMapings=[]), "containerDefinitions[0].portMapings", "Did you mean portMappings?"),
        (container(healthcheck={"command": ["CMD", "x"]}), "containerDefinitions[0].healthcheck", "healthCheck?"),
        (GOOD | {"revision": 3}, "revision", "part of ECS's answer"),
        (GOOD | {"compatibilities": ["EC2"]}, "compatibilities", "part of ECS's answer"),
        (GOOD | {"cpu": 256}, "cpu", 'must be a string: write "256"'),
        (container(memory="64"), "containerDefinitions[0].memory", "must be a whole number: write 64"),
        (container(memory=64.5), "containerDefinitions[0].memory", "must be a whole number."),
        (container(memory=True), "containerDefinitions[0].memory", "must be a whole number."),
        (container(essential="true"), "containerDefinitions[0].essential", "must be true or false: write true"),
        (container(essential=1), "containerDefinitions[0].essential", "must be true or false."),
        (container(command="run"), "containerDefinitions[0].command", "must be a list"),
        (container(command=["a", 1]), "containerDefinitions[0].command[1]", 'command[1] must be a string: write "1"'),
        (container(environment=["A"]), "containerDefinitions[0].environment[0]", "environment[0] must be an object"),
        (container(dockerLabels={"a": 1}), "containerDefinitions[0].dockerLabels.a", 'must be a string: write "1"'),
        (
            container(ulimits=[{"name": "core", "softLimit": 1}]),
            "containerDefinitions[0].ulimits[0]",
            "containerDefinitions[0].ulimits[0] must have hardLimit.",
        ),
        (GOOD | {"tags": [{"key": "aws:x"}]}, "tags", "reserved"),
        ([], "", "A task definition must be an object."),
    ],
)
def test_shapes_are_checked_as_the_clients_of_aws_do(definition: Any, path: str, words: str) -> None:
    ((place, level, message),) = found(definition)
    assert (place, level) == (path, "error")
    assert words in message


def test_a_slip_of_name_or_type_has_no_further_consequences() -> None:
    slips = {"Name": "app", "imag": "nginx", "memory": "64"}
    assert [path.split(".")[1] for path, _, _ in found(GOOD | {"containerDefinitions": [slips]})] == list(slips)


def test_null_means_absent() -> None:
    assert found(GOOD | {"taskRoleArn": None, "volumes": None}) == []


def test_an_answer_of_ecs_is_unwrapped() -> None:
    answer = {"taskDefinition": GOOD | {"revision": 1, "cpu": "300"}}
    assert [path for path, _, _ in found(answer)] == ["taskDefinition", "taskDefinition.cpu", "taskDefinition.revision"]


def test_each_place_is_objected_to_once() -> None:
    ((_, _, message),) = found(container(links=["db"]))
    assert message == "Links are not supported when networkMode=awsvpc."


def test_unreadable_text_has_one_finding_more_and_no_mended_text() -> None:
    found = review('{"family": "web",, "cpu": 256MB}')
    assert [finding.column for finding in found.findings] == [18, 27]
    assert found.mended is None


@given(st.text(alphabet="{}[]:,\"' \n0aT", max_size=30))
def test_any_text_is_answered(text: str) -> None:
    for finding in findings(text):
        assert finding.line >= 1
        assert finding.column >= 1


NAMES = sorted({name for members in FIELDS.values() for name in members} | {"taskDefinition", "x"})
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 300) | st.floats(0, 9) | st.sampled_from(["", "256", "true", "app"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING), st.lists(st.dictionaries(st.sampled_from(NAMES), ANYTHING)))
def test_any_json_is_answered(definition: dict[str, Any], containers: list[dict[str, Any]]) -> None:
    text = json.dumps(definition | {"containerDefinitions": containers})
    assert review(text).mended == text


def write(path: Path, text: str) -> Path:
    file = path / "definition.json"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_command_shows_the_line_with_a_caret_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, SLOPPY)
    copy = tmp_path / "copy.json"
    assert validate(file, output=copy) == 1
    lines = capsys.readouterr().out.splitlines()
    start = next(index for index, line in enumerate(lines) if "Trailing comma" in line)
    assert lines[start].startswith(f"{file}:12:14: error: Trailing comma")
    assert lines[start].endswith("[JSON]")
    assert lines[start + 1] == '   12 |         "run",'
    assert lines[start + 2] == "      |              ^"
    assert lines[-1] == f"{file}: 1 error, 1 warning, 1 note."
    assert json.loads(copy.read_text())["family"] == "my-task-def"


def test_warnings_and_notes_fail_only_on_demand(tmp_path: Path) -> None:
    file = write(tmp_path, SLOPPY.replace('"run",', '"run"'))
    assert validate(file) == 0
    assert validate(file, ecs=True) == 1


def test_a_good_file_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "\ufeff" + json.dumps(GOOD))
    assert validate(file, ecs=True) == 0
    assert capsys.readouterr().out == f"{file}: nothing wrong.\n"


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="Cannot read"):
        validate(tmp_path / "missing.json")
    with pytest.raises(CommandFailed, match="Cannot write"):
        validate(write(tmp_path, json.dumps(GOOD)), output=tmp_path)
    with pytest.raises(CommandFailed, match="nothing to write"):
        validate(write(tmp_path, "{"), output=tmp_path / "copy.json")
