"""Organizations, the people and programs that act for them, and the one place that decides who may do what."""
