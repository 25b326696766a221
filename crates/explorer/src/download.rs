//! Downloads of complete query results as files. Files are streamed with back pressure: rows are read from Athena page by
//! page, and memory use does not depend on the size of the result.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use futures::stream;
use lake::athena::{Column, Query};
use lake::result_csv::Row;
use lake_client::csv;
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::app::App;
use crate::error::ApiError;
use crate::parquet_file::{ParquetFile, ParquetFileError};
use crate::sql_guard;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As `pregao query --format csv` writes it: RFC 4180, an empty field for NULL, `""` for an empty text.
    Csv,
    Parquet,
}

impl Format {
    fn mime(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
        }
    }
}

/// The capacity of the channel between Athena and a slower browser.
const CHUNKS_AHEAD: usize = 2;

type Chunk = Result<Bytes, io::Error>;

/// Responds with all rows of a query as a file.
///
/// # Errors
/// An error before the first rows are written is returned as an error response. A later error aborts the response body, so
/// that the browser reports an incomplete download.
pub(crate) async fn download(app: Arc<App>, id: String, format: Format) -> Result<Response<Body>, ApiError> {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let (name_sender, name_receiver) = tokio::sync::oneshot::channel();
    let work = async move {
        let query = Query::known(&app.lake, id);
        let mut name_sender = Some(name_sender);
        if let Err(error) = send(&query, format, &sender, &mut name_sender).await {
            // Sending fails when the client has disconnected, which needs no handling.
            match name_sender.take() {
                Some(name_sender) => drop(name_sender.send(Err(error))),
                None => drop(sender.send(Err(io::Error::other(format!("{error:?}")))).await),
            }
        }
    };
    tokio::spawn(work.in_current_span());
    let name = name_receiver.await.map_err(|_| ApiError::invalid("the rows could not be read"))??;
    let chunks = stream::unfold(receiver, |mut receiver| async move {
        let chunk: Chunk = receiver.recv().await?;
        Some((chunk, receiver))
    });
    let attachment = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    Response::builder()
        .header(header::CONTENT_TYPE, format.mime())
        .header(header::CONTENT_DISPOSITION, attachment.expect("the name has ASCII letters and digits only"))
        .body(Body::from_stream(chunks))
        .map_err(|error| ApiError::invalid(error.to_string()))
}

/// Passes the name of the file, or an error before its first rows, to the response.
type NameSender = tokio::sync::oneshot::Sender<Result<String, ApiError>>;

/// Sends the name of the file when its first rows are encoded, and then the file in chunks. Stops when the client has
/// disconnected.
async fn send(
    query: &Query<'_>,
    format: Format,
    sender: &mpsc::Sender<Chunk>,
    name_sender: &mut Option<NameSender>,
) -> Result<(), ApiError> {
    let finished = query.finished().await?;
    let mut pages = query.pages(&finished);
    let mut file = None;
    while let Some(page) = pages.next().await? {
        let file = match &mut file {
            Some(file) => file,
            none => none.insert(FileWriter::new(format, page.columns)?),
        };
        let chunk = file.write(&page.rows)?;
        if let Some(name_sender) = name_sender.take() {
            let name = file_name(&finished.statement, query.id(), format);
            if name_sender.send(Ok(name)).is_err() {
                return Ok(());
            }
        }
        if !chunk.is_empty() && sender.send(Ok(chunk.into())).await.is_err() {
            return Ok(());
        }
    }
    let rest = file.map(FileWriter::finish).transpose()?.unwrap_or_default();
    // Fails when the client has disconnected, which needs no handling.
    drop(sender.send(Ok(rest.into())).await);
    Ok(())
}

/// Returns `pregao-quotes-1a2b3c4d.csv`: the tables of the statement, and the beginning of the query's id.
fn file_name(statement: &str, id: &str, format: Format) -> String {
    let tables: Vec<&str> = sql_guard::mentioned_tables(statement).into_iter().map(|table| table.as_str()).collect();
    let tables = if tables.is_empty() { "result".to_owned() } else { tables.join("-") };
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("pregao-{tables}-{id}.{}", format.extension())
}

/// A writer of one file.
enum FileWriter {
    Csv(Vec<u8>),
    Parquet(Box<ParquetFile>),
}

impl FileWriter {
    fn new(format: Format, columns: Vec<Column>) -> Result<Self, ApiError> {
        Ok(match format {
            Format::Csv => {
                let mut header = Vec::new();
                csv_record(&mut header, columns.iter().map(|column| Some(column.name.as_str())));
                FileWriter::Csv(header)
            }
            Format::Parquet => FileWriter::Parquet(Box::new(ParquetFile::new(columns)?)),
        })
    }

    /// Appends rows. Returns the bytes of the file that are complete.
    fn write(&mut self, rows: &[Row]) -> Result<Vec<u8>, ApiError> {
        Ok(match self {
            FileWriter::Csv(bytes) => {
                for row in rows {
                    csv_record(bytes, row.iter().map(Option::as_deref));
                }
                std::mem::take(bytes)
            }
            FileWriter::Parquet(file) => file.write(rows)?,
        })
    }

    /// Ends the file. Returns the remaining bytes.
    fn finish(self) -> Result<Vec<u8>, ApiError> {
        Ok(match self {
            FileWriter::Csv(bytes) => bytes,
            FileWriter::Parquet(file) => file.finish()?,
        })
    }
}

fn csv_record<'a>(bytes: &mut Vec<u8>, fields: impl Iterator<Item = Option<&'a str>>) {
    csv::write_record(bytes, fields).expect("writing to a Vec cannot fail");
}

impl From<ParquetFileError> for ApiError {
    fn from(error: ParquetFileError) -> Self {
        ApiError::invalid(error.to_string())
            .hint("Cast the column in the statement, to varchar for instance, or take CSV.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_it_is() {
        let id = "3f2a9c1d-0000-4000-8000-000000000000";
        let statement = "SELECT * FROM quotes JOIN options USING (ticker)";
        assert_eq!(file_name(statement, id, Format::Csv), "pregao-quotes-options-3f2a9c1d.csv");
        assert_eq!(file_name("SELECT 1", "\"../\r\n", Format::Parquet), "pregao-result-.parquet");
    }

    #[test]
    fn csv_begins_with_the_names() {
        let column = |name: &str| Column { name: name.to_owned(), ty: "varchar".to_owned() };
        let mut file = FileWriter::new(Format::Csv, vec![column("a"), column("b,c")]).expect("columns");
        let mut bytes = file.write(&[vec![None, Some(String::new())]]).expect("rows");
        bytes.extend(file.finish().expect("an end"));
        assert_eq!(bytes, b"a,\"b,c\"\r\n,\"\"\r\n");
    }
}
