from django.apps import AppConfig


class MarketplaceConfig(AppConfig):
    name = "marketplace"
    verbose_name = "Marketplace"
    mcpctl_commands = {"partners": "marketplace.cli.partners", "listings": "marketplace.cli.listings"}
