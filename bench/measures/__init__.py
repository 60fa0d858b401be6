"""One module for each group of measures; each offers ``measures(stage) -> Iterator[Contest]``."""
