"""Rules that bring a graph into the forms that TFLite's builtin operators take."""
