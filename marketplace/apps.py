from django.apps import AppConfig


class MarketplaceConfig(AppConfig):
    name = "marketplace"
    verbose_name = "Marketplace"
    personal_data = "marketplace.partners.privacy"
    mcpctl_commands = {"partners": "marketplace.cli.partners", "listings": "marketplace.cli.listings"}

    def ready(self) -> None:
        from marketplace.accounts import sessions

        sessions.connect()
