"""The typed, validated view of a target: one chip as data, each number with its source."""
