"""Quota kept before the work, and settled with what it took."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from billing.accounts.actors import Act
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.problems import invalid_field
from billing.api.wire import Nothing, Quantity, Request
from billing.lifecycle import quota, reservations
from billing.metering import reserving
from billing.metering.offers import Offer
from billing.models import UsageReservation
from billing.reporting import representations
from billing.reporting.shapes import ReservationDocument

Key = Annotated[str, Meta(min_length=1, max_length=60)]
_SECONDS_MAX = int(reserving.EXPIRES_IN_MAX.total_seconds())
_SECONDS_DEFAULT = int(reserving.EXPIRES_IN_DEFAULT.total_seconds())


class Reserve(Request, frozen=True):
    """Exactly one of ``entitlement`` and ``event``. ``quantity_max``: the most that it may be settled with, by default
    ``quantity``. ``expires_in`` is seconds."""

    quantity: Quantity
    entitlement: Key | None = None
    event: Key | None = None
    quantity_max: Quantity | None = None
    expires_in: Annotated[int, Meta(ge=1, le=_SECONDS_MAX)] = _SECONDS_DEFAULT
    service: Annotated[str, Meta(max_length=60)] = ""
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class Settle(Request, frozen=True):
    """What the work took in the end."""

    quantity: Quantity


class Reservations(ApiView):
    @endpoint(
        "Reserve quota",
        responses={200: ReservationDocument, 201: ReservationDocument},
        act=Act.USAGE,
        tag="usage",
        problems=(402, 409),
    )
    def post(self, call: Call[Reserve, Nothing], organization_ref: str) -> Answer:
        """Keeps ``quantity``, and the credits it would cost, for work whose size is known only when it is done.

        It stands against limits until it is settled, released or expires, which it does to the second and by itself.
        201, or 200 with the first one for the same key; 402 with ``notes`` where the plan would not admit it. The key
        is ``idempotency_key``, or else the header ``Idempotency-Key``: one of them is needed.
        """
        body = call.body
        organization = call.organization(organization_ref, Act.USAGE)
        key = body.idempotency_key or call.idempotency_key
        if key is None:
            raise invalid_field("idempotency_key", "missing", "is missing: a reservation is named by its key")
        if (body.entitlement is None) == (body.event is None):
            raise invalid_field("event", "contradiction", "name an entitlement or an event, and not both")
        meter = body.event or ""
        if body.entitlement is not None:
            found = quota.find_meter_of(organization, body.entitlement, record_usage=True)
            meter = found if isinstance(found, str) else quota.passed(found).meter
        reserved = reservations.reserve(
            offer=Offer(organization, meter, body.quantity.value, key, service=body.service),
            now=call.at,
            quantity_max=body.quantity_max.value if body.quantity_max else None,
            expires_in=timedelta(seconds=body.expires_in),
        )
        reservation = reservations.passed(reserved, entitlement=body.entitlement or "", now=call.at)
        is_new = reserved.outcome.status == "accepted"
        where = f"/api/billing/organizations/{organization_ref}/quotas/reservations/{reservation.id}"
        return Answer(201 if is_new else 200, _shown(call, reservation), headers={"Location": where})


class ReservationDetail(ApiView):
    @endpoint("Read a reservation", responses={200: ReservationDocument}, act=Act.READ, tag="usage")
    def get(self, call: Call[Nothing, Nothing], organization_ref: str, reservation_id: str) -> Answer:
        """What is kept, until when, and what became of it."""
        return Answer(200, _shown(call, _find(call, organization_ref, reservation_id, Act.READ)))


class SettleReservation(ApiView):
    @endpoint(
        "Settle a reservation",
        responses={200: ReservationDocument},
        act=Act.USAGE,
        tag="usage",
        problems=(402, 409),
    )
    def post(self, call: Call[Settle, Nothing], organization_ref: str, reservation_id: str) -> Answer:
        """Counts what the work took, at the instant of the reservation; the rest is free again.

        Up to what was reserved it always fits. More, up to ``quantity_max``, or anything after it expired, is admitted
        like any use: 402 where it does not fit, and the reservation stays as it was. Twice with the same quantity is
        once.
        """
        found = _find(call, organization_ref, reservation_id, Act.USAGE)
        settled = reservations.settle(reservation=found, quantity=call.body.quantity.value, now=call.at)
        if settled.outcome.refusal is not None:
            quota.passed(quota.answer(settled.outcome, "", record_usage=True, now=call.at))
        return Answer(200, _shown(call, settled.reservation))


class ReleaseReservation(ApiView):
    @endpoint(
        "Release a reservation", responses={200: ReservationDocument}, act=Act.USAGE, tag="usage", problems=(409,)
    )
    def post(self, call: Call[Nothing, Nothing], organization_ref: str, reservation_id: str) -> Answer:
        """Gives up what is kept. Twice is once; one that is settled is 409."""
        found = _find(call, organization_ref, reservation_id, Act.USAGE)
        return Answer(200, _shown(call, reserving.release(reservation=found, now=call.at)))


def _find(call: Call[Any, Any], organization_ref: str, reservation_id: str, act: Act) -> UsageReservation:
    organization = call.organization(organization_ref, act)
    try:
        given = UUID(reservation_id)
    except ValueError:
        raise reserving.ReservationNotFound("No such reservation.") from None
    return reserving.get_reservation(organization, given)


def _shown(call: Call[Any, Any], reservation: UsageReservation) -> dict[str, Any]:
    return representations.reservation(reservation, at=call.now(reservation.organization))
