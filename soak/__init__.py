"""Jump server, bridges and clients as real processes, for an hour, with everything that goes wrong.

What is sent is known on both sides, so that every byte is checked, by its SHA-256. What ends in the
middle must end with a reset: an end of stream that comes too early is never in order.
"""
