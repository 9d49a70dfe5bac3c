"""The jump server: who may come in, where each may go, and the whole put together."""
