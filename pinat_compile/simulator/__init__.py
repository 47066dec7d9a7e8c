"""Graph to torch module: the array MVM, the digital operators, chips and time."""
