"""Service models from botocore: which service and operation a request means, and its compiled shapes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Any, get_args

import msgspec
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from wherry.model.errors import InvalidParameterException
from wherry.wire.errors import WireError
from wherry.wire.form import Reader, compile_reader
from wherry.wire.message import Protocol
from wherry.wire.shapes import ShapeTypes, compile_check, missing_sentence
from wherry.wire.xml import Writer, compile_writer

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


@lru_cache(maxsize=1)
def _loader() -> Any:
    return Loader()


@lru_cache(maxsize=32)
def load(service_id: str) -> Service:
    """The model of the service that botocore calls `service_id`; raises botocore's `UnknownServiceError`."""
    model = ServiceModel(_loader().load_service_model(service_id, "service-2"), service_id)
    return Service(service_id, model)


class Service:
    """One service model; its operations are compiled at their first use and kept."""

    def __init__(self, service_id: str, model: ServiceModel) -> None:
        """Read what identifies the service; raises `ValueError` if it speaks no protocol of ours."""
        metadata = model.metadata
        self.id = service_id
        self.model = model
        self.protocols = frozenset(metadata.get("protocols", [metadata["protocol"]])) & frozenset(PROTOCOLS)
        if not self.protocols:
            raise ValueError(f"{service_id} speaks {metadata['protocol']}, which is not among {', '.join(PROTOCOLS)}.")
        self.signing_name: str = metadata.get("signingName", metadata["endpointPrefix"])
        self.api_version: str = metadata["apiVersion"]
        self.json_version: str = metadata.get("jsonVersion", "1.1")
        self.target_prefix: str | None = metadata.get("targetPrefix")
        self.xml_namespace: str | None = metadata.get("xmlNamespace")
        self.operation_names = frozenset(model.operation_names)
        self._operations: dict[str, Operation] = {}
        self.input_types = ShapeTypes(forbid_unknown=False)
        self.output_types = ShapeTypes(forbid_unknown=True)

    def operation(self, name: str) -> Operation:
        """The compiled operation `name`, which must be one of `operation_names`."""
        if (made := self._operations.get(name)) is None:
            made = self._operations[name] = Operation(self, self.model.operation_model(name))
        return made

    @cached_property
    def _errors(self) -> dict[str, Any]:
        return {shape.name: shape for shape in self.model.error_shapes}

    def error_shape(self, name: str) -> Any | None:
        """The modelled error `name`."""
        return self._errors.get(name)

    def error_members(self, name: str) -> frozenset[str]:
        """The members of the modelled error `name`; empty when the model does not know it."""
        shape = self._errors.get(name)
        return frozenset(shape.members) if shape else frozenset()

    def missing(self, path: str, is_list: bool) -> Exception:  # noqa: FBT001 - the shape of MissingError
        """The service's error for a required member that is absent."""
        if "json" not in self.protocols:
            return WireError("MissingParameter", f"The request must contain the parameter {path}.")
        sentence = missing_sentence(path, is_list=is_list)
        if InvalidParameterException.__name__ in self._errors:
            return InvalidParameterException(sentence)
        return WireError("ValidationException", sentence)


class Operation:
    """One operation: its types, its checks and what its model says about the wire."""

    def __init__(self, service: Service, model: OperationModel) -> None:
        """Compile the shapes of `model`."""
        self.service = service
        self.name: str = model.name
        self.input_shape = model.input_shape
        self.output_shape = model.output_shape
        self.input_type: type[msgspec.Struct] = service.input_types.root(model.input_shape)
        self.output_type: type[msgspec.Struct] = service.output_types.root(model.output_shape)
        self.check = compile_check(model.input_shape, service.missing)
        self.unsigned_payload = bool(model.unsigned_payload)
        self.event_stream: str | None = _event_stream(model.output_shape)
        """The member of the output that is a stream of events, if there is one."""

    @cached_property
    def event_type(self) -> type[msgspec.Struct]:
        """The type of one event of the stream: a structure with exactly one of its members."""
        return self.service.output_types.root(self.output_shape.members[self.event_stream])

    @cached_property
    def reader(self) -> Reader:
        """Reads the operation's form."""
        return compile_reader(self.input_shape, ec2="ec2" in self.service.protocols)

    @cached_property
    def writer(self) -> Writer | None:
        """Writes the operation's result as XML; `None` when it has none."""
        return compile_writer(self.output_shape) if self.output_shape is not None else None


def _event_stream(output_shape: Any) -> str | None:
    members = output_shape.members if output_shape is not None else {}
    return next((name for name, shape in members.items() if shape.serialization.get("eventstream")), None)


class Target(msgspec.Struct, frozen=True):
    """What a request asks for, before it is known whether the operation exists."""

    service: Service
    protocol: Protocol
    operation: str


class Catalog:
    """The services that a table names, found by what a request shows of them."""

    def __init__(self, service_ids: Iterable[str]) -> None:
        """Load the models of `service_ids`."""
        self.services = {service_id: load(service_id) for service_id in service_ids}
        self._by_target = {
            service.target_prefix: service
            for service in self.services.values()
            if "json" in service.protocols and service.target_prefix
        }

    def by_target(self, target: str) -> Target | None:
        """The target of an `X-Amz-Target` header."""
        prefix, _, operation = target.rpartition(".")
        service = self._by_target.get(prefix)
        return Target(service, "json", operation) if service else None

    def by_action(self, action: str, *, version: str | None, signing_name: str | None) -> Target | None:
        """The target of a form: the signature's scope decides, then `Version`, then who has the `Action`."""

        def fit(service: Service) -> tuple[bool, bool, bool]:
            return (
                service.signing_name == signing_name,
                service.api_version == version,
                action in service.operation_names,
            )

        spoken = [service for service in self.services.values() if service.protocols & {"query", "ec2"}]
        best = max(spoken, key=fit, default=None)
        if best is None or not any(fit(best)):
            return None
        return Target(best, "ec2" if "ec2" in best.protocols else "query", action)
