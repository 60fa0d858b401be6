"""How Django writes by itself, as the lists of the desk do; pages for customers ask ``marketplace.wording``."""
