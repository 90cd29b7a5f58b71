"""Who may have tasks use the host they run on, and what of it: the host rules, as the control plane applies them."""

from __future__ import annotations

from wherry.model import host_rules
from wherry.model.call import Principal
from wherry.model.errors import ClientException
from wherry.model.host_rules import HostRules
from wherry.model.taskdef import TaskDefinition
from wherry.model.taskdef_draft import Draft
from wherry.settings import Settings


def check_registration(definition: Draft, principal: Principal, settings: Settings) -> None:
    """Check a definition that is being registered; raises ClientException.

    What the rules allow, only the account's administrator may write into a definition unless the setting `host_users`
    says otherwise. Whoever may run the definition may run it then: it has been looked at.
    """
    wanted = next(host_rules.demands(definition), None)
    if wanted is None:
        return
    check(definition, settings.host_rules)
    if settings.host_users == "administrator" and not principal.arn.endswith(f"::{principal.account_id}:root"):
        raise ClientException(
            f"{host_rules.subject(wanted)} is for the administrator of the account to register: "
            "the setting WHERRY_HOST_USERS decides."
        )


def check(definition: Draft | TaskDefinition, rules: HostRules) -> None:
    """Check a definition that is to run: settings may have changed since it was registered; raises ClientException."""
    if (objection := host_rules.objection(host_rules.demands(definition), rules)) is not None:
        raise ClientException(objection)
