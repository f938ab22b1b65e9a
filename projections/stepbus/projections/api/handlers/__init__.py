"""What each endpoint does: a question to the views, or an operation, and its answer."""
