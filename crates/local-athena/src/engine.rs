//! Executes statements: DDL and SHOW on the catalog, SELECT on DataFusion.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use crate::catalog::Catalog;
use crate::ddl::{self, View};
use crate::error::{ErrorKind, OpenError, QueryError};
use crate::limits::Limits;
use crate::objects::ObjectFiles;
use crate::result_set::{MaterializedResult, ResultSet, Row, Rows, SharedPlan, StatementKind, text_column};
use crate::result_text;
use crate::select::errors::from_execution_error;
use crate::select::{PlannedQuery, Planner};
use crate::show;
use crate::sql::{Ddl, ExplainForm, Form, Select, Statement, Write};
use crate::threads::{Task, Threads};
use crate::write::{self, Output, Written};

/// An embedded Athena: a catalog, and the objects that its tables consist of.
pub struct Engine {
    parts: Arc<Parts>,
    threads: Threads,
}

struct Parts {
    catalog: Catalog,
    objects: Arc<dyn ObjectFiles>,
    planner: Planner,
}

impl Engine {
    /// Opens the catalog file with the default [`Limits`]. Creates the file when it does not exist.
    ///
    /// # Errors
    /// [`OpenError`] when the file is no catalog or its folder cannot be written.
    pub fn open(catalog_db: &Path, objects: Arc<dyn ObjectFiles>) -> Result<Self, OpenError> {
        Self::open_with(catalog_db, objects, Limits::default())
    }

    /// As [`Engine::open`], with other limits. Data that does not fit in `limits.memory` spills to the folder
    /// `athena-spill` beside the catalog file, which is emptied first.
    ///
    /// # Errors
    /// [`OpenError`] when the file is no catalog or its folder cannot be written.
    pub fn open_with(catalog_db: &Path, objects: Arc<dyn ObjectFiles>, limits: Limits) -> Result<Self, OpenError> {
        let catalog = Catalog::open(catalog_db)?;
        let spill = empty_folder(catalog_db.with_file_name("athena-spill"))?;
        let planner =
            Planner::new(limits, &spill, objects.clone()).map_err(|error| OpenError::Engine(error.to_string()))?;
        let threads = Threads::new(limits.threads).map_err(|error| OpenError::Engine(error.to_string()))?;
        let parts = Parts { catalog, objects, planner };
        Ok(Self { parts: Arc::new(parts), threads })
    }

    /// The catalog, for the metadata operations of the Athena API.
    pub fn catalog(&self) -> &Catalog {
        &self.parts.catalog
    }

    /// Executes one statement. Names without a database are resolved in `database`. A statement that writes rows, and names no
    /// location, writes them below that of `output`.
    ///
    /// Dropping the future, or the result, cancels a query. A change of the catalog that has begun is completed.
    ///
    /// # Errors
    /// [`QueryError`] with Athena's message. A SELECT can also fail later, in [`Rows::next`].
    pub async fn execute(
        &self,
        statement: &Statement,
        database: &str,
        output: &Output,
    ) -> Result<ResultSet, QueryError> {
        let parts = self.parts.clone();
        let database = database.to_lowercase();
        let (columns, rows) = match statement.form.clone() {
            Form::Select(select) => return self.select(select, database).await,
            Form::Explain { select, form } => {
                let work = async move { parts.explain(&select, form, &database).await };
                finished(self.threads.start(work)).await?
            }
            Form::Write(write) => {
                let output = output.clone();
                let work = async move { parts.write(&write, &database, &output).await };
                let written = finished(self.threads.start(work)).await?;
                let (columns, rows) = written.result();
                let rows = Rows::ready(rows);
                return Ok(ResultSet { kind: statement.kind(), columns, rows, written: Some(written.objects) });
            }
            Form::Ddl(Ddl::CreateView(view)) => {
                let work = async move { parts.create_view(&view, &database).await };
                finished(self.threads.start(work)).await?
            }
            Form::Ddl(ddl) => {
                let work = move || ddl::run(&parts.catalog, &*parts.objects, ddl, &database);
                finished(self.threads.start_blocking(work)).await?
            }
            Form::Show(what) => {
                let work = move || show::run(&parts.catalog, &what, &database);
                finished(self.threads.start_blocking(work)).await?
            }
        };
        Ok(ResultSet { kind: statement.kind(), columns, rows: Rows::ready(rows), written: None })
    }

    async fn select(&self, select: Arc<Select>, database: String) -> Result<ResultSet, QueryError> {
        let (give_columns, columns) = oneshot::channel();
        // A bounded channel is backpressure: a slow reader pauses the query, and at most one batch waits in memory.
        let (give_rows, batches) = mpsc::channel(1);
        let scanned = SharedPlan::default();
        let (parts, plan) = (self.parts.clone(), scanned.clone());
        let query = self.threads.start(async move {
            let rows = give_rows.clone();
            let running = async move {
                let planned = parts.plan(&select, &database).await?;
                // Fails when the caller has dropped the future; the query is then cancelled anyway.
                let _ = give_columns.send(planned.columns().to_vec());
                stream(planned, &plan, &rows).await
            };
            if let Err(error) = running.await {
                let _ = give_rows.send(Err(error)).await;
            }
        });
        let mut rows = Rows::running(batches, query, scanned);
        match columns.await {
            Ok(columns) => Ok(ResultSet { kind: StatementKind::Dml, columns, rows, written: None }),
            // The query failed before it had columns, so its first item is the error.
            Err(_) => match rows.next().await {
                Err(error) => Err(error),
                Ok(_) => Err(ended_early()),
            },
        }
    }
}

impl Parts {
    async fn plan(&self, select: &Select, database: &str) -> Result<PlannedQuery, QueryError> {
        let snapshot = self.catalog.snapshot()?;
        self.planner.plan(select, database, snapshot).await
    }

    async fn explain(
        &self,
        select: &Select,
        form: ExplainForm,
        database: &str,
    ) -> Result<MaterializedResult, QueryError> {
        let planned = self.plan(select, database).await?;
        let (column, text) = match form {
            ExplainForm::Logical => ("Query Plan", planned.logical_text()?),
            ExplainForm::Distributed => ("Query Plan", planned.physical_text().await?),
            ExplainForm::Validate => ("Valid", "true".to_owned()),
        };
        let rows = text.lines().map(|line| vec![Some(line.to_owned())]);
        Ok((vec![text_column(column, "varchar")], rows.collect()))
    }

    async fn write(&self, write: &Write, database: &str, output: &Output) -> Result<Written, QueryError> {
        let planned = self.plan(&write.select, database).await?;
        write::run(&self.catalog, &*self.objects, write, planned, database, output).await
    }

    async fn create_view(&self, view: &View, database: &str) -> Result<MaterializedResult, QueryError> {
        let columns = self.plan(&view.select, database).await?.view_columns()?;
        ddl::create_view(&self.catalog, view, columns, database)
    }
}

/// Sends a query's rows, batch by batch, until they end or the receiver is dropped.
async fn stream(
    planned: PlannedQuery,
    scanned: &SharedPlan,
    rows: &mpsc::Sender<Result<Vec<Row>, QueryError>>,
) -> Result<(), QueryError> {
    let mut running = planned.start().await?;
    let _ = scanned.set(running.plan);
    while let Some(batch) = running.stream.next().await {
        let batch = result_text::rows(&batch.map_err(|error| from_execution_error(&error))?)?;
        if !batch.is_empty() && rows.send(Ok(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn finished<T>(mut task: Task<Result<T, QueryError>>) -> Result<T, QueryError> {
    task.result().await?.unwrap_or_else(|| Err(ended_early()))
}

fn ended_early() -> QueryError {
    QueryError::new(ErrorKind::Internal, "the statement ended without a result")
}

fn empty_folder(path: PathBuf) -> Result<PathBuf, OpenError> {
    let emptied = match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(&path),
    };
    match emptied {
        Ok(()) => Ok(path),
        Err(source) => Err(OpenError::Spill { path, source }),
    }
}
