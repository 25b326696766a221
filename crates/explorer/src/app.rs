//! What every question needs: the lake, and what is known of it.

use lake::athena::QueryResult;
use lake::{Error, Lake, athena};

use crate::days::Days;
use crate::listing::Listings;
use crate::statement::Statement;
use crate::watched::Executions;

/// The state of the server.
#[derive(Debug)]
pub struct App {
    pub lake: Lake,
    /// What a command on the same lake begins with: `pregao`, with the options that say which lake.
    pub program: String,
    pub days: Days,
    pub executions: Executions,
    pub listings: Listings,
}

impl App {
    pub fn new(lake: Lake, program: String) -> Self {
        Self { lake, program, days: Days::default(), executions: Executions::default(), listings: Listings::default() }
    }

    /// Asks Athena, and waits for all rows.
    pub async fn ask(&self, statement: &Statement) -> Result<QueryResult, Error> {
        athena::run(&self.lake, statement.sql()).await
    }
}
