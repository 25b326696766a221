//! Bounded concurrency: the same operation on many objects, at most a fixed number at a time.

use std::num::NonZeroUsize;

use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use crate::error::Error;

/// Runs `work` for each item as a Tokio task, at most `limit` at a time. Returns the results in the order of the items.
///
/// # Errors
/// The first error of `work`. No more work is started after it, and tasks that are still running are aborted.
pub async fn map<I, T, F, W>(items: I, limit: NonZeroUsize, work: F) -> Result<Vec<T>, Error>
where
    I: IntoIterator,
    F: Fn(I::Item) -> W,
    W: Future<Output = Result<T, Error>> + Send + 'static,
    T: Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut done = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        if tasks.len() == limit.get() {
            done.extend(tasks.join_next().await.map(finished).transpose()?);
        }
        let work = work(item);
        let work = async move { work.await.map(|result| (at, result)) };
        // A new task has no span. With that of the caller, its log lines have the fields of the caller.
        tasks.spawn(work.in_current_span());
    }
    while let Some(joined) = tasks.join_next().await {
        done.push(finished(joined)?);
    }
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

fn finished<T>(joined: Result<Result<T, Error>, JoinError>) -> Result<T, Error> {
    joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");

    #[tokio::test]
    async fn results_stand_in_the_order_of_the_items() {
        let running = Arc::new(AtomicUsize::new(0));
        let doubled = map(0..50usize, TWO, |n| {
            let running = running.clone();
            async move {
                assert!(running.fetch_add(1, Ordering::SeqCst) < 2, "no more than two at once");
                for _ in 0..50 - n {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(n * 2)
            }
        });
        assert_eq!(doubled.await.expect("all succeed"), (0..50).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_error_ends_it() {
        let begun = Arc::new(AtomicUsize::new(0));
        let result: Result<Vec<()>, Error> = map(0..50, TWO, |n| {
            begun.fetch_add(1, Ordering::SeqCst);
            async move { if n == 3 { Err(Error::Quality("the fourth".to_owned())) } else { Ok(()) } }
        })
        .await;
        assert_eq!(result.expect_err("the fourth fails").to_string(), "the fourth");
        assert!(begun.load(Ordering::SeqCst) < 10);
    }
}
