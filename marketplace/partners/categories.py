"""What listings are sorted by."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.transaction import atomic

from billing.accounts.actors import Actor
from billing.infra import audit, locks
from billing.kernel.errors import Conflict
from marketplace.models import Category
from marketplace.partners import fields, rights

NAME_LENGTH_MAX = 60


class CategoryExists(Conflict):
    """Another category has this name."""

    code = "category_exists"


@atomic
def rename(*, category: Category, name: str, actor: Actor, reason: str) -> Category:
    """Give the category another name; its code stays, as addresses have it. Raises ``Forbidden``, ``Invalid`` naming
    the field, or ``CategoryExists``."""
    rights.require_review(actor)
    with locks.busy_on_timeout():
        current = Category.objects.select_for_update().get(code=category.code)
    was, current.name = current.name, fields.line(name, field="name", length_max=NAME_LENGTH_MAX)
    try:
        with transaction.atomic():
            current.save(update_fields=["name"])
    except IntegrityError as error:
        raise CategoryExists("Another category has this name.", field="name") from error
    audit.record(
        actor=actor.name,
        act="category.rename",
        object_type="category",
        object_id=current.code,
        organization_id=None,
        reason=reason,
        details={"was": was, "name": current.name},
    )
    return current
