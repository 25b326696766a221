//! The Lambda function `stop-emr-step`.

#[tokio::main]
async fn main() -> Result<(), lake::lambda::RuntimeError> {
    lake::lambda::serve(stop_emr_step::handle).await
}
