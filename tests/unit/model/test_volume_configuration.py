"""The members of volume configurations against the service model: nothing is accepted and ignored."""

from __future__ import annotations

import botocore.session
import pytest
from botocore.model import ListShape
from tests.builders import Counter

from wherry.model.taskdef_fields import Honoured, Refused, refusals
from wherry.model.volume_configuration import LAUNCH, LAUNCH_FIELDS, VolumeConfiguration, new_volume

MODEL = botocore.session.get_session().get_service_model("ecs")
STRUCTURES = [name for name in LAUNCH_FIELDS if name != LAUNCH]
REFUSED = [
    name for name, verdict in LAUNCH_FIELDS["TaskManagedEBSVolumeConfiguration"].items() if isinstance(verdict, Refused)
]


@pytest.mark.parametrize("name", STRUCTURES)
def test_every_member_of_the_model_has_a_verdict_and_none_is_made_up(name: str) -> None:
    assert set(LAUNCH_FIELDS[name]) == set(MODEL.shape_for(name).members)


@pytest.mark.parametrize("operation", ["RunTask", "StartTask"])
def test_what_is_honoured_is_the_structure_of_the_model(operation: str) -> None:
    configurations = MODEL.operation_model(operation).input_shape.members["volumeConfigurations"]
    assert isinstance(configurations, ListShape)
    pending = [(LAUNCH_FIELDS[LAUNCH]["volumeConfigurations"], configurations.member)]
    seen = set()
    while pending:
        verdict, shape = pending.pop()
        if isinstance(verdict, Honoured) and verdict.shape is not None:
            assert verdict.shape == shape.name
            seen.add(shape.name)
            pending += [(LAUNCH_FIELDS[shape.name][name], below) for name, below in shape.members.items()]
    assert seen == set(STRUCTURES)


@pytest.mark.parametrize("member", REFUSED)
def test_a_refused_member_is_named_with_what_to_do_about_it(member: str) -> None:
    volume = {"roleArn": "ebs", "sizeInGiB": 1}
    asked = {"volumeConfigurations": [{"name": "data", "managedEBSVolume": volume | {member: "some"}}]}
    [problem] = refusals(asked, LAUNCH, fields=LAUNCH_FIELDS)
    assert f"managedEBSVolume.{member} is not supported: " in problem.message
    assert f"Remove {member}" in problem.message
    asked["volumeConfigurations"][0]["managedEBSVolume"] = volume | {member: None}
    assert not list(refusals(asked, LAUNCH, fields=LAUNCH_FIELDS))


def test_a_volume_that_is_not_encrypted_is_what_there_is() -> None:
    asked = {"volumeConfigurations": [{"name": "data", "managedEBSVolume": {"encrypted": False}}]}
    assert not list(refusals(asked, LAUNCH, fields=LAUNCH_FIELDS))


def test_every_task_gets_a_volume_and_an_attachment_of_its_own() -> None:
    configuration, entropy = VolumeConfiguration(name="data", role_arn="ebs", size_in_gib=1), Counter()
    first, second = (new_volume(configuration, entropy) for _ in range(2))
    assert len({first.volume_id, second.volume_id, first.attachment_id, second.attachment_id}) == 4
    assert first.volume_id.startswith("vol-")
    assert len(first.volume_id) == len("vol-") + 17
    assert first.configuration.file_system == "xfs"
