"""Ways to spoil a good response on purpose: to train on, and to test rules and selections with."""
