"""What drives the core: rounds, relay, timers, quarantine, and the readers of the log."""
