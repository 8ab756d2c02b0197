"""footage -> sealed shards. Knows time and place, not queries."""
