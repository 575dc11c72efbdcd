"""The paper's experiments: measured (measure.py), read (results.py), drawn (an experiment each) and put on a page (page.py)."""
