"""Drills: faults made on purpose, and what must be true all the same. `python -m bench.drills` runs them."""
