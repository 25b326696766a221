//! The Lambda function `ingest`.

#[tokio::main]
async fn main() -> Result<(), lake::lambda::RuntimeError> {
    lake::lambda::serve(ingest::handle).await
}
