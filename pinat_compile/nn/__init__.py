"""Modules for people who build networks by hand."""
