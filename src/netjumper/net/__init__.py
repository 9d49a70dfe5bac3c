"""Sockets on the event loop: endpoints, dials and listeners. It knows no protocol."""
