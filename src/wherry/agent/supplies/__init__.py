"""What a task needs that is not in its payload, and that is fetched in the name of its execution role."""
