"""Settings: what there are, and where their values come from. The only room that knows pydantic."""
