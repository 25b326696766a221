//! Prints the Spark job: `cargo run --release -p market --example spark_job > crates/market/spark/etl.sql`.

fn main() {
    print!("{}", market::spark_job::sql());
}
