"""Settings, model lists, rules and the sample data; a package, so that they ship in the wheel."""
