"""All that touches a socket. Knows endpoints, dials, listeners and relays; knows no protocol."""
