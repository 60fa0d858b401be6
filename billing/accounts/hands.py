"""Whose hand a name in the audit log stands for: where two people are asked for, a person and their key are one."""

from __future__ import annotations

from billing.models import AuditEntry

_KEY = "key:"
# Keys that were made by keys that were made by keys.
_CHAIN_MAX = 8


def is_one_hand(name: str, other: str) -> bool:
    """Whether two ``Actor.name``s are known to be one hand: the same, a key and whoever made it, or two keys of one
    maker.

    Who made a key stands in the audit log. That a login of the server and an account are one person is not known.
    """
    return name == other or not _makers(name).isdisjoint(_makers(other))


def _makers(name: str) -> set[str]:
    found = {name}
    while name.startswith(_KEY) and len(found) < _CHAIN_MAX:
        made_by = (
            AuditEntry.objects.filter(object_type="api_key", object_id=name.removeprefix(_KEY), act="key.create")
            .values_list("actor", flat=True)
            .first()
        )
        if made_by is None or made_by in found:
            break
        found.add(made_by)
        name = made_by
    return found
