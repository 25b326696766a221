//! The Lambda function `poll-step`.

#[tokio::main]
async fn main() -> Result<(), lake::lambda::RuntimeError> {
    lake::lambda::serve(poll_step::handle).await
}
