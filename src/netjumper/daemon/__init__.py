"""A service as a process: signals, descriptors, workers, and the service manager."""
