//! External sorts in bounded memory: a memory pool that all queries share, and batches that a sort can account for.
//!
//! Why not one of DataFusion's pools alone: a sort that spills needs more memory before it releases any, because
//! merging its buffered batches takes a second copy of the sort keys, and batches between input and output. With a
//! plain pool the spill itself fails. Three rules prevent that:
//!
//! 1. Consumers that can spill get at most two fifths of the memory together.
//! 2. Merges leave a reserve, so that a sort downstream of other sorts can always merge at least two files.
//! 3. A sort gets [compact batches](Compact), because it is charged for the whole buffer that a slice refers to.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, resources_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{
    FairSpillPool, GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::passthrough_exec::{Passthrough, PassthroughExec};

/// The memory pool of all queries. Consumers that can spill share two fifths of it fairly; the rest goes to whichever
/// consumer asks first.
#[derive(Debug)]
pub(super) struct QueryMemoryPool {
    all: GreedyMemoryPool,
    spillable: FairSpillPool,
    /// Bytes that a merge of two files needs. A merge fails without them.
    two_files: usize,
    /// Limit of all reservations up to which a merge gets its first two files.
    limit_for_two_files: usize,
    /// Limit of all reservations up to which a merge gets more files, which only makes it faster. The difference
    /// between the limits is the reserve for the first two files of other merges.
    limit_for_more_files: usize,
}

impl QueryMemoryPool {
    /// Creates a pool of `bytes`, for sorts whose batches have at most `batch_bytes`.
    pub(super) fn new(bytes: usize, batch_bytes: usize) -> Self {
        Self {
            all: GreedyMemoryPool::new(bytes),
            spillable: FairSpillPool::new(bytes / 5 * 2),
            // DataFusion reserves two batches per file.
            two_files: 4 * batch_bytes,
            limit_for_two_files: bytes / 8 * 7,
            limit_for_more_files: bytes / 8 * 5,
        }
    }
}

/// The prefix of the name that DataFusion gives to the reservations of merges.
const MERGE_CONSUMER: &str = "ExternalSorterMerge";

fn can_spill(reservation: &MemoryReservation) -> bool {
    reservation.consumer().can_spill()
}

impl fmt::Display for QueryMemoryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all)
    }
}

impl MemoryPool for QueryMemoryPool {
    fn name(&self) -> &'static str {
        "query_memory"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.spillable.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.spillable.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.all.grow(reservation, additional);
        if can_spill(reservation) {
            self.spillable.grow(reservation, additional);
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.all.shrink(reservation, shrink);
        if can_spill(reservation) {
            self.spillable.shrink(reservation, shrink);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let is_two_files = reservation.size() + additional <= self.two_files;
        let limit = if is_two_files { self.limit_for_two_files } else { self.limit_for_more_files };
        if reservation.consumer().name().starts_with(MERGE_CONSUMER) && self.all.reserved() + additional > limit {
            return resources_err!(
                "{additional} bytes for {} are more than the merges of sorts may have: {self}",
                reservation.consumer().name()
            );
        }
        self.all.try_grow(reservation, additional)?;
        if !can_spill(reservation) {
            return Ok(());
        }
        if reservation.size() == 0 {
            // A consumer without memory has nothing to spill, so its first batch may exceed its fair share.
            self.spillable.grow(reservation, additional);
            return Ok(());
        }
        self.spillable.try_grow(reservation, additional).inspect_err(|_| self.all.shrink(reservation, additional))
    }

    fn reserved(&self) -> usize {
        self.all.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.all.memory_limit()
    }
}

/// Inserts a [`Compact`] before and after each sort that can spill. A sort with a limit (top-k) cannot.
#[derive(Debug)]
pub(super) struct CompactSorts {
    /// Approximate maximum size of a sort's input batches, in bytes.
    pub(super) batch_bytes: usize,
}

impl PhysicalOptimizerRule for CompactSorts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let compact = |input| PassthroughExec::wrap(input, Compact { batch_bytes: self.batch_bytes });
        plan.transform_up(|node| match node.downcast_ref::<SortExec>() {
            Some(sort) if sort.fetch().is_none() => {
                let input = compact(sort.input().clone());
                Ok(Transformed::yes(compact(replace_children_if_necessary(node, vec![input])?)))
            }
            _ => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "compact_sorts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Copies rows into batches that own their buffers. Strings of a Parquet page, and slices of an aggregation's result,
/// refer to a shared buffer, and each batch that a sort holds would be charged for the whole buffer.
#[derive(Debug, Clone, Copy)]
struct Compact {
    batch_bytes: usize,
}

impl Passthrough for Compact {
    const NAME: &'static str = "CompactExec";

    fn forward(self, batches: SendableRecordBatchStream) -> BoxStream<'static, Result<RecordBatch>> {
        batches.map_ok(move |batch| stream::iter(pieces(&batch, self.batch_bytes))).try_flatten().boxed()
    }
}

/// Splits a batch into compact batches of about `most` bytes or less.
fn pieces(batch: &RecordBatch, most: usize) -> Vec<Result<RecordBatch>> {
    let batch = match compact(batch) {
        Ok(batch) => batch,
        Err(error) => return vec![Err(error)],
    };
    let count = batch.get_array_memory_size().div_ceil(most.max(1));
    if count <= 1 || batch.num_rows() <= 1 {
        return vec![Ok(batch)];
    }
    let rows = batch.num_rows().div_ceil(count);
    let starts = (0..batch.num_rows()).step_by(rows);
    starts.map(|start| compact(&batch.slice(start, rows.min(batch.num_rows() - start)))).collect()
}

fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(without_shared_memory).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}

/// Returns the array, or a copy if its buffers are much larger than its rows.
fn without_shared_memory(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ if array.get_buffer_memory_size() > 2 * array.to_data().get_slice_memory_size()? => {
            let all: UInt32Array = (0..array.len() as u32).collect();
            take(array, &all, None)?
        }
        _ => array.clone(),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn what_can_go_to_disk_leaves_the_most_to_the_rest() {
        let pool: Arc<dyn MemoryPool> = Arc::new(QueryMemoryPool::new(1000, 25));
        let sort = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (a, b) = (sort("a"), sort("b"));
        a.try_grow(150).unwrap();
        a.try_grow(100).unwrap_err();
        b.try_grow(600).expect("a first batch may be larger than a share");
        b.try_grow(1).unwrap_err();
        b.free();
        let merge = MemoryConsumer::new("ExternalSorterMerge[0]").register(&pool);
        merge.try_grow(470).unwrap();
        merge.try_grow(10).expect_err("a merge that could run takes no more of what others need");
        let behind = MemoryConsumer::new("ExternalSorterMerge[1]").register(&pool);
        behind.try_grow(100).expect("two files for the sort behind it");
        behind.try_grow(10).expect_err("more have to wait");
        drop((merge, behind));
        let join = MemoryConsumer::new("join").register(&pool);
        join.try_grow(850).unwrap();
        join.try_grow(1).unwrap_err();
        b.try_grow(1).expect_err("there is no more");
        drop((a, b, join));
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn pieces_hold_only_their_own_rows() {
        let texts: StringViewArray = (0..8000).map(|n| Some(format!("{n:040}"))).collect();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("n", Arc::new(Int64Array::from_iter_values(0..8000))), ("s", Arc::new(texts))];
        let whole = RecordBatch::try_from_iter(columns).unwrap();
        let slice = whole.slice(1000, 100);
        let small = pieces(&slice, 1 << 20).remove(0).unwrap();
        assert_eq!(small, slice);
        assert!(small.get_array_memory_size() < 20_000, "{}", small.get_array_memory_size());

        let many: Vec<_> = pieces(&whole, 64 << 10).into_iter().map(Result::unwrap).collect();
        assert!(many.iter().all(|piece| piece.get_array_memory_size() < 100_000));
        let schema = whole.schema();
        assert_eq!(datafusion::arrow::compute::concat_batches(&schema, &many).unwrap(), whole);
    }
}
