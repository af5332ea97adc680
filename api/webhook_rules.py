"""Which webhooks an upload may name."""

from collections.abc import Collection
from dataclasses import dataclass

from shared.errors import BadRequest
from shared.webhook_targets import TargetRefused, parse_target

OFF = "Webhooks are off: the operator has not set `WEBHOOK_SECRET`. Upload without `webhook`, and poll the `Location`."


@dataclass(frozen=True)
class WebhookRules:
    """Whether webhooks are `enabled`, and which hosts may have private addresses."""

    enabled: bool
    allowed_hosts: Collection[str]

    def check(self, url: str) -> None:
        """Check the URL without resolving its host; that is done when the webhook is sent.

        Raises:
            BadRequest: webhooks are off, or this URL cannot be used.
        """
        if not self.enabled:
            raise BadRequest(OFF)
        try:
            parse_target(url, self.allowed_hosts)
        except TargetRefused as error:
            raise BadRequest(f"This `webhook` cannot be used: {error}.") from None
