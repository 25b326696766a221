//! The endpoint as a whole: a home, its services, and the port they answer on.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use lake::Config;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::home::{Home, HomeError};
use crate::s3::{self, ObjectStore, S3, StoreError};
use crate::server::{self, Services};
use crate::state::{State, StateError};

/// Why the endpoint could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The home folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The endpoint's memory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The objects.
    #[error("the objects under the home could not be opened: {0}")]
    Objects(String),
    /// The port.
    #[error("cannot listen on 127.0.0.1:{port}: {source}; choose another port with --port")]
    Port {
        /// The port that was asked for.
        port: u16,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> StartError {
        StartError::Objects(error.to_string())
    }
}

/// A running endpoint. It stops when [`Endpoint::shutdown`] is called; dropped without it, it ends as abruptly as if
/// the process had been killed, which loses nothing either.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    home: Home,
}

impl Endpoint {
    /// Becomes the owner of `home` and answers on `port` of 127.0.0.1, or on a free one.
    ///
    /// # Errors
    /// [`StartError`] when the home is owned by another process or is damaged, or the port is taken.
    pub async fn start(home: &Path, config: Config, port: Option<u16>) -> Result<Endpoint, StartError> {
        let home = Home::own(home)?;
        let state = Arc::new(State::open(&home.state(), &[s3::SCHEMA])?);
        let store = Arc::new(ObjectStore::open(&home, Arc::clone(&state))?);
        home.clear_temporary()?;
        for bucket in [&config.buckets.raw, &config.buckets.lake, &config.buckets.results] {
            store.ensure_bucket(bucket.as_str())?;
        }
        let port = port.unwrap_or(0);
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|source| StartError::Port { port, source })?;
        let address = listener.local_addr().map_err(|source| StartError::Port { port, source })?;
        let services = Arc::new(Services { s3: S3::new(store) });
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(server::serve(listener, services, stopped));
        home.announce(address)?;
        Ok(Endpoint { address, stop, server, home })
    }

    /// What `AWS_ENDPOINT_URL` has to be: `http://127.0.0.1:4599`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Finishes the requests under way and gives the home free.
    pub async fn shutdown(self) {
        let _ = self.home.withdraw();
        self.stop.send_replace(true);
        let _ = self.server.await;
    }
}
