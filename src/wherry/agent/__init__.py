"""The agent of one host: takes assignments, acts one idempotent step at a time, reports until acknowledged."""
