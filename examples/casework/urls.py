from django.urls import path

from examples.casework import views

urlpatterns = [
    path("cases", views.Cases.as_view()),
    path("cases/evaluate", views.EvaluateCase.as_view()),
    path("cases/<str:case_id>/documents", views.CaseDocuments.as_view()),
    path("cases/<str:case_id>/jobs", views.CaseJobs.as_view()),
    path("case-lifecycle/<str:case_id>/<str:transition>", views.MoveCase.as_view()),
]
