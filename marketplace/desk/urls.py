"""Under ``/dashboard/<slug>/desk/``."""

from django.urls import path

from marketplace.desk import views

urlpatterns = [
    path("", views.desk_page, name="desk"),
    path("preview/", views.preview, name="desk-preview"),
    path("draft/", views.draft, name="desk-draft"),
    path("credits/", views.top_up, name="desk-credits"),
]
