"""Diagnosis: the way to a target tried step by step, and what to do about what fails."""
