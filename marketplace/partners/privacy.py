"""What the marketplace holds of a person: which partners they are a member of, and as what.

Steps that they took stay in the history of listings, by an identifier that names nobody once the account is erased.
"""

from __future__ import annotations

from billing.models import User
from marketplace.models import PartnerMember


def export(user: User) -> dict[str, list[dict[str, str]]]:
    rows = PartnerMember.objects.filter(user=user).select_related("partner").order_by("created_at")
    return {
        "partner_memberships": [
            {"partner": each.partner.slug, "role": each.role, "since": each.created_at.isoformat()} for each in rows
        ]
    }


def forget(user: User) -> dict[str, int]:
    """Also the last admin: whoever asks for erasure is not held back, and reviewers can name another one."""
    return {"partner_memberships": PartnerMember.objects.filter(user=user).delete()[0]}
