"""The back office over the slices below."""
