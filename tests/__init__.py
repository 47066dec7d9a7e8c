"""The tests; helpers that several rooms use stand here (`tests.zoo`)."""
