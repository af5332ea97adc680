"""Code shared by the API and the workers: settings, job records, stores, queue, errors."""
