"""Handshakes without I/O: how one is driven, and that of the netjumper protocol."""
