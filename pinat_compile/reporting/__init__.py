"""Views of the report document: tables on a terminal."""
