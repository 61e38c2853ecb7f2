"""Keys that got out: found in files, and reported by those who scan code for secrets."""
