"""Who is staff, with which groups and regions: for superusers alone, as it decides what everybody else may do."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.db import transaction

from billing.accounts import fields
from billing.accounts.actors import ALL_REGIONS, Actor, NotAllowed
from billing.infra import audit
from billing.kernel.errors import Conflict, Invalid
from billing.models import User

REASON_LENGTH_MAX = 500


class OwnRights(Conflict):
    """Nobody gives rights to themselves or takes their own: somebody else should know."""

    code = "own_rights"


def set_staff(
    *, user: User, groups: Iterable[str], regions: Iterable[str], is_active: bool, actor: Actor, reason: str
) -> User:
    """Make ``user`` staff with these groups and cleared regions ("*" for all); without groups they are staff no more.

    One who is not active cannot sign in. Raises ``NotAllowed``, ``OwnRights``, ``Invalid`` naming the field.
    """
    if not actor.is_superuser and not actor.name.startswith("cli:"):
        raise NotAllowed("Only superusers manage staff.")
    if actor.name == f"user:{user.id}":
        raise OwnRights("Nobody manages their own rights.")
    text = reason.strip()
    if not text or len(text) > REASON_LENGTH_MAX:
        raise Invalid(f"A reason of 1 to {REASON_LENGTH_MAX} characters is needed.", field="reason")
    wanted_regions = sorted({each if each == ALL_REGIONS else fields.region(each) for each in regions})
    names = sorted(set(groups))
    with transaction.atomic():
        stored = User.objects.select_for_update().get(id=user.id)
        found = list(Group.objects.filter(name__in=names))
        if len(found) != len(names):
            raise Invalid("No such group.", field="groups")
        before = _as_dict(stored)
        stored.groups.set(found)
        stored.is_staff = bool(found) or stored.is_superuser
        stored.cleared_regions, stored.is_active = wanted_regions, is_active
        stored.save(update_fields=["is_staff", "cleared_regions", "is_active"])
        after = _as_dict(stored)
        if after != before:
            audit.record(
                actor=actor.name,
                act="staff.set",
                object_type="user",
                object_id=stored.id,
                organization_id=None,
                reason=text,
                details={"from": before, "to": after},
            )
        return stored


def _as_dict(user: User) -> dict[str, object]:
    return {
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "regions": list(user.cleared_regions),
        "is_staff": user.is_staff,
        "is_active": user.is_active,
    }
