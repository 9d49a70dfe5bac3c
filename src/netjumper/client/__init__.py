"""Connections to a jump server; the library, the bridge and the diagnosis use them."""
