"""What the pages of listings, of partners and of reviewers show: frozen, built from queries."""
