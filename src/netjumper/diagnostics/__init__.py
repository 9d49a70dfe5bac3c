"""Diagnosis: tries the steps to a target and advises on the first that fails."""
