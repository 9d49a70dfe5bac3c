"""Helpers that tests share: peers, programs, servers and fixtures."""
