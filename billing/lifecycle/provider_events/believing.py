"""Which event of an object is believed: the latest, by an order that does not depend on how they arrived."""

from __future__ import annotations

from billing.kernel.errors import Conflict
from billing.lifecycle.provider_events.outcomes import Context
from billing.models import ProviderObject
from billing.payments.events import ProviderEvent


class ObjectOfAnother(Conflict):
    """The provider's object belongs to another organization."""

    code = "provider_object_of_another"


def believe(context: Context, event: ProviderEvent, *, state: str, is_final: bool = False, rank: int = 0) -> bool:
    """Whether ``event`` is the latest of its subject; then it is noted as what is believed.

    Final beats not final, then the later second of the provider's clock, then the higher ``rank`` (what usually comes
    later within one second), then the greater event id: a total order, so any order of deliveries ends with the same
    event. The same event again is believed again. The caller holds the organization's lock.
    """
    key = (is_final, event.at, rank, context.event_id)
    subject = ProviderObject.objects.filter(provider=context.provider, subject=event.subject).first()
    if subject is None:
        subject = ProviderObject(provider=context.provider, subject=event.subject, organization=context.organization)
    elif subject.organization_id != context.organization.id:
        raise ObjectOfAnother(f"{event.subject} belongs to another organization.")
    elif key < (subject.is_final, subject.occurred_at, subject.rank, subject.event_id):
        return False
    subject.is_final, subject.occurred_at, subject.rank, subject.event_id = key
    subject.state = state
    subject.save()
    return True
