from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Reads every invoice, and keeps nobody from writing meanwhile: that is why it is a migration of its own."""

    dependencies = [
        ('billing', '0026_credit_purchases'),
    ]

    operations = [
        ValidateConstraint(model_name='invoice', name='invoices_period_unless_purchase'),
    ]
