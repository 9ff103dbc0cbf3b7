"""Software of others, unchanged; LICENSES.txt says what, whose, and under which terms."""
