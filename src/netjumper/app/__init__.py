"""Builds objects from settings; no other package does that."""
