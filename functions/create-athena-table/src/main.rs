//! The Lambda function `create-athena-table`.

#[tokio::main]
async fn main() -> Result<(), lake::lambda::RuntimeError> {
    lake::lambda::serve(create_athena_table::handle).await
}
