"""What members of messages may be at most: a frame with more than that is malformed."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Natural = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Long = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""What AWS calls an integer (of these, none is negative) and a long."""
Key = Annotated[str, Meta(pattern=r"^[^\x00]*\Z")]
"""What is looked up by: PostgreSQL takes no NUL."""
