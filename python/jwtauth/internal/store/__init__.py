"""Finding, starting, refreshing, ending and removing sessions in the database."""
