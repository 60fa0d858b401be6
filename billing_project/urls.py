from allauth.account.decorators import secure_admin_login
from django.apps import apps
from django.contrib import admin
from django.urls import include, path
from django.urls.resolvers import URLPattern, URLResolver

# The admin's own would let somebody with a second factor in with the password alone.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

handler500 = "billing_project.errors.server_error"

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/", include("billing.api.urls")),
    path("api/marketplace/", include("marketplace.api.urls")),
    path("", include("billing.observability")),
    path("", include("marketplace.urls")),
]

if apps.is_installed("examples.casework"):
    urlpatterns.append(path("api/v1/", include("examples.casework.urls")))
