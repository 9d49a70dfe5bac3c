"""Two endpoints piped to each other; knows no protocol."""
