"""Differences, kinks and laws that ``gradcheck`` is made of."""
