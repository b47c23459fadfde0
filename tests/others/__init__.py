"""User models unlike Django's. `migrate --run-syncdb` creates their tables."""
