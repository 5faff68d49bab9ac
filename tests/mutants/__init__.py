"""Changes the decisions and the words one small thing at a time; the unit tests have to notice."""
