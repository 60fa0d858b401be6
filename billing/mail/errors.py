"""Why a message is not sent again."""

from billing.kernel import errors


class MailNotFound(errors.NotFound):
    code = "not_found"

    def __init__(self) -> None:
        super().__init__("No such message.")


class NoRecipient(errors.Conflict):
    """The organization has no billing address to send to."""

    code = "no_recipient"


class MailWaits(errors.Conflict):
    """The message is on its way already."""

    code = "mail_pending"
