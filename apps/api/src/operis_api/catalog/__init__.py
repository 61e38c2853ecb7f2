"""What is sold, through which upstream, at which price."""
