"""Pages about listings: for everybody, for partners, for reviewers."""
