"""Network architectures: torch modules and the strict loading of their weights."""
