from django.urls import path

from marketplace.storefront import views

urlpatterns = [
    path("", views.plans, name="plans"),
    path("plans/<str:plan_code>", views.plan, name="shop-plan"),
    path("compare", views.compare, name="compare"),
]
