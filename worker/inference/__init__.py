"""From pixels to labels: engines, batches, model folders."""
