"""The relay pipes two endpoints to each other; it knows no protocol."""
