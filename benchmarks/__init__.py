"""Rates of the hot path. `make bench` prints them beside a floor measured in the same run; no figure here is a test."""
