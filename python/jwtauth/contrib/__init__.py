"""For other packages: loaded where they are installed."""
