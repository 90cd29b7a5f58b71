"""The nouns of ECS and their rules: structs and pure functions, standard library and msgspec only."""
