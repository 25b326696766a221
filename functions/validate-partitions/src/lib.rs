//! validate-partitions
