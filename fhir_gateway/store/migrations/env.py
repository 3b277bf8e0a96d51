"""Alembic's entry: runs the migrations on the connection it is given, inside the transaction that is open on it."""

from __future__ import annotations

from alembic import context

from fhir_gateway.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
