"""What tests of several files need: fakes with the protocols' methods, and builders. Shipped nowhere."""
