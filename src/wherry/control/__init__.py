"""The loops that move the world towards what the database says, each beside its pure planner."""
