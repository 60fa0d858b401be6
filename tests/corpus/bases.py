"""For each endpoint sound requests, which succeed: what departs from nothing sound proves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.corpus.cases import Base

_SUBSCRIPTION = "/api/billing/subscriptions/<<own.subscription_id>>"
_INVOICE = "/api/billing/invoices/<<own.invoice_id>>"
_DRAFT = "/api/billing/invoices/<<third.draft_id>>"
_ORGANIZATION = "/api/billing/organizations/<<own.organization_ref>>"
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
EMPTY: dict[str, Any] = {}
_WHY = {"reason": "A word with the customer"}
_OF_DRAFT = {"invoice_id": "<<third.draft_id>>"}
_MINE = {"organization": "<<own.organization_ref>>"}
_PLATFORM_TENANT = {"organization": "<<own.organization_id>>"}
_EVENT = {
    "id": "evt_corpus",
    "type": "payment.succeeded",
    "created": 1700000000,
    "data": {"payment": "pay_1", "amount": 4900, "currency": "USD", "invoice_id": "<<own.invoice_id>>"},
}
_STRIPE_EVENT = {
    "id": "evt_stripe",
    "object": "event",
    "created": 1700000000,
    "type": "payment_intent.succeeded",
    "livemode": False,
    "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 4900, "currency": "usd", "metadata": {}}},
}
_USE = {
    "organization": "<<own.organization_ref>>",
    "meter": "tokens",
    "quantity": "2.5",
    "idempotency_key": "corpus-1",
    "source": "corpus",
    "occurred_at": "2023-12-19T22:30:00.25Z",
    "service": "writer",
    "guardrail_flags": ["drift"],
    "guardrails": [{"code": "rerun", "severity": "low", "subject": "s", "detail": "d"}],
    "payload": {"a": [1, "b", None, {"c": True}], "n": 0.5},
}
_CLOUD = {
    "specversion": "1.0",
    "id": "corpus-cloud",
    "source": "/corpus",
    "type": "tokens",
    "subject": "<<own.organization_ref>>",
    "time": "2023-12-19T22:30:00Z",
    "data": {"quantity": 3, "service": "writer", "guardrail_flags": ["drift"], "payload": {"k": "v"}},
}
_NEW_COUPON = {"code": "WINTER", "name": "Winter"}

BASES: Mapping[str, tuple[Base, ...]] = {
    "postCoupons": (
        Base({**_NEW_COUPON, "percent": "12.5", "periods": 3, "redemptions_max": 7}),
        Base({**_NEW_COUPON, "amount": "5.00", "currency": "USD", "redeem_until": "2030-01-01T00:00:00+02:00"}),
    ),
    "postRejectCredits": (Base(_WHY),),
    "postStopDunning": (Base(_WHY),),
    "readDunnings": (Base(query={"state": "open", "limit": "3"}),),
    "postInvoiceCreditNotes": (
        Base({"reason": "Half of it", "lines": [{"position": 1, "amount": "2.50"}]}),
        Base({"reason": "All that is left"}),
    ),
    "postHoldInvoice": (Base(_WHY, path=_OF_DRAFT),),
    "postIssueInvoice": (Base(path=_OF_DRAFT),),
    "postReleaseInvoice": (Base(path=_OF_DRAFT, before=((f"{_DRAFT}/hold", _WHY),)),),
    "postPayInvoice": (
        Base({"amount": "3.25", "reference": "bank-1", "provider": "bank", "method": "wire"}),
        Base({"amount": 2, "reference": "bank-2", "received_at": "2023-12-12T10:00:00Z"}),
    ),
    "postRefundInvoice": (
        Base(
            {"amount": "1.00", "reference": "back-1", "reason": "Paid twice", "received_at": "2023-12-13T10:00:00Z"},
            before=((f"{_INVOICE}/pay", {"amount": "3.25", "reference": "bank-1"}),),
        ),
    ),
    "postWriteOffInvoice": (Base(_WHY),),
    "postVoidInvoice": (Base(_WHY, path=_OF_DRAFT),),
    "postOrganizations": (
        Base(
            {
                "slug": "fresh",
                "name": "Fresh Ltd",
                "residency_region": "eu",
                "zone": "Europe/Paris",
                "currency": "EUR",
                "external_id": "crm:77",
                "billing_email": "books@fresh.example",
                "is_sandbox": True,
                "clock_at": "2024-01-01T00:00:00Z",
            }
        ),
        Base({"slug": "fresh", "name": "Fresh"}),
    ),
    "readBalance": (Base(query={"currency": "USD"}),),
    "postPayOutBalance": (
        Base(
            {"amount": "1.50", "currency": "USD", "reference": "out-1", "reason": "Asked for", "provider": "bank"},
            before=(
                (f"{_INVOICE}/pay", {"amount": "20.00", "reference": "bank-1"}),
                (f"{_INVOICE}/credit-notes", {"reason": "All of it"}),
            ),
        ),
    ),
    "putBillingProfile": (
        Base(
            {
                "legal_name": "Acme GmbH",
                "address": ["Hauptstraße 1", "10115 Berlin"],
                "country": "DE",
                "vat_number": "DE123456789",
                "purchase_order": "PO-7",
                "tax": {"treatment": "exclusive", "rate": "19", "label": "VAT", "note": ""},
                "payment_terms_days": 30,
                "collection": "manual",
            }
        ),
        Base({"legal_name": "Acme"}),
    ),
    "postClock": (Base({"to": "2023-12-20T03:00:00Z"}),),
    "readExport": (Base(query={"format": "jsonl"}, path={"export": "events"}), Base(query={"format": "csv"})),
    "readDebitHolds": (Base(query={"state": "open"}),),
    "postClearDebit": (Base(_WHY),),
    "postRejectDebit": (Base(_WHY),),
    "readGuardrailReport": (Base(query={"from": "2023-11-01T00:00:00Z", "to": "2023-12-01T00:00:00Z"}),),
    "postKeys": (
        Base({"name": "production", "scopes": ["read", "usage"]}),
        Base({"name": "k", "scopes": ["read"], "expires_at": "2190-01-01T00:00:00.5Z"}),
    ),
    "postPortal": (Base({"return_url": "https://example.com/back?a=b"}), Base({})),
    "postCheckout": (
        Base(
            {"return_url": "/dashboard/"},
            before=(
                (f"{_SUBSCRIPTION}/cancel", {"at_period_end": False}),
                ("own " + f"{_ORGANIZATION}/subscriptions", {"plan_code": "trial"}),
            ),
            # The subscription of the moment is known by what was made before.
            path={"subscription_id": "<<made.id>>"},
        ),
    ),
    "postCheckQuota": (
        Base({"event": "tokens", "quantity": "2", "record_usage": True, "idempotency_key": "checked"}),
        Base({"entitlement": "max_cases"}),
    ),
    "postReservations": (
        Base(
            {
                "event": "tokens",
                "quantity": "2.5",
                "quantity_max": "4",
                "expires_in": 60,
                "service": "w",
                "idempotency_key": "kept",
            }
        ),
    ),
    "postSettleReservation": (Base({"quantity": "0.5"}),),
    "postCurrentSubscription": (
        Base({"plan_code": "scale"}),
        Base({"plan_code": "scale", "when": "period_end"}),
        Base({"plan_code": "free", "when": "now"}),
    ),
    "postSubscriptions": (
        Base({"plan_code": "team", "currency": "USD"}, before=((f"{_SUBSCRIPTION}/cancel", {"at_period_end": False}),)),
    ),
    "postWebhookEndpoints": (
        Base({"url": "https://hooks.example.com/2", "topics": ["invoice.*"], "description": "Ours"}),
        Base({"url": "https://hooks.example.com/3"}),
    ),
    "changeWebhookEndpointDetail": (
        Base({"url": "https://hooks.example.com/4", "topics": ["*"], "description": "Other"}),
    ),
    "postReplayWebhookDelivery": (Base(),),
    "postReplayWebhooks": (Base({"since": "2023-11-17T00:00:00Z", "until": "2023-11-18T00:00:00Z"}),),
    "postRotateWebhookSecret": (Base({"grace_hours": 2}),),
    "postMigratePlan": (
        Base({"to": "scale", "organization": "<<own.organization_ref>>", "limit": 5, "include_sandboxes": True}),
        Base({"to": "scale", "organization": "<<own.organization_ref>>", "apply": True, "include_sandboxes": True}),
    ),
    "readProviderEvents": (Base(query={"provider": "stripe", "status": "waiting"}),),
    "postReplayProviderEvent": (Base(_WHY),),
    "postProviderWebhook": (
        Base(_EVENT, caller="nobody", headers={"X-Sign-As": "stub"}),
        Base(_STRIPE_EVENT, caller="nobody", headers={"X-Sign-As": "stripe"}, path={"provider": "stripe"}),
    ),
    "postActivateSubscription": (
        Base(
            {},
            before=(
                (f"{_SUBSCRIPTION}/cancel", {"at_period_end": False}),
                # Somebody who may not decide about payment signs up: it waits to be confirmed.
                ("own " + f"{_ORGANIZATION}/subscriptions", {"plan_code": "team"}),
            ),
            path={"subscription_id": "<<made.id>>"},
        ),
    ),
    "postCancelSubscription": (Base({"at_period_end": True, "reason": "Moves away"}), Base({"at_period_end": False})),
    "postAdjustCredits": (
        Base(
            {"credits": "25.5", "reason": "Outage of 3 May", "kind": "promotion", "expires_at": "2024-06-01T00:00:00Z"}
        ),
        Base({"credits": -1, "reason": "Too many"}),
    ),
    "postCreditPurchases": (Base({"credits": "5", "subscription": "<<own.subscription_id>>"}), Base({"credits": 2})),
    "postCreditPurchaseCheckout": (Base({"return_url": "/dashboard/"}),),
    "postVoidGrant": (
        Base(_WHY, before=((f"{_ORGANIZATION}/quotas/reservations/<<own.reservation_id>>/release", {}),)),
    ),
    "postSubscriptionDiscounts": (Base({"code": "SUMMER"}, path={"subscription_id": "<<third.subscription_id>>"}),),
    "readSubscriptionInvoices": (Base(query={"status": "issued"}), Base(query={"limit": "1"})),
    "postDraftInvoice": (Base({}, path={"subscription_id": "<<third.subscription_id>>"}),),
    "postPauseSubscription": (Base({"reason": "Holidays"}),),
    "postResumeSubscription": (Base({}, before=((f"{_SUBSCRIPTION}/pause", {}),)),),
    "postPreviewChangeOfPlan": (Base({"plan_code": "scale", "when": "now"}), Base({"plan_code": "free"})),
    "postReactivateSubscription": (Base({}, before=((f"{_SUBSCRIPTION}/cancel", {"at_period_end": True}),)),),
    "postReleaseSubscription": (Base({}),),
    "postUsage": (
        Base(_USE),
        Base({"events": [_USE, {"meter": "tokens", "quantity": 1}], "organization": "<<own.organization_ref>>"}),
        Base(_CLOUD, media=CLOUD_EVENT),
        Base([_CLOUD], media=CLOUD_EVENTS),
        Base({"meter": "task_run", "quantity": "0.000001"}, caller="own"),
    ),
    "postReverseUsage": (
        Base(
            {"reason": "Counted twice", "quantity": "2", "idempotency_key": "back"},
            path={"event_id": "<<own.fresh_event_id>>"},
        ),
    ),
    "readListings": (Base(query={"q": "ledger", "category": "integrations"}), Base()),
    "postPublishListing": (Base({"version": 2}, path={"listing_slug": "waiting"}),),
    "postRejectListing": (Base({"version": 2, "reason": "Too short"}, path={"listing_slug": "waiting"}),),
    "postSuspendListing": (Base({"version": 3, "reason": "Complaints"}, path={"listing_slug": "bridge"}),),
    "postRestoreListing": (
        Base(
            {"version": 4},
            path={"listing_slug": "bridge"},
            before=(("/api/marketplace/listings/bridge/suspend", {"version": 3, "reason": "r"}),),
        ),
    ),
    "postEvaluatePlacement": (
        Base(
            {
                "organization": "<<own.organization_ref>>",
                "requirements": [
                    {"event": "tokens", "quantity": "2", "idempotency_key": "p1"},
                    {"entitlement": "max_cases"},
                ],
                "record": True,
            }
        ),
    ),
    "readTenantPortal": (Base(query={**_MINE, "return_url": "/dashboard/"}),),
    "readTenantState": (Base(query=_MINE),),
    "readTenantUsage": (Base(query=_PLATFORM_TENANT),),
    "postUpdateTenantPlan": (
        Base({"plan_code": "scale"}, query=_MINE),
        Base({"status": "paused"}, query=_MINE),
        Base({"renewal_date": "2023-12-28"}, query=_MINE),
    ),
    "postMoveCase": (Base(query=_MINE),),
    "readCases": (Base(query={**_MINE, "limit": "2"}),),
    "postCases": (Base({"reference": "C-77", "title": "A case"}, query=_MINE),),
    "postCaseDocuments": (Base({"kind": "letter"}, query=_MINE),),
    "postCaseJobs": (Base({"job": "plan", "flags": ["open"], "sequence": "ACGT"}, query=_MINE),),
    "postEvaluateCase": (Base({"case": "<<own.case_id>>"}, query=_MINE),),
    "readUsageDays": (Base(query={"from": "2023-11-01", "to": "2024-01-02", "meter": "tokens"}),),
    "readWebhookDeliveries": (Base(query={"status": "pending", "limit": "2"}),),
    "readInvoices": (Base(query={"status": "draft"}), Base(query={"limit": "1"})),
    "readLedger": (Base(query={"limit": "2"}),),
    "readCreditRequests": (Base(query={"state": "waiting"}),),
    "readAllCreditRequests": (Base(query={"limit": "1"}),),
    "readInvoiceDetail": (Base(), Base(query={"format": "csv"})),
}


def bases_of(operation_id: str) -> tuple[Base, ...]:
    return BASES.get(operation_id, (Base(),))
