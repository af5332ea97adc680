"""Measures the service beside the limit of the machine and beside other servers."""
