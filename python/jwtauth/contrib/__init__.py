"""Support for other packages, loaded if they are installed."""
