"""Measurements side by side with what Wherry is compared to: see `bench/run`."""
