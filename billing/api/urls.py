"""Paths of the REST API. No path ends in a slash."""

from django.urls import path

from billing.api import (
    credit_notes,
    credits,
    invoices,
    journeys,
    organizations,
    plans,
    policy,
    profiles,
    quotas,
    settlement,
    subscriptions,
    usage,
    webhook_endpoints,
)
from billing.api.docs import DocsView, schema_view

_ORGANIZATION = "billing/organizations/<str:organization_ref>"
_WEBHOOKS = f"{_ORGANIZATION}/webhook-endpoints"
_WEBHOOK = f"{_WEBHOOKS}/<str:endpoint_id>"
_SUBSCRIPTION = "billing/subscriptions/<str:subscription_id>"
_INVOICE = "billing/invoices/<str:invoice_id>"

urlpatterns = [
    path("schema", schema_view, name="api-schema"),
    path("docs", DocsView.as_view(), name="api-docs"),
    path("policy/placements/evaluate", policy.EvaluatePlacement.as_view()),
    path("policy/decisions/<str:decision_id>", policy.DecisionDetail.as_view()),
    path("billing/plans", plans.Plans.as_view()),
    path("billing/usage", usage.Usage.as_view()),
    path("billing/organizations", organizations.Organizations.as_view()),
    path(_ORGANIZATION, organizations.OrganizationDetail.as_view()),
    path(f"{_ORGANIZATION}/keys", organizations.Keys.as_view()),
    path(f"{_ORGANIZATION}/keys/<str:key_id>", organizations.KeyDetail.as_view()),
    path(f"{_ORGANIZATION}/clock/advance", organizations.Clock.as_view()),
    path(f"{_ORGANIZATION}/subscription", subscriptions.CurrentSubscription.as_view()),
    path(f"{_ORGANIZATION}/subscriptions", subscriptions.Subscriptions.as_view()),
    path(f"{_ORGANIZATION}/quotas/check", quotas.CheckQuota.as_view()),
    path(f"{_ORGANIZATION}/usage", usage.UsageCounters.as_view()),
    path(_WEBHOOKS, webhook_endpoints.WebhookEndpoints.as_view()),
    path(_WEBHOOK, webhook_endpoints.WebhookEndpointDetail.as_view()),
    path(f"{_WEBHOOK}/rotate", webhook_endpoints.RotateWebhookSecret.as_view()),
    path(f"{_WEBHOOK}/pause", webhook_endpoints.PauseWebhookEndpoint.as_view()),
    path(f"{_WEBHOOK}/resume", webhook_endpoints.ResumeWebhookEndpoint.as_view()),
    path(f"{_WEBHOOK}/test", webhook_endpoints.TestWebhookEndpoint.as_view()),
    path(f"{_WEBHOOK}/replay", webhook_endpoints.ReplayWebhooks.as_view()),
    path(f"{_WEBHOOK}/deliveries", webhook_endpoints.WebhookDeliveries.as_view()),
    path(f"{_WEBHOOK}/deliveries/<str:message_id>", webhook_endpoints.WebhookDeliveryDetail.as_view()),
    path(f"{_WEBHOOK}/deliveries/<str:message_id>/replay", webhook_endpoints.ReplayWebhookDelivery.as_view()),
    path(f"{_WEBHOOK}/deliveries/<str:message_id>/skip", webhook_endpoints.SkipWebhookDelivery.as_view()),
    path(_SUBSCRIPTION, subscriptions.SubscriptionDetail.as_view()),
    path(f"{_SUBSCRIPTION}/cancel", subscriptions.CancelSubscription.as_view()),
    path(f"{_SUBSCRIPTION}/activate", subscriptions.ActivateSubscription.as_view()),
    path(f"{_SUBSCRIPTION}/reactivate", journeys.ReactivateSubscription.as_view()),
    path(f"{_SUBSCRIPTION}/pause", journeys.PauseSubscription.as_view()),
    path(f"{_SUBSCRIPTION}/resume", journeys.ResumeSubscription.as_view()),
    path(f"{_SUBSCRIPTION}/release", journeys.ReleaseSubscription.as_view()),
    path(f"{_SUBSCRIPTION}/invoices", invoices.SubscriptionInvoices.as_view()),
    path(f"{_SUBSCRIPTION}/invoices/draft", invoices.DraftInvoice.as_view()),
    path(f"{_SUBSCRIPTION}/invoices/preview", invoices.PreviewInvoice.as_view()),
    path(f"{_SUBSCRIPTION}/credits", credits.Credits.as_view()),
    path(f"{_SUBSCRIPTION}/credits/adjust", credits.AdjustCredits.as_view()),
    path(f"{_SUBSCRIPTION}/credits/ledger", credits.Ledger.as_view()),
    path(_INVOICE, invoices.InvoiceDetail.as_view()),
    path(f"{_INVOICE}/issue", invoices.IssueInvoice.as_view()),
    path(f"{_INVOICE}/void", settlement.VoidInvoice.as_view()),
    path(f"{_INVOICE}/uncollectible", settlement.WriteOffInvoice.as_view()),
    path(f"{_INVOICE}/pay", settlement.PayInvoice.as_view()),
    path(f"{_INVOICE}/refund", settlement.RefundInvoice.as_view()),
    path(f"{_INVOICE}/payments", settlement.InvoicePayments.as_view()),
    path(f"{_INVOICE}/credit-notes", credit_notes.InvoiceCreditNotes.as_view()),
    path("billing/credit-notes/<str:credit_note_id>", credit_notes.CreditNoteDetail.as_view()),
    path(f"{_ORGANIZATION}/billing-profile", profiles.BillingProfile.as_view()),
    path(f"{_ORGANIZATION}/balance", credit_notes.Balance.as_view()),
    path(f"{_ORGANIZATION}/balance/payouts", credit_notes.PayOutBalance.as_view()),
]
