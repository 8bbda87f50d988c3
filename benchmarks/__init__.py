"""Benchmarks of fastmlp."""
