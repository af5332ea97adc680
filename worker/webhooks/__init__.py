"""The process that sends the outcomes of jobs to webhooks; it needs no model."""
