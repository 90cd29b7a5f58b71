"""Errors of EC2, whose codes hold dots and so are no class names."""

from __future__ import annotations

from wherry.model.errors import ApiError


class Ec2Error(ApiError):
    """The request could not be carried out."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        """Take the `code` of the wire, such as "InvalidSubnetID.NotFound"."""
        super().__init__(message)
        self._code = code
        self.status = status

    @property
    def code(self) -> str:
        """The error code of the wire."""
        return self._code


def invalid_value(message: str) -> Ec2Error:
    """Say that a parameter has a value that it cannot have."""
    return Ec2Error("InvalidParameterValue", message)


def not_found(code: str, noun: str, *ids: str) -> Ec2Error:
    """Say which ids name nothing; `code` is without its ".NotFound"."""
    named = f"'{ids[0]}' does" if len(ids) == 1 else f"'{', '.join(ids)}' do"
    return Ec2Error(f"{code}.NotFound", f"The {noun}{'' if len(ids) == 1 else 's'} {named} not exist")
