"""The constraints of the service models that services check before anything else: lengths, ranges and enumerations.

Patterns are left to the handlers: the models' own use classes of characters that differ from what services take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from wherry.model.call import Call
from wherry.model.errors import ValidationException


def check(call: Call) -> None:
    """Raise ValidationException, in AWS's words, with every constraint of the model that a call violates."""
    shape = _input_shape(call.service, call.operation)
    errors = [] if shape is None else list(_violations(call.params, shape, ""))
    if errors:
        plural = "s" if len(errors) > 1 else ""
        raise ValidationException(f"{len(errors)} validation error{plural} detected: {'; '.join(errors)}")


@cache
def _input_shape(service: str, operation: str) -> Any:
    return _model(service).operation_model(operation).input_shape


@cache
def _model(service: str) -> ServiceModel:
    """Botocore's own model, whatever the user has in ~/.aws/models."""
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model(service, "service-2"), service)


def _violations(value: Any, shape: Any, path: str) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            for name, member in value.items():
                if member is not None and name in shape.members:
                    yield from _violations(member, shape.members[name], _below(path, name[:1].lower() + name[1:]))
        case "list":
            yield from _sizes(value, shape, path, noun="length")
            for number, item in enumerate(value, 1):
                yield from _violations(item, shape.member, _below(path, f"{number}.member"))
        case "string" | "blob":
            yield from _sizes(value, shape, path, noun="length")
            if (allowed := shape.metadata.get("enum")) and value not in allowed:
                yield _sentence(value, shape, path, f"satisfy enum value set: [{', '.join(allowed)}]")
        case "integer" | "long":
            yield from _sizes(value, shape, path, noun="value")


def _sizes(value: Any, shape: Any, path: str, *, noun: str) -> Iterator[str]:
    size = len(value) if isinstance(value, Sized) else value
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield _sentence(value, shape, path, f"have {noun} greater than or equal to {least}")
    if most is not None and size > most:
        yield _sentence(value, shape, path, f"have {noun} less than or equal to {most}")


def _sentence(value: Any, shape: Any, path: str, rule: str) -> str:
    shown = "" if shape.metadata.get("sensitive") or isinstance(value, bytes) else f" '{_short(value)}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: Member must {rule}"


def _short(value: Any) -> str:
    text = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
    return text if len(text) <= 512 else f"{text[:512]}..."


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
