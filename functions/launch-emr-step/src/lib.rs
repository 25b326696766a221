//! launch-emr-step
