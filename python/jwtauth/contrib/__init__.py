"""Support for other packages, imported only where they are used."""
