"""The operations of Bottega over HTTP, as `bottega.local` has them on this machine."""

from bottega.client.blocking import Client
from bottega.client.operations import AsyncClient

__all__ = ["AsyncClient", "Client"]
