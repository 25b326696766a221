//! Sorts of any size in bounded memory: how queries share what there is, and what a sort is given to hold.
//!
//! The one idea: a sort that is full needs more memory before it needs less, because the merge of what it holds keeps a
//! second copy of the keys and the batches between its input and its output. What can go to disk therefore never
//! takes more than two fifths of the memory, merges leave room for those behind them, and a sort holds rows of its own
//! and no pieces of something larger.

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

use super::relay::{Relay, RelayExec};

/// The memory of all queries: a part of it, in equal shares, for those who can go to disk, the rest for whoever is first.
#[derive(Debug)]
pub(super) struct Shares {
    all: GreedyMemoryPool,
    spillable: FairSpillPool,
    /// What a merge needs at most for two files, without which it fails.
    two_files: usize,
    /// The most that may be taken when a merge asks for this.
    least: usize,
    /// The most that may be taken when a merge asks for more, to read more files at once. What lies between is out of
    /// the reach of merges that want to be quicker, so that a sort behind other ones can always merge.
    more: usize,
}

impl Shares {
    /// Shares of `bytes`, for sorts whose batches have at most `batch_bytes`.
    pub(super) fn new(bytes: usize, batch_bytes: usize) -> Self {
        Self {
            all: GreedyMemoryPool::new(bytes),
            spillable: FairSpillPool::new(bytes / 5 * 2),
            // A merge asks for twice a batch of each file.
            two_files: 4 * batch_bytes,
            least: bytes / 8 * 7,
            more: bytes / 8 * 5,
        }
    }
}

/// What DataFusion calls the memory for the merges of a sort.
const MERGE: &str = "ExternalSorterMerge";

fn can_spill(reservation: &MemoryReservation) -> bool {
    reservation.consumer().can_spill()
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all)
    }
}

impl MemoryPool for Shares {
    fn name(&self) -> &str {
        "shares"
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
        let most = if reservation.size() + additional <= self.two_files { self.least } else { self.more };
        if reservation.consumer().name().starts_with(MERGE) && self.all.reserved() + additional > most {
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
            // Whoever holds nothing has nothing that could go to disk: the first batch may be larger than a share.
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

/// Puts a [`Compact`] before each sort that may go to disk and behind it.
#[derive(Debug)]
pub(super) struct CompactSorts {
    /// The most bytes of a batch that a sort is given.
    pub(super) batch_bytes: usize,
}

impl PhysicalOptimizerRule for CompactSorts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let compact = |input| RelayExec::plan(input, Compact { batch_bytes: self.batch_bytes });
        plan.transform_up(|node| match node.downcast_ref::<SortExec>() {
            Some(sort) if sort.fetch().is_none() => {
                let input = compact(sort.input().clone());
                Ok(Transformed::yes(compact(replace_children_if_necessary(node, vec![input])?)))
            }
            _ => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "compact_sorts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Gives the rows in batches that share no memory with others: columns of Parquet pages, and slices of
/// an aggregation's result, would be counted in full for each batch that a sort holds.
#[derive(Debug, Clone, Copy)]
struct Compact {
    batch_bytes: usize,
}

impl Relay for Compact {
    const NAME: &'static str = "CompactExec";

    fn relay(self, batches: SendableRecordBatchStream) -> BoxStream<'static, Result<RecordBatch>> {
        batches.map_ok(move |batch| stream::iter(pieces(&batch, self.batch_bytes))).try_flatten().boxed()
    }
}

/// The rows of a batch in compact batches of about as many bytes as given, or fewer.
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
    let columns = batch.columns().iter().map(own).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}

/// The array, copied where it holds on to more memory than its rows take.
fn own(array: &ArrayRef) -> Result<ArrayRef> {
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
        let pool: Arc<dyn MemoryPool> = Arc::new(Shares::new(1000, 25));
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
