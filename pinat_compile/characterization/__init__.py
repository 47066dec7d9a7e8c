"""Characterisation: from measured conductances to a target with fitted devices."""
