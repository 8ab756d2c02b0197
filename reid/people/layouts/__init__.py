"""Layouts: from a seed to a place with everything in it; `places` has them all."""
