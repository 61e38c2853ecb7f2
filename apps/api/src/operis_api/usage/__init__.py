"""What was consumed: records of requests, and sums over them. Written by settlement, only read here."""
