"""What an operator must look at, kept until one has."""
