"""A test double of the Qdrant server: its REST API, as far as the demo uses it, on Qdrant's own storage engine."""

# The server whose API is spoken. Clients and backups read it from `GET /`.
VERSION = "1.19.2"
