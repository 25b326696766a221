//! The endpoint: starts and stops the services of a home, and their server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use lake::config::OnUpload;
use lake::{Config, Lake};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::abandoned_leases;
use crate::athena::{self, Athena};
use crate::emr::{self, Emr};
use crate::emr_serverless::{self, EmrServerless};
use crate::faults::{FaultPlan, Faults};
use crate::glue::Glue;
use crate::home::{Home, HomeError};
use crate::identity::role_arn;
use crate::in_process;
use crate::lambda::Functions;
use crate::landing::LandingPipe;
use crate::rules::Rules;
use crate::s3::{self, ObjectStore, S3, StoreError};
use crate::s3_uri::S3Uri;
use crate::seal::{self, Damaged};
use crate::server::{self, Services};
use crate::spark::{Spark, SparkEngine};
use crate::state::{State, StateError, StorageFailure};
use crate::step_functions::{self, StepFunctions};

/// Why the endpoint could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The home folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The endpoint's state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A database of the home differs from what was closed.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// Recovery of objects, executions, queries, clusters or job runs failed.
    #[error("the state of the home could not be settled: {0}")]
    Settling(String),
    /// The port.
    #[error("cannot listen on 127.0.0.1:{port}: {source}; choose another port with --port")]
    Port {
        /// The requested port.
        port: u16,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl From<athena::AthenaError> for StartError {
    fn from(error: athena::AthenaError) -> StartError {
        StartError::Settling(error.to_string())
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> StartError {
        StartError::Settling(error.to_string())
    }
}

impl From<rusqlite::Error> for StartError {
    fn from(error: rusqlite::Error) -> StartError {
        StartError::Settling(error.to_string())
    }
}

/// The tables of all services.
fn schemas() -> Vec<&'static str> {
    let one_each = [s3::SCHEMA, emr_serverless::SCHEMA, athena::SCHEMA];
    one_each.into_iter().chain(step_functions::SCHEMAS).chain(emr::SCHEMAS).collect()
}

/// What becomes of objects that are created under `landing/`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Landed {
    /// They stay there. For commands that upload, which start `upload_raw_data` themselves.
    #[default]
    Stay,
    /// They start `upload_raw_data`, as in an account.
    Ingested,
    /// They start `upload_raw_data`, which starts `create_datalake` for their days, unless `schedule.on_upload` is `never`.
    Processed,
}

/// Options of an endpoint.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port on 127.0.0.1. `None`: a free one.
    pub port: Option<u16>,
    /// The engine of Spark jobs.
    pub engine: SparkEngine,
    /// Faults to inject. `None`: no fault injection.
    pub faults: Option<FaultPlan>,
    /// What becomes of objects that are created under `landing/`.
    pub landed: Landed,
    /// Whether the event rule of the stack holds by which an execution of `create_datalake` that ended without success invokes
    /// `stop-emr-step`.
    pub rules: bool,
}

/// A running endpoint. Call [`Endpoint::shutdown`] to stop it. If it is dropped without, it ends as by a kill of the process,
/// which loses no acknowledged change.
pub struct Endpoint {
    address: SocketAddr,
    lake: Lake,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    /// The task that ingests landed objects.
    landing: Option<JoinHandle<()>>,
    services: Arc<Services>,
    store: Arc<ObjectStore>,
    state: Arc<State>,
    home: Arc<Home>,
}

impl Endpoint {
    /// Locks `home`, recovers it, and listens on a port of 127.0.0.1.
    ///
    /// # Errors
    /// [`StartError`] when the home is owned by another process or is damaged, or the port is taken.
    pub async fn start(home: &Path, mut config: Config, options: Options) -> Result<Endpoint, StartError> {
        // An execution ends with its process. Only a process that serves others stays until a run has ended.
        config.schedule.on_upload = match (options.landed, config.schedule.on_upload) {
            (Landed::Processed, OnUpload::Auto | OnUpload::Always) => OnUpload::Always,
            (Landed::Processed, OnUpload::Never) | (Landed::Stay | Landed::Ingested, _) => OnUpload::Never,
        };
        config.emr.application_id.get_or_insert_with(|| emr_serverless::APPLICATION.to_owned());
        config.emr.job_role.get_or_insert_with(role_arn);
        let home = Arc::new(Home::own(home)?);
        let state = Arc::new(State::open(&home.state(), &schemas())?);
        let store = Arc::new(ObjectStore::open(&home, Arc::clone(&state))?);
        home.clear_temporary()?;
        for bucket in [&config.buckets.raw, &config.buckets.lake, &config.buckets.results] {
            store.ensure_bucket(bucket.as_str())?;
        }
        abandoned_leases::remove(&store, config.buckets.lake.as_str())?;
        let port = options.port.unwrap_or(0);
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|source| StartError::Port { port, source })?;
        let address = listener.local_addr().map_err(|source| StartError::Port { port, source })?;
        let results = |key: &str| S3Uri { bucket: config.buckets.results.as_str().to_owned(), key: key.to_owned() };
        let faults = Faults::new(options.faults);
        let logs = results(lake::keys::LOGS);
        let spark = Spark::new(options.engine, Arc::clone(&store), faults.clone());
        let emr = Emr::open(Arc::clone(&state), spark.clone(), logs.clone())?;
        let emr_serverless = EmrServerless::open(Arc::clone(&state), spark, logs, &config.emr.release)?;
        seal::check(&home.catalog())?;
        let athena = Athena::open(
            Arc::clone(&state),
            Arc::clone(&store),
            &home.catalog(),
            &config.athena.workgroup,
            results(lake::keys::QUERY_RESULTS),
        )?;
        let (network, calls) = in_process::network();
        let lake = Lake::through(config, &format!("http://{address}"), network, faults.speed());
        let functions = Functions::new(lake.clone());
        let rules = options.rules.then(|| Rules::new(faults.clone()));
        let step_functions = StepFunctions::open(Arc::clone(&state), functions.clone(), faults.clone(), rules)?;
        let services = Arc::new(Services {
            s3: S3::new(Arc::clone(&store)),
            functions,
            step_functions: Arc::clone(&step_functions),
            emr,
            emr_serverless,
            glue: Glue::new(Arc::clone(&athena)),
            athena,
            state: Arc::clone(&state),
            faults,
        });
        let pipe = (options.landed != Landed::Stay).then(|| {
            let bucket = lake.config.buckets.raw.as_str();
            LandingPipe::new(Arc::clone(&store), Arc::clone(&step_functions), bucket, services.faults.clone())
        });
        let landing = pipe.flatten().map(|pipe| tokio::spawn(pipe.run()));
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(server::serve(listener, calls, Arc::clone(&services), stopped));
        home.announce(address)?;
        Ok(Endpoint { address, lake, stop, server, landing, services, store, state, home })
    }

    /// The value for `AWS_ENDPOINT_URL`: `http://127.0.0.1:4599`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// AWS clients for this process, which use no network. Other processes use the URL.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// Completes when the endpoint cannot store its state any more, as on a full disk. Then it refuses requests, and the caller
    /// is to shut it down.
    pub async fn storage_failed(&self) -> StorageFailure {
        self.state.storage_failed().await
    }

    /// Ends what runs (an execution is ABORTED, with a cause that says so), waits for requests in progress, writes the checksums
    /// of the databases, and releases the home.
    pub async fn shutdown(self) {
        let _ = self.home.withdraw();
        if let Some(landing) = &self.landing {
            landing.abort();
        }
        self.services.faults.shutdown().await;
        self.services.step_functions.shutdown().await;
        self.services.athena.shutdown();
        self.services.emr.shutdown();
        self.services.emr_serverless.shutdown();
        self.stop.send_replace(true);
        let _ = self.server.await;
        let closed = spawn_blocking(move || {
            if let Err(error) = self.store.flush_removals() {
                tracing::debug!(%error, "removed objects are left to the next start");
            }
            let closed = self.services.athena.close(&self.home.catalog()).and(self.state.close());
            // Releases the lock, last.
            drop(self.home);
            closed
        });
        if let Ok(Err(unsealed)) = closed.await {
            tracing::debug!(%unsealed, "a database was closed without a checksum");
        }
    }
}
