"""Why nothing is collected. Each has a stable code; none leaves anything written."""

from billing.kernel import errors


class CollectionNotFound(errors.NotFound):
    code = "not_found"

    def __init__(self) -> None:
        super().__init__("No such dunning.")


class CollectionClosed(errors.Conflict):
    """Nobody collects this invoice any more."""

    code = "dunning_closed"


class ChargeUnderWay(errors.Conflict):
    """A provider was asked for the money and has not answered for good."""

    code = "charge_under_way"
