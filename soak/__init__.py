"""The soak test: jump server, bridges, clients and a target as processes, under faults for an hour.

Both ends of a connection know its contents and check every byte, by their SHA-256. A connection
that is cut must end with a reset: an early end of stream is always an error.
"""
