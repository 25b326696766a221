//! Fuzz targets for what reads foreign bytes. Each test in `tests/` is a target.
