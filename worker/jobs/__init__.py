"""Job handling of a worker: claim, run and end jobs, and requeue stalled ones."""
