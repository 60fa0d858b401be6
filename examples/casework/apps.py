from django.apps import AppConfig


class CaseworkConfig(AppConfig):
    name = "examples.casework"
    default_auto_field = "django.db.models.BigAutoField"
