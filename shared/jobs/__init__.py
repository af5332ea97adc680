"""Job records: the models, the store, the scripts and the limits."""
