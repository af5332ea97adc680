"""What a worker does with jobs: claim, run, end, and requeue what stalled."""
