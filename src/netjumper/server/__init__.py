"""The jump server: its clients, their accounts, the guard, and the composition of all parts."""
