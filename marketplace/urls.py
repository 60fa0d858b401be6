"""Paths of the pages. No path of ours ends in a slash, except the dashboard's, which are folders."""

from django.urls import include, path

from marketplace import payments
from marketplace.accounts import joining
from marketplace.subscribing import views as subscribing

urlpatterns = [
    path("", include("marketplace.storefront.urls")),
    path("account/", include("marketplace.accounts.urls")),
    path("invitations/<str:token>", joining.invitation, name="invitation"),
    path("subscribe/<slug:plan_code>", subscribing.subscribe, name="subscribe"),
    path("dashboard/", include("marketplace.dashboard.urls")),
    path("", include("marketplace.partners.urls")),
    path("payments/portal/<str:token>", payments.portal, name="payment-portal"),
    path("payments/portal/<str:token>/charges/<uuid:charge_id>", payments.decide, name="payment-decide"),
    path("payments/checkout/<str:token>", payments.checkout, name="payment-checkout"),
    path("payments/orders/<str:token>", payments.order, name="payment-order"),
]
