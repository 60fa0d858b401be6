"""Under ``/dashboard/``; these end in a slash, being folders."""

from django.urls import include, path

from marketplace.dashboard import purchase_views, views, webhook_views

_PURCHASES = "<slug:slug>/credits/purchases/"
_PURCHASE = f"{_PURCHASES}<uuid:purchase_id>/"
_WEBHOOK = "<slug:slug>/webhooks/<uuid:endpoint_id>/"

urlpatterns = [
    path("", views.start, name="dashboard-start"),
    path("<slug:slug>/", views.overview_page, name="dashboard"),
    path("<slug:slug>/plan/", include("marketplace.subscribing.urls")),
    path("<slug:slug>/desk/", include("marketplace.desk.urls")),
    path("<slug:slug>/", include("marketplace.accounts.dashboard_urls")),
    path("<slug:slug>/guardrails/", views.guardrails_page, name="guardrails"),
    path("<slug:slug>/usage/", views.usage_page, name="usage"),
    path("<slug:slug>/credits/", views.credits_page, name="credits"),
    path(_PURCHASES, purchase_views.purchases_page, name="credit-purchases"),
    path(f"{_PURCHASES}order/", purchase_views.order, name="credit-purchase-order"),
    path(_PURCHASE, purchase_views.order_page, name="credit-purchase"),
    path(f"{_PURCHASE}pay/", purchase_views.pay, name="credit-purchase-pay"),
    path(f"{_PURCHASE}withdraw/", purchase_views.withdraw, name="credit-purchase-withdraw"),
    path("<slug:slug>/invoices/", views.invoices_page, name="invoices"),
    path("<slug:slug>/invoices/<uuid:invoice_id>/", views.invoice_page, name="invoice"),
    path("<slug:slug>/refusals/", views.refusals_page, name="refusals"),
    path("<slug:slug>/webhooks/", webhook_views.webhooks_page, name="webhooks"),
    path(_WEBHOOK, webhook_views.webhook_page, name="webhook"),
    path(f"{_WEBHOOK}pause/", webhook_views.pause, name="webhook-pause"),
    path(f"{_WEBHOOK}resume/", webhook_views.resume, name="webhook-resume"),
    path(f"{_WEBHOOK}test/", webhook_views.test, name="webhook-test"),
    path(f"{_WEBHOOK}delete/", webhook_views.delete, name="webhook-delete"),
    path(f"{_WEBHOOK}messages/<uuid:message_id>/redeliver/", webhook_views.redeliver, name="webhook-redeliver"),
    path(f"{_WEBHOOK}messages/<uuid:message_id>/skip/", webhook_views.skip, name="webhook-skip"),
]
