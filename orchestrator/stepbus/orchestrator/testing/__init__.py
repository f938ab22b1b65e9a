"""What proves that the promises hold, for us and for whoever builds on stepbus."""
