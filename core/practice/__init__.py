"""The practice network: neighbours, a chain and traffic on this machine, to try everything out on."""
