"""CloudWatch Logs without a database: its nouns, the rules of batches, filter patterns and Logs Insights."""
