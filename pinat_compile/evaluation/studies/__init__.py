"""Studies: methods, seeds, severities and targets against each other, with equal budgets and honest intervals."""
