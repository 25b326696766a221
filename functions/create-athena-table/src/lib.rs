//! create-athena-table
