//! The memory and the threads that an engine may use.

/// Resource limits of one engine, shared by all its queries.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of memory for sorts, joins and aggregations. Data beyond it spills to disk.
    pub memory: usize,
    /// Number of worker threads.
    pub threads: usize,
}

impl Default for Limits {
    /// 512 MB, allocated only when needed, and one thread per core.
    fn default() -> Self {
        Self { memory: 512 << 20, threads: std::thread::available_parallelism().map_or(1, usize::from) }
    }
}
