"""Batches: many pictures under one id, each of which is a job of its own."""
