"""All state lives here: one field a store protocol, and a backend is a folder with one class a protocol."""

from core.stores.record import Stores, open_stores

__all__ = ["Stores", "open_stores"]
