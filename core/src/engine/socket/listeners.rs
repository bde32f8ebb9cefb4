//! Which events the app listens to.

use std::collections::BTreeMap;

use crate::error::{Code, Error};
use crate::transport::Namespace;

/// What a name ends in that stands for all names that begin like it.
const WILDCARD: char = '*';

/// Counted by namespace and name.
#[derive(Debug, Default)]
pub(in crate::engine) struct Listeners {
    topics: BTreeMap<(Namespace, String), u64>,
}

impl Listeners {
    pub(in crate::engine) fn add(
        &mut self,
        namespace: Namespace,
        event: String,
        topics_max: u64,
    ) -> Result<(), Error> {
        let known = self.topics.len() as u64;
        let key = (namespace, event);
        if !self.topics.contains_key(&key) && known >= topics_max {
            return Err(Error::new(
                Code::QueueFull,
                format!("more than {topics_max} events are listened to"),
            ));
        }
        *self.topics.entry(key).or_default() += 1;
        Ok(())
    }

    /// `false` when nobody listened.
    pub(in crate::engine) fn remove(&mut self, namespace: Namespace, event: String) -> bool {
        let key = (namespace, event);
        let Some(count) = self.topics.get_mut(&key) else { return false };
        *count -= 1;
        if *count == 0 {
            self.topics.remove(&key);
        }
        true
    }

    pub(in crate::engine) fn hear(&self, namespace: &Namespace, event: &str) -> bool {
        self.topics.keys().any(|(of, topic)| of == namespace && matches(topic, event))
    }

    pub(in crate::engine) fn clear(&mut self) {
        self.topics.clear();
    }
}

fn matches(topic: &str, event: &str) -> bool {
    match topic.strip_suffix(WILDCARD) {
        Some(prefix) => event.starts_with(prefix),
        None => topic == event,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn heard(topic: &str, event: &str) -> bool {
        let mut listeners = Listeners::default();
        listeners.add(Namespace::ROOT, topic.to_owned(), 1).unwrap();
        listeners.hear(&Namespace::ROOT, event)
    }

    #[test]
    fn a_name_or_its_beginning_or_everything_is_listened_to() {
        assert!(heard("a", "a") && !heard("a", "ab"));
        assert!(heard("activity:*", "activity:new") && !heard("activity:*", "active"));
        assert!(heard("*", "anything"));
    }

    #[test]
    fn each_listener_counts_and_their_number_is_limited() {
        let mut listeners = Listeners::default();
        let of = |event: &str| (Namespace::ROOT, event.to_owned());
        for _ in 0..2 {
            listeners.add(of("a").0, of("a").1, 1).unwrap();
        }
        assert_eq!(listeners.add(of("b").0, of("b").1, 1).unwrap_err().code, Code::QueueFull);
        assert!(listeners.remove(of("a").0, of("a").1));
        assert!(listeners.hear(&Namespace::ROOT, "a"));
        assert!(listeners.remove(of("a").0, of("a").1));
        assert!(!listeners.hear(&Namespace::ROOT, "a"));
        assert!(!listeners.remove(of("a").0, of("a").1));
    }
}
