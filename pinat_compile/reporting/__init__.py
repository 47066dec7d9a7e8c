"""Views of results: terminal, JSON, HTML, plots."""
