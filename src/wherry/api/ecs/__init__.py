"""Amazon ECS: a module per noun, one function per operation, and the table of all 88."""
