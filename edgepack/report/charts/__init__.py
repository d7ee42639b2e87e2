"""The geometry of charts, in percent of their areas; the templates draw it."""
