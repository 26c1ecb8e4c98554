"""The operator API: interledger-rs's calls and our own, as one aiohttp application."""

from core.links.control_http.app import ApiOptions, build_app

__all__ = ["ApiOptions", "build_app"]
