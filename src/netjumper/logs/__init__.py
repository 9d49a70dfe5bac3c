"""The log: the format of a line, the thread that writes it, and the limit on similar lines."""
