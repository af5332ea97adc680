"""Sends the outcomes of jobs to webhooks; a process of its own, without a model."""
