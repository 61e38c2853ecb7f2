"""The audit log: one row for each change somebody made, written in the change's own transaction."""
