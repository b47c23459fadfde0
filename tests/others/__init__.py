"""User models unlike Django's own. Tables are made by `migrate --run-syncdb`."""
