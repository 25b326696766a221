//! Notifications about created objects, as a bucket of S3 sends them to EventBridge.

use std::sync::OnceLock;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Sends the keys of created objects to a subscriber, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Notifications(OnceLock<Subscription>);

/// The objects that a subscriber is notified of.
#[derive(Debug)]
struct Subscription {
    bucket: String,
    prefix: &'static str,
    /// Unbounded, so that a write never waits for the subscriber. A queued key has some hundred bytes.
    keys: UnboundedSender<String>,
}

impl Notifications {
    /// Subscribes to the objects of a bucket whose keys begin with a prefix. Returns the keys, one for each object that was
    /// created after this call; `None` if there is a subscriber.
    pub(crate) fn subscribe(&self, bucket: &str, prefix: &'static str) -> Option<UnboundedReceiver<String>> {
        let (keys, created) = unbounded_channel();
        self.0.set(Subscription { bucket: bucket.to_owned(), prefix, keys }).ok().map(|()| created)
    }

    /// Notifies the subscriber of an object that was created, if it asked for it.
    pub(super) fn created(&self, bucket: &str, key: &str) {
        if let Some(subscription) = self.0.get()
            && bucket == subscription.bucket
            && key.starts_with(subscription.prefix)
        {
            // A subscriber that ended needs no notifications.
            let _ = subscription.keys.send(key.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_notified_of_the_objects_that_it_asked_for() {
        let notifications = Notifications::default();
        notifications.created("raw", "landing/before.csv");
        let mut keys = notifications.subscribe("raw", "landing/").expect("the first subscriber");
        for (bucket, key) in
            [("raw", "landing/a.csv"), ("lake", "landing/b.csv"), ("raw", "landing"), ("raw", "landing/c")]
        {
            notifications.created(bucket, key);
        }
        assert_eq!((keys.try_recv().as_deref(), keys.try_recv().as_deref()), (Ok("landing/a.csv"), Ok("landing/c")));
        assert!(keys.try_recv().is_err());
        assert!(notifications.subscribe("raw", "landing/").is_none(), "there is one");
        drop(keys);
        notifications.created("raw", "landing/after.csv");
    }
}
