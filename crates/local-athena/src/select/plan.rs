//! Plans a parsed SELECT and starts it.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Spanned, Statement as SqlStatement, Visit, Visitor};

use super::audited::AuditedObjects;
use super::errors::{column_not_found, from_execution_error, from_plan_error};
use super::relations::{Relations, ViewPlanner};
use super::rewrite::{names_path, rewrite, shown_name, written};
use super::session;
use super::size;
use crate::catalog::{CATALOG_NAME, Snapshot, TableColumn, TableKind};
use crate::error::{ErrorKind, QueryError};
use crate::limits::Limits;
use crate::objects::ObjectFiles;
use crate::result_set::Column;
use crate::sql::{ColumnName, Form, Position, Select, Statement};
use crate::types::{HiveType, column_type};

/// Plans the queries of one engine.
pub(crate) struct Planner {
    selects: Arc<SelectPlanner>,
    objects: Arc<AuditedObjects>,
}

/// A query that is ready to run.
pub(crate) struct PlannedQuery {
    state: SessionState,
    logical: LogicalPlan,
    columns: Vec<Column>,
}

impl Planner {
    pub(crate) fn new(limits: Limits, spill: &Path, objects: Arc<dyn ObjectFiles>) -> Result<Self, DataFusionError> {
        let selects = Arc::new(SelectPlanner { base: session::base(limits, spill)? });
        Ok(Self { selects, objects: Arc::new(AuditedObjects::new(objects)) })
    }

    /// Plans a query against a snapshot of the catalog.
    pub(crate) async fn plan(
        &self,
        select: &Select,
        database: &str,
        snapshot: Snapshot,
    ) -> Result<PlannedQuery, QueryError> {
        size::check(select, &database.to_lowercase(), &snapshot)?;
        let relations = Relations {
            snapshot: Arc::new(snapshot),
            objects: self.objects.clone(),
            view_planner: self.selects.clone(),
            with_path: false,
            depth: 0,
        };
        let (state, logical) = self.selects.analyzed(&relations, select, database).await?;
        let columns = columns(&logical, &select.names)?;
        Ok(PlannedQuery { state, logical, columns })
    }
}

impl PlannedQuery {
    /// Returns the columns of the result.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the types of the columns.
    pub(crate) fn types(&self) -> Vec<DataType> {
        self.logical.schema().fields().iter().map(|field| field.data_type().clone()).collect()
    }

    /// Returns the columns for a view with this SELECT.
    ///
    /// # Errors
    /// A column has no name, the name of another column, or a type that views cannot have.
    pub(crate) fn view_columns(&self) -> Result<Vec<TableColumn>, QueryError> {
        let mut taken = HashSet::new();
        let fields = self.logical.schema().fields().iter().enumerate();
        fields
            .map(|(at, field)| {
                let name = shown_name(field.name()).ok_or_else(|| {
                    let message = format!("Column name not specified at position {}", at + 1);
                    QueryError::new(ErrorKind::MissingColumnName, message)
                })?;
                if !taken.insert(name) {
                    let message = format!("Column name '{name}' specified more than once");
                    return Err(QueryError::new(ErrorKind::Semantic, message));
                }
                let ty = HiveType::from_arrow(field.data_type()).ok_or_else(|| {
                    let message = format!("a view's column of type {} is not supported", field.data_type());
                    QueryError::new(ErrorKind::NotSupported, message)
                })?;
                Ok(TableColumn { name: name.to_owned(), ty, comment: None })
            })
            .collect()
    }

    /// Creates the physical plan, which lists the files, and starts to execute it.
    pub(crate) async fn start(self) -> Result<RunningQuery, QueryError> {
        let plan = self.physical().await?;
        let context = Arc::new(TaskContext::from(&self.state));
        let stream = execute_stream(plan.clone(), context).map_err(|error| from_execution_error(&error))?;
        Ok(RunningQuery { plan, stream })
    }

    /// Returns the optimized logical plan as text.
    pub(crate) fn logical_text(&self) -> Result<String, QueryError> {
        Ok(self.optimized()?.display_indent().to_string())
    }

    /// Returns the physical plan as text.
    pub(crate) async fn physical_text(&self) -> Result<String, QueryError> {
        let plan = self.physical().await?;
        Ok(displayable(plan.as_ref()).indent(false).to_string())
    }

    async fn physical(&self) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        let plan = self.optimized()?;
        let planner = self.state.query_planner();
        let error = match planner.create_physical_plan(&plan, &self.state).await {
            Ok(physical) => return Ok(physical),
            Err(error) => error,
        };
        // DataFusion plans some sorts of constant columns over several threads in a way that it refuses afterwards. On one thread
        // there is nothing to merge.
        if matches!(error.find_root(), DataFusionError::Plan(_) | DataFusionError::Internal(_)) {
            let mut state = self.state.clone();
            state.config_mut().options_mut().execution.target_partitions = 1;
            if let Ok(physical) = planner.create_physical_plan(&plan, &state).await {
                return Ok(physical);
            }
        }
        Err(from_execution_error(&error))
    }

    // Not `SessionState::optimize`, which would run the analyzer again: the plan is analyzed already.
    fn optimized(&self) -> Result<LogicalPlan, QueryError> {
        let optimizer = self.state.optimizer();
        let plan = optimizer.optimize(self.logical.clone(), &self.state, |_, _| {});
        plan.map_err(|error| from_execution_error(&error))
    }
}

/// A query that has started.
pub(crate) struct RunningQuery {
    /// The physical plan; its metrics count the bytes read.
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// The batches of rows.
    pub(crate) stream: SendableRecordBatchStream,
}

/// Plans SELECTs: that of a statement, and those of the views that it reads.
struct SelectPlanner {
    /// The session without a catalog. Each SELECT is planned on a copy with its own [`Relations`].
    base: SessionState,
}

#[async_trait]
impl ViewPlanner for SelectPlanner {
    async fn plan_view(&self, relations: &Relations, sql: &str, database: &str) -> Result<LogicalPlan, QueryError> {
        let Form::Select(select) = Statement::parse(sql, &[])?.form else {
            return Err(QueryError::new(ErrorKind::Internal, "a view is no SELECT"));
        };
        let (_, plan) = self.logical(relations, &select, database).await?;
        Ok(plan)
    }
}

impl SelectPlanner {
    /// Returns a plan whose types are final, so that type errors show here and not while the query runs.
    async fn analyzed(
        &self,
        relations: &Relations,
        select: &Select,
        database: &str,
    ) -> Result<(SessionState, LogicalPlan), QueryError> {
        let (state, plan) = self.logical(relations, select, database).await?;
        let options = state.config_options();
        let plan = state.analyzer().execute_and_check(plan, options, |_, _| {});
        let plan = plan.map_err(|error| from_plan_error(&error, &select.query))?;
        check_sort_columns(&plan, &select.query)?;
        Ok((state, plan))
    }

    async fn logical(
        &self,
        relations: &Relations,
        select: &Select,
        database: &str,
    ) -> Result<(SessionState, LogicalPlan), QueryError> {
        let with_path = names_path(&select.query);
        let relations = Relations { with_path, ..relations.clone() };
        let mut state = self.base.clone();
        state.register_catalog_list(Arc::new(relations.clone()));
        state.config_mut().options_mut().catalog.default_schema = database.to_lowercase();
        state.mark_start_execution();

        let external = check_relations(&state, &relations, &select.query, database)?;
        let mut query = select.query.clone();
        rewrite(&mut query, &external, with_path)?;
        let statement = DfStatement::Statement(Box::new(SqlStatement::Query(query)));
        let plan = state.statement_to_plan(statement).await;
        let plan = plan.map_err(|error| from_plan_error(&error, &select.query))?;
        Ok((state, plan))
    }
}

/// Checks that the columns of every ORDER BY exist. DataFusion detects an unknown one with a qualifier only when it optimizes
/// the plan, and reports an internal error.
fn check_sort_columns(plan: &LogicalPlan, query: &Query) -> Result<(), QueryError> {
    let mut unknown = None;
    let visited = plan.apply_with_subqueries(|node| {
        let LogicalPlan::Sort(sort) = node else { return Ok(TreeNodeRecursion::Continue) };
        let schema = sort.input.schema();
        let mut columns = sort.expr.iter().flat_map(|sort| sort.expr.column_refs());
        unknown = columns.find(|column| !schema.has_column(column)).cloned();
        Ok(if unknown.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    visited.map_err(|error| from_plan_error(&error, query))?;
    unknown.map_or(Ok(()), |column| Err(column_not_found(&column, query)))
}

/// Checks that every relation of the query exists. Returns the names, as written, of the external tables.
fn check_relations(
    state: &SessionState,
    relations: &Relations,
    query: &Query,
    default: &str,
) -> Result<HashSet<String>, QueryError> {
    let statement = SqlStatement::Query(Box::new(query.clone()));
    let references = state.resolve_table_references(&DfStatement::Statement(Box::new(statement)));
    let references = references.map_err(|error| from_plan_error(&error, query))?;
    let mut external = HashSet::new();
    for reference in references {
        if is_external(relations, query, &reference, default)? {
            external.insert(reference.to_string());
        }
    }
    Ok(external)
}

/// Returns whether the name is that of an external table.
///
/// # Errors
/// The relation does not exist.
fn is_external(
    relations: &Relations,
    query: &Query,
    reference: &TableReference,
    default: &str,
) -> Result<bool, QueryError> {
    let name = reference.to_string();
    let fail = |kind, message: String| {
        let position = position_of(query, &name).map_or_else(String::new, |position| format!("{position}: "));
        Err(QueryError::new(kind, format!("{position}{message}")))
    };
    let catalog = reference.catalog().unwrap_or(CATALOG_NAME);
    let database = reference.schema().unwrap_or(default).to_lowercase();
    let table = reference.table();
    if catalog != CATALOG_NAME {
        let message = format!("Catalog '{catalog}' does not exist");
        return fail(ErrorKind::CatalogNotFound, message);
    }
    if !relations.has_database(&database)? {
        let message = format!("Schema '{database}' does not exist");
        return fail(ErrorKind::SchemaNotFound, message);
    }
    if !relations.has_table(&database, table)? {
        let message = format!("Table '{CATALOG_NAME}.{database}.{table}' does not exist");
        return fail(ErrorKind::TableNotFound, message);
    }
    let table = relations.snapshot.table(&database, table)?;
    Ok(table.is_some_and(|table| matches!(table.kind, TableKind::External { .. })))
}

/// Returns the position of the first occurrence of a relation's name.
fn position_of(query: &Query, name: &str) -> Option<Position> {
    struct Finder<'a> {
        name: &'a str,
        position: Option<Position>,
    }
    impl Visitor for Finder<'_> {
        type Break = ();

        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            if written(relation) == self.name {
                self.position = Position::start(relation.span());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    let mut finder = Finder { name, position: None };
    let _ = query.visit(&mut finder);
    finder.position
}

/// Returns the columns of the result. A column has its name from the statement if that states one, else from the
/// relation.
fn columns(plan: &LogicalPlan, names: &[ColumnName]) -> Result<Vec<Column>, QueryError> {
    let fields = plan.schema().fields();
    let count = fields.len();
    let first_star = names.iter().position(|name| *name == ColumnName::Star);
    let last_star = names.iter().rposition(|name| *name == ColumnName::Star);
    let from_end = |at: usize| (at + names.len()).checked_sub(count);
    let stated = |at: usize| match (first_star, last_star) {
        (Some(first), _) if at < first => names.get(at),
        (_, Some(last)) => from_end(at).filter(|at| *at > last).and_then(|at| names.get(at)),
        _ => names.get(at),
    };
    let fields = fields.iter().enumerate();
    fields
        .map(|(at, field)| {
            let name = match stated(at) {
                Some(ColumnName::Named(name)) => name.clone(),
                Some(ColumnName::Unnamed) => format!("_col{at}"),
                _ => shown_name(field.name()).map_or_else(|| format!("_col{at}"), str::to_owned),
            };
            let ty = column_type(field.data_type()).ok_or_else(|| {
                let message = format!("a column of type {} is not supported", field.data_type());
                QueryError::new(ErrorKind::NotSupported, message)
            })?;
            Ok(Column { name, ty: ty.name.to_owned(), precision: ty.precision, scale: ty.scale })
        })
        .collect()
}
