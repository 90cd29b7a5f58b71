"""The operations of SSM that are done: those of the Parameter Store; every other one is refused as unknown."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.api.ecs.table import Operation, Refused
from wherry.api.ssm import labels, listing, parameters, tags, values

OPERATIONS: Mapping[str, Operation | Refused] = {
    "AddTagsToResource": tags.add_tags_to_resource,
    "DeleteParameter": parameters.delete_parameter,
    "DeleteParameters": parameters.delete_parameters,
    "DescribeParameters": listing.describe_parameters,
    "GetParameter": values.get_parameter,
    "GetParameterHistory": values.get_parameter_history,
    "GetParameters": values.get_parameters,
    "GetParametersByPath": values.get_parameters_by_path,
    "LabelParameterVersion": labels.label_parameter_version,
    "ListTagsForResource": tags.list_tags_for_resource,
    "PutParameter": parameters.put_parameter,
    "RemoveTagsFromResource": tags.remove_tags_from_resource,
    "UnlabelParameterVersion": labels.unlabel_parameter_version,
}
