"""What people show to sign in: passwords and one-time links. Each is stored as a hash."""
