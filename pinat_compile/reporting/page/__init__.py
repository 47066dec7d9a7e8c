"""The report as one HTML file that needs no network: gathered by `run`, judged by `verdict`, drawn with Bokeh."""
