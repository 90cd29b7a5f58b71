"""CloudWatch Logs, a module for each of its nouns."""
