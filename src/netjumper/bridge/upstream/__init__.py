"""The connections to the jump servers: which jump host, which connection, and when to retry."""
