//! Leases of the catalog's tables.

use std::time::Duration;

use lake::Error;
use lake::lease::{CREATE_ATHENA_TABLE, Lease};

use crate::World;

const KEY: &str = "catalog/locks/quotes.json";

/// Takes the lease if it is free now.
async fn take<'a>(world: &'a World, holder: &str) -> Result<Lease<'a>, Error> {
    Lease::take(&world.lake, KEY.to_owned(), holder, Duration::ZERO).await
}

fn unanswered() -> Error {
    Error::unavailable("moving a partition", "no answer")
}

#[tokio::test]
async fn a_lease_is_released_when_its_work_was_answered() {
    let world = World::new().await;
    let mut lease = take(&world, "first").await.expect("a free lease");
    take(&world, "second").await.expect_err("it is held");
    lease.within(async { Ok(()) }).await.expect("an answer");
    let refused = lease.within(async { Err::<(), _>(Error::Quality("refused".to_owned())) }).await;
    refused.expect_err("an answer too");
    // A call that only reads has no effect, whenever it is executed.
    lease.reading(async { Err::<(), _>(unanswered()) }).await.expect_err("no answer");
    lease.release().await.expect("a release");
    take(&world, "second").await.expect("a free lease");
}

#[tokio::test]
async fn a_lease_is_not_released_while_its_work_may_take_effect() {
    let world = World::new().await;
    let mut lease = take(&world, "first").await.expect("a free lease");
    lease.within(async { Err::<(), _>(unanswered()) }).await.expect_err("no answer");
    lease.within(async { Ok(()) }).await.expect("an answer to something else");
    lease.release().await.expect("no release");
    let refused = take(&world, "second").await.expect_err("the work may still take effect");
    assert!(refused.to_string().contains("first"), "{refused}");
}

#[tokio::test]
async fn a_lease_of_a_function_ends_with_the_process_that_ran_it() {
    let world = World::new().await;
    let function = format!("{CREATE_ATHENA_TABLE} of quotes");
    take(&world, &function).await.expect("a free lease");
    let world = world.restarted().await;
    take(&world, "pregao smoke").await.expect("nobody holds it");
    // A client may go on at the next owner of the home.
    let world = world.restarted().await;
    take(&world, &function).await.expect_err("a client holds it");
}
