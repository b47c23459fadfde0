"""Empty: each site declares its models beside its views. Django creates tables of apps with this module only."""
