//! Being written by the lead: the Athena wire API (StartQueryExecution ... GetTableMetadata). Do not start another; join endpoint.rs/server.rs to it when it is there.
