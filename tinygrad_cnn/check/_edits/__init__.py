"""Broken gradient rules: every way to get one of the recorded operations wrong."""
