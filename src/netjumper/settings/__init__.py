"""Settings: their declarations, their sources, and the checks. Only this package uses pydantic."""
