"""Datasets that are larger than the disk: their texts are read first, their audio comes by pieces later.

A piece is a row group of a parquet file. The texts, ids and lengths of all rows are fetched alone, by range requests,
into a file that is empty elsewhere (`index`), which the reader of parquet reads like any other. The path of a clip is
that of a file in the folder of its piece, which a bounded cache fetches when somebody holds it (`cache`, `clips`).
"""
