"""The services of this application, for views."""

from __future__ import annotations

from typing import cast

from flask import current_app

from letstalk.services import Services


def services() -> Services:
    return cast(Services, current_app.extensions["letstalk"])
