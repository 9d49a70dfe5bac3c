"""The bridge: SOCKS and HTTP proxy requests on loopback, each turned into a tunnel.

Nothing is imported here, so that who needs `bridge.upstream` alone does not load h11.
"""
