//! The Lambda function `transform`.

#[tokio::main]
async fn main() -> Result<(), lake::lambda::RuntimeError> {
    lake::lambda::serve(transform::handle).await
}
