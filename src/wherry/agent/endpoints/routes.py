"""All that an agent serves to its tasks: one table of routes for each module here."""

from __future__ import annotations

import time

from wherry.agent.endpoints import logs, role_credentials
from wherry.agent.endpoints.faults import FaultInjection
from wherry.agent.endpoints.metadata import Metadata
from wherry.agent.endpoints.protection import Protection
from wherry.agent.endpoints.residents import Residents
from wherry.agent.endpoints.server import Routes
from wherry.agent.endpoints.statistics import Statistics
from wherry.agent.endpoints.tags import Tags
from wherry.agent.endpoints.tokens import Tokens
from wherry.agent.roster import Roster
from wherry.agent.runner import Surroundings


def tables(around: Surroundings, roster: Roster, tokens: Tokens) -> list[Routes]:
    """Make the tables of one agent."""
    residents = Residents(roster, tokens)
    statistics = Statistics(around.runtime, clock=time.monotonic)
    tags = Tags(around.control_plane, lambda: around.journal.instance_arn)
    return [
        role_credentials.routes(around.credentials, residents),
        Metadata(residents, around.runtime, statistics, tags).routes(),
        Protection(residents, around.credentials, around.control_plane).routes(),
        FaultInjection(residents, around.runtime).routes(),
        logs.routes(around.relay, around.entropy),
    ]
