"""The contract: what the routes take and answer, as an OpenAPI document that is made from them."""
