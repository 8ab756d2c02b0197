"""photo -> ranked sightings, with what was searched and what was not. Never writes a shard."""
