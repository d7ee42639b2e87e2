"""Graph to Graph with fewer channels, weights or bytes: mathematics only, nothing runs here."""
