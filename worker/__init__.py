"""The worker process: decodes pictures and classifies them."""
