//! The Lambda function `vacuum`.

#[tokio::main]
async fn main() -> Result<(), lake::lambda::RuntimeError> {
    lake::lambda::serve(vacuum::handle).await
}
