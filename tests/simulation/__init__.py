"""Years of subscriptions, lived by the product day by day and calculated again from the written rules.

``lives`` makes people act, ``driving`` lets the product live it and writes down what was done, ``calculator`` works out
every invoice from that log alone, and ``comparing`` holds the two against each other. ``calculator``, ``almanac``,
``credit`` and ``plans`` import nothing of the product, so that a mistake in it cannot be in them as well.
"""
