"""The rules of stepbus, without IO, clock, randomness or ids: what follows from a command, and what an event changes."""
