"""The rules of stepbus, free of IO, clocks, randomness and ids: what follows from a command, what an event changes."""
