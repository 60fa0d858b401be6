"""Under ``/dashboard/<slug>/plan/``."""

from django.urls import path

from marketplace.subscribing import plan_views

urlpatterns = [
    path("", plan_views.plan_page, name="plan"),
    path("preview/", plan_views.preview, name="plan-preview"),
    path("change/", plan_views.change, name="plan-change"),
    path("cancel/", plan_views.leave, name="plan-cancel"),
    path("keep/", plan_views.keep, name="plan-keep"),
    path("coupon/", plan_views.redeem, name="plan-coupon"),
    path("pay/", plan_views.pay, name="plan-pay"),
]
