"""Days and instants in the one order that every reader takes for the same."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i"
