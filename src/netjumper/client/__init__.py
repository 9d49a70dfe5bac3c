"""What connects to a jump server: the library, the bridge and the diagnosis use it."""
