//! Whole answers as files. A file is sent as it is written, and it is written as Athena's rows come: neither is ever held
//! in full, whatever its size.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use futures::stream;
use lake::athena::{Column, Query};
use lake::csv;
use lake::result_csv::Row;
use tokio::sync::mpsc;

use crate::app::App;
use crate::error::Failure;
use crate::parquet_file::{ParquetFile, ParquetFileError};
use crate::reading;

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As `pregao query --format csv` has it: RFC 4180, an empty field for NULL, `""` for an empty text.
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

/// How many pieces of a file wait for a browser that is slower than Athena.
const AHEAD: usize = 2;

type Piece = Result<Bytes, io::Error>;

/// All rows of a query as a file. What is wrong with the query or its first rows is told in place of the file; what breaks
/// later breaks the file off, so that nobody takes it for whole.
pub async fn download(app: Arc<App>, id: String, format: Format) -> Result<Response<Body>, Failure> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (began, begins) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let query = Query::known(&app.lake, id);
        let mut began = Some(began);
        if let Err(failure) = send(&query, format, &sender, &mut began).await {
            match began.take() {
                // Nobody is there to hear it when the page has gone meanwhile.
                Some(began) => drop(began.send(Err(failure))),
                None => drop(sender.send(Err(io::Error::other(format!("{failure:?}")))).await),
            }
        }
    });
    let name = begins.await.map_err(|_| Failure::invalid("the rows could not be read"))??;
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        let piece: Piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let attachment = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    Response::builder()
        .header(header::CONTENT_TYPE, format.mime())
        .header(header::CONTENT_DISPOSITION, attachment.expect("a name of plain letters"))
        .body(Body::from_stream(pieces))
        .map_err(|error| Failure::invalid(error.to_string()))
}

/// Who waits for the name of a file that has begun well.
type Began = tokio::sync::oneshot::Sender<Result<String, Failure>>;

/// Sends the file in pieces, and its name ahead of them. Whoever receives may go at any time.
async fn send(
    query: &Query<'_>,
    format: Format,
    sender: &mpsc::Sender<Piece>,
    began: &mut Option<Began>,
) -> Result<(), Failure> {
    let finished = query.finished().await?;
    let mut pages = query.pages(&finished);
    let mut file = None;
    while let Some(page) = pages.next().await? {
        let file = match &mut file {
            Some(file) => file,
            none => none.insert(File::new(format, page.columns)?),
        };
        let piece = file.rows(&page.rows)?;
        if let Some(began) = began.take() {
            let name = file_name(&finished.statement, query.id(), format);
            if began.send(Ok(name)).is_err() {
                return Ok(());
            }
        }
        if !piece.is_empty() && sender.send(Ok(piece.into())).await.is_err() {
            return Ok(());
        }
    }
    let rest = file.map(File::end).transpose()?.unwrap_or_default();
    // Whether it arrives is up to the browser now.
    drop(sender.send(Ok(rest.into())).await);
    Ok(())
}

/// `pregao-quotes-1a2b3c4d.csv`: the tables that it comes from, and the beginning of the query's id.
fn file_name(statement: &str, id: &str, format: Format) -> String {
    let tables: Vec<&str> = reading::tables_of(statement).into_iter().map(|table| table.as_str()).collect();
    let tables = if tables.is_empty() { "result".to_owned() } else { tables.join("-") };
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("pregao-{tables}-{id}.{}", format.extension())
}

/// A file that is being written.
enum File {
    Csv(Vec<u8>),
    Parquet(Box<ParquetFile>),
}

impl File {
    fn new(format: Format, columns: Vec<Column>) -> Result<Self, Failure> {
        Ok(match format {
            Format::Csv => {
                let mut header = Vec::new();
                csv_record(&mut header, columns.iter().map(|column| Some(column.name.as_str())));
                File::Csv(header)
            }
            Format::Parquet => File::Parquet(Box::new(ParquetFile::new(columns)?)),
        })
    }

    /// Takes rows. Gives the bytes that are ready.
    fn rows(&mut self, rows: &[Row]) -> Result<Vec<u8>, Failure> {
        Ok(match self {
            File::Csv(bytes) => {
                for row in rows {
                    csv_record(bytes, row.iter().map(Option::as_deref));
                }
                std::mem::take(bytes)
            }
            File::Parquet(file) => file.rows(rows)?,
        })
    }

    /// Ends the file. Gives the rest of its bytes.
    fn end(self) -> Result<Vec<u8>, Failure> {
        Ok(match self {
            File::Csv(bytes) => bytes,
            File::Parquet(file) => file.end()?,
        })
    }
}

fn csv_record<'a>(bytes: &mut Vec<u8>, fields: impl Iterator<Item = Option<&'a str>>) {
    csv::write_record(bytes, fields).expect("a Vec takes all bytes");
}

impl From<ParquetFileError> for Failure {
    fn from(error: ParquetFileError) -> Self {
        Failure::invalid(error.to_string())
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
        let mut file = File::new(Format::Csv, vec![column("a"), column("b,c")]).expect("columns");
        let mut bytes = file.rows(&[vec![None, Some(String::new())]]).expect("rows");
        bytes.extend(file.end().expect("an end"));
        assert_eq!(bytes, b"a,\"b,c\"\r\n,\"\"\r\n");
    }
}
