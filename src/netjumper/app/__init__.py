"""Objects made out of settings: nothing else does that."""
