"""API keys: minting, what a key may do, and who calls with it."""
