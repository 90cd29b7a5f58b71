"""The part of Amazon EC2 that awsvpc networking needs."""
