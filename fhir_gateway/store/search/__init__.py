"""Search: parameters as files, values as rows, queries typed before any SQL.

query = parse_query("ServiceRequest", [("patient", "Patient/1"), ("status", "active")])
page = tx.search("ServiceRequest", query)
"""

from __future__ import annotations

from fhir_gateway.store.search.index import SearchIndex
from fhir_gateway.store.search.page import Page
from fhir_gateway.store.search.query import SearchQuery, at_home, during, in_compartment, parse_query

__all__ = ["Page", "SearchIndex", "SearchQuery", "at_home", "during", "in_compartment", "parse_query"]
