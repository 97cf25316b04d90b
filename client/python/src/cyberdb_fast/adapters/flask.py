"""JSON of tables in Flask: see the README, "Adapters"."""

from __future__ import annotations

from typing import Any

from cyberdb_fast import CyberDict, CyberList

from .frameworks import require

require("flask", "3.0", "3.1")

from flask.json.provider import DefaultJSONProvider  # noqa: E402


class CyberDBJSONProvider(DefaultJSONProvider):
    """Flask's own JSON, for tables too: `app.json = CyberDBJSONProvider(app)`.

    A dict is an object and a list an array, as of one moment, read in one request.
    """

    @staticmethod
    def default(o: Any) -> Any:
        """What stands for an object that JSON lacks. TypeError if nothing does."""
        if isinstance(o, (CyberDict, CyberList)):
            return o.copy()
        return DefaultJSONProvider.default(o)
