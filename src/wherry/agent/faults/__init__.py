"""Fault injection: what a task may have happen to its own network, and how the kernel is brought to do it."""
