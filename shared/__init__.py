"""What the API and the workers must agree on: settings, job record, stores, queue, errors."""
