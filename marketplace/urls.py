"""Paths of the pages. No path of ours ends in a slash, except the dashboard's, which are folders."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from marketplace import payments, views
from marketplace.forms import SignInForm

urlpatterns = [
    path("", views.plans, name="plans"),
    path(
        "login",
        LoginView.as_view(
            template_name="marketplace/login.html", authentication_form=SignInForm, redirect_authenticated_user=True
        ),
        name="login",
    ),
    path("logout", LogoutView.as_view(), name="logout"),
    path("dashboard/", include("marketplace.dashboard.urls")),
    path("payments/portal/<str:token>", payments.portal, name="payment-portal"),
    path("payments/portal/<str:token>/charges/<uuid:charge_id>", payments.decide, name="payment-decide"),
    path("payments/checkout/<str:token>", payments.checkout, name="payment-checkout"),
]
