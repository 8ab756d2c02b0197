"""One sealed segment on disk: its files, how they are written and read. The format is in README.md."""
