"""Paths of the REST API. No path ends in a slash."""

from django.urls import path

from billing.api import credits, invoices, organizations, plans, quotas, subscriptions, usage
from billing.api.docs import DocsView, schema_view

_ORGANIZATION = "billing/organizations/<str:organization_ref>"
_SUBSCRIPTION = "billing/subscriptions/<str:subscription_id>"

urlpatterns = [
    path("schema", schema_view, name="api-schema"),
    path("docs", DocsView.as_view(), name="api-docs"),
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
    path(_SUBSCRIPTION, subscriptions.SubscriptionDetail.as_view()),
    path(f"{_SUBSCRIPTION}/cancel", subscriptions.CancelSubscription.as_view()),
    path(f"{_SUBSCRIPTION}/activate", subscriptions.ActivateSubscription.as_view()),
    path(f"{_SUBSCRIPTION}/invoices", invoices.SubscriptionInvoices.as_view()),
    path(f"{_SUBSCRIPTION}/invoices/draft", invoices.DraftInvoice.as_view()),
    path(f"{_SUBSCRIPTION}/invoices/preview", invoices.PreviewInvoice.as_view()),
    path(f"{_SUBSCRIPTION}/credits", credits.Credits.as_view()),
    path(f"{_SUBSCRIPTION}/credits/adjust", credits.AdjustCredits.as_view()),
    path(f"{_SUBSCRIPTION}/credits/ledger", credits.Ledger.as_view()),
    path("billing/invoices/<str:invoice_id>", invoices.InvoiceDetail.as_view()),
    path("billing/invoices/<str:invoice_id>/issue", invoices.IssueInvoice.as_view()),
]
