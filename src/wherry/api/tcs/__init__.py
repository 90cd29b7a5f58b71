"""TCS: the channel on which agents publish health and statistics."""
