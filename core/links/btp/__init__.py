"""The Bilateral Transfer Protocol (RFC-0023): packets both ways over one WebSocket, several at a time."""
