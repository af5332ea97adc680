"""The contract: the routes' requests and responses as an OpenAPI document, generated from the views."""
