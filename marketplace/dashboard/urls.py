"""Under ``/dashboard/``; these end in a slash, being folders."""

from django.urls import include, path

from marketplace.dashboard import views

urlpatterns = [
    path("", views.start, name="dashboard-start"),
    path("<slug:slug>/", views.overview_page, name="dashboard"),
    path("<slug:slug>/plan/", include("marketplace.subscribing.urls")),
    path("<slug:slug>/desk/", include("marketplace.desk.urls")),
    path("<slug:slug>/", include("marketplace.accounts.dashboard_urls")),
    path("<slug:slug>/guardrails/", views.guardrails_page, name="guardrails"),
    path("<slug:slug>/invoices/<uuid:invoice_id>/", views.invoice_page, name="invoice"),
]
