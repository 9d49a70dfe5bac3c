"""Fuzzing: a module per parser, whose `check` asserts properties that must hold for all inputs."""
