//! The Lambda function `validate-partitions`.

#[tokio::main]
async fn main() -> Result<(), lake::lambda::RuntimeError> {
    lake::lambda::serve(validate_partitions::handle).await
}
