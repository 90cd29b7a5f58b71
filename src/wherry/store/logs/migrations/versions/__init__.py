"""The history of the log database's schema."""
