"""The life of an accepted connection, the same in the jump server and the bridge."""
