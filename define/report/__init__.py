"""Results as text, data and figures.

One path leads from a record to a cell: `runs.records.find` reads the records, `analysis.compare`
makes sections of a table's rows with statistics, `tables`, `claims`, `scores` and `details` turn a
section into grids of numbers, `view` collects the grids of a table, and a template prints them.
"""
