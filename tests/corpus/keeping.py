"""What a request that succeeded wrote is read back: in its answer, in another request's, and in the rows.

Texts come back without the blanks around them where a field says so, and words of a tax that were left empty as those
that invoices will bear; everything else comes back as it was sent.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.kernel import guardrails
from billing.lifecycle import provider_events
from billing.models import AuditEntry, ProviderInboxEvent, UsageEvent, UsageEventPayload
from tests.corpus import judging
from tests.corpus.cases import Case
from tests.corpus.operations import Operation
from tests.corpus.sending import Answer

Read = Callable[[str], Answer]
How = Callable[[Any], Any]


def exactly(value: Any) -> Any:
    return value


def trimmed(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def taxed(value: Any) -> Any:
    return trimmed(value) or "Tax"


def exempted(value: Any) -> Any:
    return trimmed(value) or "Reverse charge: the recipient is liable for the tax."


def upper(value: Any) -> Any:
    return value.strip().upper() if isinstance(value, str) else value


def lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def number(value: Any) -> Any:
    return None if value is None else Decimal(str(value))


def size(value: Any) -> Any:
    return None if value is None else abs(Decimal(str(value)))


def moment(value: Any) -> Any:
    """RFC 3339; digits beyond microseconds are dropped, as the document says."""
    if value is None:
        return None
    text = re.sub(r"(\.\d{6})\d+", r"\1", str(value)).upper().replace("Z", "+00:00")
    return datetime.fromisoformat(text)


def members(value: Any) -> Any:
    return sorted(set(value))


@dataclass(frozen=True)
class Kept:
    """``fields``: of the request, where they are in the answer, and how they are compared. ``again``: where the same
    is read, ``{name}`` being a field of the answer; in a list it is found by ``by``. ``part`` is the part of the answer
    that is read there, ``nested`` where the list stands."""

    fields: Mapping[str, tuple[str, How]] = field(default_factory=dict)
    again: str = ""
    by: str = "id"
    part: str = ""
    nested: str = "results"
    but: frozenset[str] = frozenset()


def _same(*names: str, how: How = exactly) -> dict[str, tuple[str, How]]:
    return {name: (name, how) for name in names}


_INVOICE = Kept(again="/api/billing/invoices/{id}")
_SUBSCRIPTION = Kept(again="/api/billing/subscriptions/{id}")
_ENDPOINT = Kept(
    fields=_same("url") | _same("topics", how=members) | _same("description", how=trimmed),
    again="/api/billing/organizations/{organization}/webhook-endpoints/{id}",
    but=frozenset({"secret"}),
)
_PAYMENT = {
    name: (f"payment.{name}", how)
    for name, how in {
        "amount": number, "reference": trimmed, "provider": exactly, "method": exactly, "received_at": moment,
        "reason": trimmed,
    }.items()
}  # fmt: skip
_DUNNING = Kept(again="/api/billing/dunnings/{id}")
_REQUEST = Kept(again="/api/billing/credit-requests/{id}")
_HOLD = Kept(again="/api/billing/organizations/<<own.organization_ref>>/guardrails/holds", by="event_id")
KEPT: Mapping[str, Kept] = {
    "postCoupons": Kept(
        _same("code", how=upper) | _same("name", how=trimmed) | _same("percent", "amount", how=number)
        | _same("currency", "periods", "redemptions_max") | _same("redeem_until", how=moment),
        again="/api/billing/coupons", by="code",
    ),
    "postRetireCoupon": Kept(again="/api/billing/coupons", by="code"),
    "postOrganizations": Kept(
        _same("slug", "residency_region", "zone", "currency", "external_id", "is_sandbox") | _same("name", how=trimmed)
        | _same("billing_email", how=trimmed) | _same("clock_at", how=moment),
        again="/api/billing/organizations/{id}",
    ),
    "postKeys": Kept(
        _same("name", how=trimmed) | _same("scopes", how=members) | _same("expires_at", how=moment),
        again="/api/billing/organizations/<<own.organization_ref>>/keys", but=frozenset({"key"}),
    ),
    "deleteKeyDetail": Kept(again="/api/billing/organizations/<<own.organization_ref>>/keys"),
    "postWebhookEndpoints": _ENDPOINT,
    "changeWebhookEndpointDetail": _ENDPOINT,
    "postRotateWebhookSecret": Kept(again=_ENDPOINT.again, but=_ENDPOINT.but),
    "postPauseWebhookEndpoint": Kept(again=_ENDPOINT.again),
    "postResumeWebhookEndpoint": Kept(again=_ENDPOINT.again),
    "putBillingProfile": Kept(
        _same("legal_name", "purchase_order", how=trimmed) | _same("country", "vat_number", how=upper)
        | _same("payment_terms_days", "collection") | {"tax.treatment": ("tax.treatment", exactly),
        "tax.label": ("tax.label", taxed), "tax.note": ("tax.note", exempted)},
        again="/api/billing/organizations/<<own.organization_ref>>/billing-profile",
    ),
    "postPayInvoice": Kept(_PAYMENT, again="/api/billing/invoices/<<own.invoice_id>>/payments", part="payment"),
    "postRefundInvoice": Kept(_PAYMENT, again="/api/billing/invoices/<<own.invoice_id>>/payments", part="payment"),
    "postInvoiceCreditNotes": Kept(_same("reason", how=trimmed), again="/api/billing/credit-notes/{id}"),
    "postPayOutBalance": Kept(
        _same("reference", "reason", how=trimmed) | _same("amount", how=size) | _same("currency"),
        again="/api/billing/organizations/<<own.organization_ref>>/balance", by="sequence",
    ),
    "postReservations": Kept(
        _same("quantity", "quantity_max", how=number),
        again="/api/billing/organizations/{organization}/quotas/reservations/{id}",
    ),
    "postSettleReservation": Kept(
        {"quantity": ("settled_quantity", number)},
        again="/api/billing/organizations/{organization}/quotas/reservations/{id}",
    ),
    "postReleaseReservation": Kept(again="/api/billing/organizations/{organization}/quotas/reservations/{id}"),
    "postReverseUsage": Kept(_same("quantity", how=number) | {"idempotency_key": ("key", exactly)}),
    "postVoidGrant": Kept(again="/api/billing/subscriptions/<<own.subscription_id>>/credits", nested="grants"),
    "postSubscriptionDiscounts": Kept(
        _same("code", how=upper), again="/api/billing/subscriptions/<<third.subscription_id>>/discount", by="code"
    ),
    "postCreditPurchases": Kept(_same("credits", how=number), again="/api/billing/credit-purchases/{id}"),
    "postWithdrawCreditPurchase": Kept(again="/api/billing/credit-purchases/{id}"),
    "postCases": Kept(_same("reference", "title"), again="/api/v1/cases?organization=<<own.organization_ref>>"),
    "postCaseDocuments": Kept(_same("kind")),
    "postEvaluatePlacement": Kept(again="/api/policy/decisions/{id}"),
    "postCurrentSubscription": _SUBSCRIPTION,
    "postSubscriptions": Kept({"plan_code": ("plan.code", exactly)}, again=_SUBSCRIPTION.again),
    "postCancelSubscription": _SUBSCRIPTION,
    "postPauseSubscription": _SUBSCRIPTION,
    "postResumeSubscription": _SUBSCRIPTION,
    "postReactivateSubscription": _SUBSCRIPTION,
    "postReleaseSubscription": _SUBSCRIPTION,
    "postActivateSubscription": _SUBSCRIPTION,
    "postDraftInvoice": _INVOICE,
    "postIssueInvoice": _INVOICE,
    "postHoldInvoice": _INVOICE,
    "postReleaseInvoice": _INVOICE,
    "postVoidInvoice": _INVOICE,
    "postWriteOffInvoice": _INVOICE,
    "postRetryDunning": _DUNNING,
    "postStopDunning": _DUNNING,
    "postRejectCredits": _REQUEST,
    "postClearDebit": _HOLD,
    "postRejectDebit": _HOLD,
}  # fmt: skip


def differences(case: Case, operation: Operation, document: Any, answer: Answer, read: Read) -> Iterator[str]:
    """Where what was sent is not what was kept. ``read`` asks for a path as whoever may read everything."""
    if operation.id == "postProviderWebhook":
        yield from _inbox(case, answer)
        return
    if operation.id == "postUsage":
        yield from _uses(document, answer)
        return
    if operation.id == "postAdjustCredits" and answer.status == 201:
        yield from _adjusted(document, answer, read)
    kept, said = KEPT.get(operation.id), answer.json
    if kept is not None:
        yield from _answered(kept, document, said)
        if kept.again:
            # With their key, what names nobody is theirs.
            again = kept.again.replace("<<own.", "<<other.") if case.caller == "theirs" else kept.again
            yield from _read_again(replace(kept, again=again), said, read)
    reason = document.get("reason") if isinstance(document, dict) else None
    if reason and reason.strip() and not _is_told(reason, said):
        yield f"the reason {reason!r} is neither in the answer nor in the audit log"


def _is_told(reason: str, said: Any) -> bool:
    # What partners are told is composed, as all their texts are, and has one blank between its words.
    spelled = {reason, reason.strip(), " ".join(unicodedata.normalize("NFC", reason).split())}
    return bool(spelled & set(judging.texts(said))) or AuditEntry.objects.filter(reason__in=spelled).exists()


def _at(document: Any, path: str) -> Any:
    for step in path.split("."):
        if not isinstance(document, dict) or step not in document:
            return KeyError
        document = document[step]
    return document


def _answered(kept: Kept, document: Any, said: Any) -> Iterator[str]:
    for name, (where, how) in kept.fields.items():
        sent = _at(document, name)
        if sent is KeyError or sent is None:
            continue
        found = _at(said, where)
        if found is KeyError or how(found) != how(sent):
            yield f"{name} was sent as {sent!r} and is answered as {found!r}"


def _read_again(kept: Kept, said: Any, read: Read) -> Iterator[str]:
    part = said[kept.part] if kept.part else said
    path = re.sub(r"\{(\w+)\}", lambda name: str(part[name[1]]), kept.again)
    again = read(path)
    if again.status != 200:
        yield f"{path} is answered {again.status} afterwards"
        return
    found = again.json
    if kept.nested in found:
        found = next((each for each in found[kept.nested] if each[kept.by] == part[kept.by]), None)
        if found is None:
            yield f"{path} does not list it"
            return
    for name in sorted((part.keys() & found.keys()) - kept.but):
        if part[name] != found[name]:
            yield f"{name} is answered as {part[name]!r} and read as {found[name]!r}"


def _adjusted(document: Any, answer: Answer, read: Read) -> Iterator[str]:
    entries = answer.json["results"]
    if sum(Decimal(each["amount"]) for each in entries) != Decimal(str(document["credits"])):
        yield f"{document['credits']} credits were booked as {[each['amount'] for each in entries]}"
    ledger = read("/api/billing/subscriptions/<<own.subscription_id>>/credits/ledger?limit=200").json["results"]
    if not all(each in ledger for each in entries):
        yield "the ledger does not have the entries that were answered"


def _uses(document: Any, answer: Answer) -> Iterator[str]:
    """Each use that was accepted now, against its row."""
    sent = document if isinstance(document, list) else document.get("events", [document])
    said = answer.json.get("results", [answer.json])
    if len(sent) != len(said):
        yield f"{len(sent)} uses were sent and {len(said)} answered"
        return
    for use, outcome in zip(sent, said, strict=True):
        if outcome["status"] != "accepted":
            continue
        row = UsageEvent.objects.get(id=outcome["event"]["id"])
        data = use.get("data", use)
        pairs = {
            "meter": (use.get("meter", use.get("type")), row.meter_id),
            "quantity": (number(data["quantity"]), row.quantity),
            "source": (use.get("source", "api"), row.source),
            "service": (data.get("service", ""), row.service),
        }
        if key := use.get("idempotency_key", use.get("id")):
            pairs["key"] = (key, row.key)
        if at := use.get("occurred_at", use.get("time")):
            pairs["occurred_at"] = (moment(at), row.occurred_at)
        raised = [*data.get("guardrail_flags", []), *(each["code"] for each in data.get("guardrails", []))]
        pairs["guardrail_flags"] = (set(map(guardrails.normalized, raised)), set(row.guardrail_flags))
        if payload := data.get("payload"):
            held = UsageEventPayload.objects.filter(event_id=row.id).values_list("payload", flat=True).first() or {}
            pairs["payload"] = (_plain(payload), {name: held.get(name) for name in payload})
        for name, (wanted, found) in pairs.items():
            if wanted != found:
                yield f"{name} was sent as {wanted!r} and is kept as {found!r}"


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _inbox(case: Case, answer: Answer) -> Iterator[str]:
    """A delivery is kept byte for byte, and the worker that comes to it survives it."""
    if answer.json["is_duplicate"]:
        return
    row = ProviderInboxEvent.objects.order_by("-received_at", "-id").first()
    if row is None or bytes(row.body or b"") != answer.body:
        yield "the delivery is not kept as it was sent"
        return
    try:
        provider_events.process(event_id=row.id, now=row.received_at)
    except Exception as error:
        yield f"the worker died of it: {type(error).__name__}: {error}"
