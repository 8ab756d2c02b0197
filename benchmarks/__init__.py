"""Measures accuracy and speed: `python -m benchmarks NAME`. Results are kept in LOG.md."""
