//! From a parsed SELECT to a plan and its rows.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::common::TableReference;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Spanned, Statement as SqlStatement, Visit, Visitor};

use super::audited::Objects;
use super::errors::{of_plan, of_run};
use super::relations::Relations;
use super::rewrite::{rewrite, shown_name, written};
use super::session;
use super::size;
use super::table::PATH;
use crate::answer::Column;
use crate::catalog::{CATALOG_NAME, Snapshot, TableColumn, TableKind};
use crate::engine::Limits;
use crate::error::{ErrorKind, QueryError};
use crate::objects::ObjectFiles;
use crate::sql::{ColumnName, Form, Place, Select, Statement};
use crate::types::{HiveType, answer_type};

/// Plans queries: what they all start from.
pub(crate) struct Planner {
    base: Arc<SessionState>,
    objects: Arc<Objects>,
}

/// A query that is ready to run.
pub(crate) struct Planned {
    state: SessionState,
    logical: LogicalPlan,
    columns: Vec<Column>,
}

impl Planner {
    pub(crate) fn new(limits: Limits, spill: &Path, objects: Arc<dyn ObjectFiles>) -> Result<Self, DataFusionError> {
        let base = Arc::new(session::base(limits, spill)?);
        Ok(Self { base, objects: Arc::new(Objects::new(objects)) })
    }

    /// Plans a query against one state of the catalog.
    pub(crate) async fn plan(
        &self,
        select: &Select,
        database: &str,
        snapshot: Snapshot,
    ) -> Result<Planned, QueryError> {
        size::check(select, &database.to_lowercase(), &snapshot)?;
        let relations = Relations {
            snapshot: Arc::new(snapshot),
            objects: self.objects.clone(),
            base: self.base.clone(),
            with_path: false,
            depth: 0,
        };
        let (state, logical) = analyzed(&relations, select, database).await?;
        let columns = columns(&logical, &select.names)?;
        Ok(Planned { state, logical, columns })
    }
}

impl Planned {
    /// The columns of the answer.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns as a view's; every one of them has to have a name of its own.
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
                let ty = HiveType::of(field.data_type()).ok_or_else(|| {
                    let message = format!("a view's column of type {} is not supported", field.data_type());
                    QueryError::new(ErrorKind::NotSupported, message)
                })?;
                Ok(TableColumn { name: name.to_owned(), ty, comment: None })
            })
            .collect()
    }

    /// Lists the files and begins to read.
    pub(crate) async fn start(self) -> Result<Running, QueryError> {
        let plan = self.physical().await?;
        let context = Arc::new(TaskContext::from(&self.state));
        let stream = execute_stream(plan.clone(), context).map_err(|error| of_run(&error))?;
        Ok(Running { plan, stream })
    }

    /// The optimized plan as text.
    pub(crate) fn logical_text(&self) -> Result<String, QueryError> {
        Ok(self.optimized()?.display_indent().to_string())
    }

    /// The plan that would run, as text.
    pub(crate) async fn physical_text(&self) -> Result<String, QueryError> {
        let plan = self.physical().await?;
        Ok(displayable(plan.as_ref()).indent(false).to_string())
    }

    async fn physical(&self) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        let plan = self.optimized()?;
        let planner = self.state.query_planner();
        let plan = planner.create_physical_plan(&plan, &self.state).await;
        plan.map_err(|error| of_run(&error))
    }

    /// The plan is analyzed already, so only the optimizer is asked.
    fn optimized(&self) -> Result<LogicalPlan, QueryError> {
        let optimizer = self.state.optimizer();
        let plan = optimizer.optimize(self.logical.clone(), &self.state, |_, _| {});
        plan.map_err(|error| of_run(&error))
    }
}

/// A query that runs.
pub(crate) struct Running {
    /// The plan, whose metrics tell how much was read.
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// The rows.
    pub(crate) stream: SendableRecordBatchStream,
}

/// Plans the SELECT of a view, for the query that names it.
pub(super) async fn plan_view(relations: &Relations, sql: &str, database: &str) -> Result<LogicalPlan, QueryError> {
    let Form::Select(select) = Statement::parse(sql, &[])?.form else {
        return Err(QueryError::new(ErrorKind::Internal, "a view is no SELECT"));
    };
    let (_, plan) = logical(relations, &select, database).await?;
    Ok(plan)
}

/// A plan whose types are final; type errors show here and not when it runs.
async fn analyzed(
    relations: &Relations,
    select: &Select,
    database: &str,
) -> Result<(SessionState, LogicalPlan), QueryError> {
    let (state, plan) = logical(relations, select, database).await?;
    let options = state.config_options();
    let plan = state.analyzer().execute_and_check(plan, options, |_, _| {});
    let plan = plan.map_err(|error| of_plan(&error, &select.query))?;
    Ok((state, plan))
}

async fn logical(
    relations: &Relations,
    select: &Select,
    database: &str,
) -> Result<(SessionState, LogicalPlan), QueryError> {
    let with_path = select.text.to_lowercase().contains(PATH);
    let relations = Relations { with_path, ..relations.clone() };
    let mut state = (*relations.base).clone();
    state.register_catalog_list(Arc::new(relations.clone()));
    state.config_mut().options_mut().catalog.default_schema = database.to_lowercase();
    state.mark_start_execution();

    let external = check_relations(&state, &relations, &select.query, database)?;
    let mut query = select.query.clone();
    rewrite(&mut query, &external, with_path)?;
    let statement = DfStatement::Statement(Box::new(SqlStatement::Query(query)));
    let plan = state.statement_to_plan(statement).await;
    let plan = plan.map_err(|error| of_plan(&error, &select.query))?;
    Ok((state, plan))
}

/// Every relation that the query names has to exist. Gives the names, as written, of those with files.
fn check_relations(
    state: &SessionState,
    relations: &Relations,
    query: &Query,
    default: &str,
) -> Result<HashSet<String>, QueryError> {
    let statement = SqlStatement::Query(Box::new(query.clone()));
    let references = state.resolve_table_references(&DfStatement::Statement(Box::new(statement)));
    let references = references.map_err(|error| of_plan(&error, query))?;
    let mut external = HashSet::new();
    for reference in references {
        if is_external(relations, query, &reference, default)? {
            external.insert(reference.to_string());
        }
    }
    Ok(external)
}

/// Does this name a table with files? An error when it names nothing.
fn is_external(
    relations: &Relations,
    query: &Query,
    reference: &TableReference,
    default: &str,
) -> Result<bool, QueryError> {
    let name = reference.to_string();
    let fail = |kind, message: String| {
        let place = place_of(query, &name).map_or_else(String::new, |place| format!("{place}: "));
        Err(QueryError::new(kind, format!("{place}{message}")))
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

/// Where a relation is named first.
fn place_of(query: &Query, name: &str) -> Option<Place> {
    struct Finder<'a> {
        name: &'a str,
        place: Option<Place>,
    }
    impl Visitor for Finder<'_> {
        type Break = ();

        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            if written(relation) == self.name {
                self.place = Place::start(relation.span());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    let mut finder = Finder { name, place: None };
    let _ = query.visit(&mut finder);
    finder.place
}

/// The answer's columns: names from the statement where it gives them, else from the relation.
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
            let ty = answer_type(field.data_type()).ok_or_else(|| {
                let message = format!("a column of type {} is not supported", field.data_type());
                QueryError::new(ErrorKind::NotSupported, message)
            })?;
            Ok(Column { name, ty: ty.name.to_owned(), precision: ty.precision, scale: ty.scale })
        })
        .collect()
}
