from django.urls import path

from bench.references import views

urlpatterns = [
    path("empty", views.empty),
    path("empty-get", views.EmptyGet.as_view()),
    path("empty-post", views.EmptyPost.as_view()),
    path("naive", views.NaiveUse.as_view()),
    path("plans", views.PlansByPrefetch.as_view()),
    path("shop", views.shop_by_prefetch),
    # What waits for the server asks here whether it is there.
    path("healthz", views.empty),
]
