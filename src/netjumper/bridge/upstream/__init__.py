"""The way to the jump servers: which of them, on which connection, and when to ask again."""
