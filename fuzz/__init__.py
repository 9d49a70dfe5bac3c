"""Fuzzing: one module per parser, each with a `check` that holds what must be true of any bytes."""
