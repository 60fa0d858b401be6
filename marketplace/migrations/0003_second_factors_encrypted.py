"""Secrets of second factors that were stored as they are, encrypted."""

from typing import Any

from django.db import migrations

from billing.infra import encryption

# As in marketplace/accounts/second_factor.py, which may change later; what was stored does not.
PURPOSE = "second factor"
FIELDS = ("secret", "seed")
LIST = "migrated_codes"


def encrypt(apps: Any, schema_editor: Any) -> None:
    _change(apps, lambda text: text if encryption.is_encrypted(text) else encryption.encrypt(text, purpose=PURPOSE))


def decrypt(apps: Any, schema_editor: Any) -> None:
    _change(apps, lambda text: encryption.decrypt(text, purpose=PURPOSE) if encryption.is_encrypted(text) else text)


def _change(apps: Any, change: Any) -> None:
    for authenticator in apps.get_model("mfa", "Authenticator").objects.all():
        data = authenticator.data
        changed = {name: change(data[name]) for name in FIELDS if name in data}
        if LIST in data:
            changed[LIST] = [change(code) for code in data[LIST]]
        if changed:
            authenticator.data = data | changed
            authenticator.save(update_fields=["data"])


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0002_listing_steps"), ("mfa", "0003_authenticator_type_uniq")]
    operations = [migrations.RunPython(encrypt, decrypt)]
