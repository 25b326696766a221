//! The Lambda function `launch-emr-step`.

#[tokio::main]
async fn main() -> Result<(), lake::lambda::RuntimeError> {
    lake::lambda::serve(launch_emr_step::handle).await
}
