"""The bridge: SOCKS and HTTP proxy requests on loopback, each turned into a tunnel.

This package imports nothing itself, so that `bridge.upstream` can be used without loading h11.
"""
