"""Who asks on the management API, and in which organization."""
