"""What a service needs next, decided without a clock, a database or chance: same snapshot, same plan."""
