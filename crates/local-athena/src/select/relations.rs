//! One snapshot of the catalog as DataFusion looks names up in it.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::execution::SessionState;

use super::audited::Objects;
use super::errors::external;
use super::plan::plan_view;
use super::size::{DEEPEST_VIEW, too_deep};
use super::table::HiveTable;
use super::{information_schema, partitions_table};
use crate::catalog::{CATALOG_NAME, Snapshot, Table, TableKind};
use crate::error::{ErrorKind, QueryError};

/// The database with the catalog's own tables.
pub(super) const INFORMATION_SCHEMA: &str = "information_schema";

/// What a query's names are resolved against.
#[derive(Clone)]
pub(super) struct Relations {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) objects: Arc<Objects>,
    /// The session without a catalog, on which views are planned.
    pub(super) base: Arc<SessionState>,
    /// Does the query name `$path`?
    pub(super) with_path: bool,
    /// How many views stand between the statement and this one.
    pub(super) depth: usize,
}

impl std::fmt::Debug for Relations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Relations")
    }
}

impl Relations {
    /// Is there a database of this name? The catalog's own counts.
    pub(super) fn has_database(&self, name: &str) -> Result<bool, QueryError> {
        Ok(name == INFORMATION_SCHEMA || self.snapshot.database(name)?.is_some())
    }

    /// Is there a table, a view or a table of partitions of this name?
    pub(super) fn has_table(&self, database: &str, name: &str) -> Result<bool, QueryError> {
        if database == INFORMATION_SCHEMA {
            return Ok(information_schema::TABLES.contains(&name));
        }
        let name = name.strip_suffix(partitions_table::SUFFIX).unwrap_or(name);
        Ok(self.snapshot.table(database, name)?.is_some())
    }

    async fn provider(&self, database: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
        if database == INFORMATION_SCHEMA {
            return information_schema::table(&self.snapshot, name);
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
        memory(batch).map(Some)
    }

    async fn view(&self, view: &Table, sql: &str, database: &str) -> Result<Arc<dyn TableProvider>, QueryError> {
        let name = format!("{CATALOG_NAME}.{}.{}", view.database, view.name);
        if self.depth >= DEEPEST_VIEW {
            return Err(too_deep(&view.database, &view.name));
        }
        let relations = Relations { depth: self.depth + 1, ..self.clone() };
        let plan = plan_view(&relations, sql, database).await;
        let plan = plan.map_err(|error| QueryError {
            message: format!("Failed analyzing stored view '{name}': {error}"),
            kind: error.kind,
        })?;
        Ok(Arc::new(ViewTable::new(plan, Some(sql.to_owned()))))
    }
}

/// A table of rows that are here already.
pub(super) fn memory(
    batch: datafusion::arrow::record_batch::RecordBatch,
) -> Result<Arc<dyn TableProvider>, QueryError> {
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
    /// Not used for lookups; a catalog that cannot be read shows when a table is asked for.
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
