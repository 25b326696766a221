//! The DataFusion session that all queries of an engine start from: settings, functions, rules, memory and disk.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::{Result, not_impl_err};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, SessionStateDefaults};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::prelude::SessionConfig;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ExactNumberInfo, TimezoneInfo};

use super::cancellable_rules;
use super::cooperative::InsertYields;
use super::memory::{CompactSorts, QueryMemoryPool};
use super::semantics::AthenaSemantics;
use super::sound_rules;
use super::unnest::UnnestPlanner;
use crate::catalog::CATALOG_NAME;
use crate::functions;
use crate::limits::Limits;
use crate::types::{JSON, TIMESTAMP};

/// Returns a session without a catalog. Each query uses a copy with its own catalog snapshot.
pub(super) fn base(limits: Limits, spill: &Path) -> Result<SessionState> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(QueryMemoryPool::new(limits.memory, per_sort(limits))))
        .with_temp_file_path(spill)
        .with_max_spill_merge_fan_in(MERGE_FAN_IN)
        .build_arc()?;
    Ok(SessionStateBuilder::new()
        .with_config(config(limits))
        .with_runtime_env(runtime)
        // Not `with_default_features`, which would put all functions and file formats of DataFusion into the program.
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(functions::all())
        .with_aggregate_functions(functions::aggregates())
        .with_higher_order_functions(functions::with_lambdas())
        .with_window_functions(functions::windows())
        .with_type_planner(Arc::new(AthenaTypes))
        .with_relation_planners(vec![Arc::new(UnnestPlanner)])
        .with_analyzer_rules(vec![
            Arc::new(ResolveGroupingFunction::new()),
            Arc::new(AthenaSemantics),
            Arc::new(TypeCoercion::new()),
        ])
        .with_optimizer_rules(cancellable_rules::rules())
        .with_physical_optimizer_rules(sound_rules::physical())
        .with_physical_optimizer_rule(Arc::new(CompactSorts { batch_bytes: per_sort(limits) }))
        .with_physical_optimizer_rule(Arc::new(InsertYields))
        .build())
}

/// Rows of a batch, and number of files that a sort merges at once. A merge holds a few batches of each file: with
/// DataFusion's defaults, one sort of wide rows would use the whole memory pool.
const BATCH_ROWS: usize = 4096;
const MERGE_FAN_IN: usize = 8;

/// Returns the bytes that a sort reserves for merging, which is also the maximum size of its input batches. Smaller
/// with less memory per thread, so that the sorts of one query fit into the pool together.
fn per_sort(limits: Limits) -> usize {
    const MAX: usize = 10 << 20;
    MAX.min(limits.memory / (16 * limits.threads.max(1)))
}

fn config(limits: Limits) -> SessionConfig {
    let threads = limits.threads.max(1);
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG_NAME, "default")
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false)
        .with_target_partitions(threads)
        .with_batch_size(BATCH_ROWS);
    let options = config.options_mut();
    "nulls_last".clone_into(&mut options.sql_parser.default_null_ordering);
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.sort_spill_reservation_bytes = per_sort(limits);
    // A file for each batch that an exchange between threads writes to disk. With a file for several, DataFusion 55.2 waits for ever
    // if two threads write at the same time: the reader waits for the next batch of the older file, and that thread for the reader.
    // https://github.com/apache/datafusion/issues/24883
    options.execution.max_spill_file_size_bytes = ConfigNonZeroUsize::try_new(1).expect("1 is not zero");
    options.execution.time_zone = Some("UTC".to_owned());
    config
}

/// Plans the SQL types of casts.
#[derive(Debug)]
struct AthenaTypes;

impl TypePlanner for AthenaTypes {
    fn plan_type_field(&self, ty: &SqlType) -> Result<Option<FieldRef>> {
        let ty = match ty {
            SqlType::Timestamp(Some(precision), _) if *precision != 3 => {
                return not_impl_err!("timestamp({precision}) is not supported: all timestamps have 3 digits");
            }
            SqlType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => TIMESTAMP,
            SqlType::Timestamp(..) => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            SqlType::JSON => JSON,
            SqlType::Decimal(ExactNumberInfo::None) | SqlType::Numeric(ExactNumberInfo::None) => {
                DataType::Decimal128(38, 0)
            }
            SqlType::Varbinary(None) => DataType::Binary,
            SqlType::Char(_) | SqlType::Character(_) => {
                return not_impl_err!("casts to char are not supported: use varchar");
            }
            // DataFusion handles the other types as Athena does, or refuses them.
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", ty, true))))
    }
}
