"""Workers that are each wrong in one way, made of a plain one that is wrong in none: what the kit must tell."""
