"""Metrics, protocols, and what was measured: rows, tables, reports."""
