"""Sessions in the database: found, started, refreshed, ended and removed."""
