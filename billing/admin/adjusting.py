"""Credits adjusted from the desk: from a subscription's page, or from its credit account's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing.accounts.actors import Actor
from billing.kernel.decimals import plain
from billing.lifecycle import adjust
from billing.models import GrantKind, Subscription


def adjust_credits(row: Subscription, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    """Books it, or asks for a second person's word; says which."""
    entries, request = adjust.adjust(
        subscription=row,
        credits=given["credits"],
        actor=actor,
        reason=given["reason"],
        now=now,
        kind=GrantKind(given["kind"]),
        expires_at=given["expires_on"],
    )
    if request is not None:
        return f"nothing is booked yet: {plain(request.credits)} credits wait for a second person"
    return f"{plain(given['credits'])} credits booked; the balance is {plain(entries[-1].balance_after)}"
