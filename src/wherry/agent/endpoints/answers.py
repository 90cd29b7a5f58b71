"""How the endpoints answer: JSON, and the one answer that is another agent's to give."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web


class UnknownIdError(Exception):
    """No task of this agent that may ask so has the id of the request: perhaps one of another agent of the host has.

    `status` and `body` (JSON) are the answer if none has.
    """

    def __init__(self, status: int, body: Any) -> None:
        """Take the answer."""
        super().__init__(f"no such id here; answer {status}")
        self.status = status
        self.body = body


def json_answer(body: Any, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
