"""The HTTP proxy: the handshake of CONNECT, and the forwarding of plain requests."""
