"""`python -m api.contract`: prints the OpenAPI document, for docs/openapi.json (`make contract`)."""

import sys

from api.app import create_app
from api.contract.document import as_text, contract_of
from api.services import Services
from shared.redis_client import connect
from shared.settings import Settings


def main() -> None:
    """Create an application without serving it, and print the document generated from its views."""
    settings = Settings.from_environ({})
    services = Services.from_settings(settings, connect(settings.redis_url, max_connections=1))
    sys.stdout.write(as_text(contract_of(create_app(services))))


if __name__ == "__main__":
    main()
