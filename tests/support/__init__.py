"""Builders and fakes that tests in several folders use."""
