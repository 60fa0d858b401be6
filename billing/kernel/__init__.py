"""Pure Python under everything else: money, decimals, time, identifiers, errors. Imports no Django."""
