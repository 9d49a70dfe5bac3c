"""The log: what a line looks like, who writes it, and how many there may be of a kind."""
