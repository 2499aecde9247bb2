"""A hub of one's own, and the way to it: serve, publish, verify."""
