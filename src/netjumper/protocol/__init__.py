"""The wire, without I/O: how a handshake is driven, and the netjumper protocol's own."""
