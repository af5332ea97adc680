"""How the service is run where there is no compose."""
