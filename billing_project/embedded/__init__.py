"""Real PostgreSQL and Valkey servers from Python wheels, run as children of this process under a data folder."""
