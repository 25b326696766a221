//! A catalog snapshot as the source of DataFusion's tables: implements its catalog traits.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::logical_expr::LogicalPlan;

use super::audited::AuditedObjects;
use super::errors::external;
use super::size::{MAX_VIEW_DEPTH, too_deep};
use super::table::HiveTable;
use super::{information_schema, partitions_table};
use crate::catalog::{CATALOG_NAME, Snapshot, Table, TableKind};
use crate::error::{ErrorKind, QueryError};

/// The relations that a query can name.
#[derive(Clone)]
pub(super) struct Relations {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) objects: Arc<AuditedObjects>,
    pub(super) view_planner: Arc<dyn ViewPlanner>,
    /// Whether external tables have the pseudo-column `$path`, because the query names it.
    pub(super) with_path: bool,
    /// Number of views around this query; 0 for the statement itself.
    pub(super) depth: usize,
}

/// Plans the SELECT of a view. A trait, because planning a view needs [`Relations`], which in turn plan views.
#[async_trait]
pub(super) trait ViewPlanner: Send + Sync {
    /// Plans `sql`. Names without a database are resolved in `database`.
    async fn plan_view(&self, relations: &Relations, sql: &str, database: &str) -> Result<LogicalPlan, QueryError>;
}

impl std::fmt::Debug for Relations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Relations")
    }
}

impl Relations {
    /// Returns whether the database exists. `information_schema` does.
    pub(super) fn has_database(&self, name: &str) -> Result<bool, QueryError> {
        Ok(name == information_schema::NAME || self.snapshot.database(name)?.is_some())
    }

    /// Returns whether a table, a view or a `$partitions` table of this name exists.
    pub(super) fn has_table(&self, database: &str, name: &str) -> Result<bool, QueryError> {
        if database == information_schema::NAME {
            return Ok(information_schema::TABLES.contains(&name));
        }
        let name = name.strip_suffix(partitions_table::SUFFIX).unwrap_or(name);
        Ok(self.snapshot.table(database, name)?.is_some())
    }

    async fn provider(&self, database: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
        if database == information_schema::NAME {
            return information_schema::rows(&self.snapshot, name)?.map(in_memory).transpose();
        }
        if let Some(name) = name.strip_suffix(partitions_table::SUFFIX) {
            return self.partitions_of(database, name);
        }
        let Some(table) = self.snapshot.table(database, name)? else {
            return Ok(None);
        };
        match &table.kind {
            TableKind::External { .. } => {
                let partitions = self.snapshot.partitions(&table)?;
                let objects = self.objects.clone();
                let table = HiveTable::new(table, partitions, objects, self.with_path);
                Ok(Some(Arc::new(table)))
            }
            TableKind::View { sql, database } => Ok(Some(self.view(&table, sql, database).await?)),
        }
    }

    fn partitions_of(&self, database: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
        let Some(table) = self.snapshot.table(database, name)? else {
            return Ok(None);
        };
        let partitions = self.snapshot.partitions(&table)?;
        let batch = partitions_table::rows(&table, &partitions)?;
        in_memory(batch).map(Some)
    }

    async fn view(&self, view: &Table, sql: &str, database: &str) -> Result<Arc<dyn TableProvider>, QueryError> {
        let name = format!("{CATALOG_NAME}.{}.{}", view.database, view.name);
        if self.depth >= MAX_VIEW_DEPTH {
            return Err(too_deep(&view.database, &view.name));
        }
        let relations = Relations { depth: self.depth + 1, ..self.clone() };
        let plan = self.view_planner.plan_view(&relations, sql, database).await;
        let plan = plan.map_err(|error| QueryError {
            message: format!("Failed analyzing stored view '{name}': {error}"),
            kind: error.kind,
        })?;
        Ok(Arc::new(ViewTable::new(plan, Some(sql.to_owned()))))
    }
}

/// Returns a table of these rows.
fn in_memory(batch: RecordBatch) -> Result<Arc<dyn TableProvider>, QueryError> {
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
    let table = table.map_err(|error| QueryError::new(ErrorKind::Internal, error))?;
    Ok(Arc::new(table))
}

impl CatalogProviderList for Relations {
    fn register_catalog(&self, _name: String, _catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG_NAME.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG_NAME).then(|| Arc::new(self.clone()) as _)
    }
}

impl CatalogProvider for Relations {
    /// DataFusion does not resolve names with this list, so it may be empty when the catalog cannot be read: the lookup
    /// of the table fails then.
    fn schema_names(&self) -> Vec<String> {
        let databases = self.snapshot.databases().unwrap_or_default();
        databases.into_iter().map(|d| d.name).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(Database { relations: self.clone(), name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct Database {
    relations: Relations,
    name: String,
}

#[async_trait]
impl SchemaProvider for Database {
    fn table_names(&self) -> Vec<String> {
        let tables = self.relations.snapshot.tables(&self.name);
        tables.unwrap_or_default().into_iter().map(|t| t.name).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let found = self.relations.provider(&self.name, name).await;
        found.map_err(external)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.relations.has_table(&self.name, name).unwrap_or(false)
    }
}
