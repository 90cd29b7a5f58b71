"""The database is the truth: synchronous transaction functions, group commit, and the bell."""
