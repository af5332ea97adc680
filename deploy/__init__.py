"""Runs the service without compose."""
