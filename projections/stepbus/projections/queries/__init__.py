"""What can be asked of the views: SQL on one side, rows and pages on the other. All of it reads, nothing writes."""
