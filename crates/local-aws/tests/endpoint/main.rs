//! The endpoint as a client sees it: the AWS SDKs against a home in a temporary folder.

mod s3;

use std::path::Path;

use lake::{Config, Lake};
use local_aws::Endpoint;

/// An endpoint on a free port, with the clients that the functions use.
struct World {
    endpoint: Endpoint,
    lake: Lake,
    home: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let home = tempfile::tempdir().expect("a temporary folder");
        let (endpoint, lake) = start(home.path()).await;
        World { endpoint, lake, home }
    }

    /// The same home, after its owner went.
    async fn restarted(self) -> World {
        let World { endpoint, home, .. } = self;
        endpoint.shutdown().await;
        let (endpoint, lake) = start(home.path()).await;
        World { endpoint, lake, home }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }
}

async fn start(home: &Path) -> (Endpoint, Lake) {
    let endpoint = Endpoint::start(home, Config::default(), None).await.expect("a home of our own");
    let lake = Lake::at_endpoint(Config::default(), &endpoint.url());
    (endpoint, lake)
}
