//! What a process that will be killed has done later, and how to tell afterwards what became of it: queued requests,
//! each with a tag of its own, and a backend that remembers what took effect, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value as Json, json};

use crate::ledger::Accepted;

/// Lanes of a directory; each process queues into all of them.
pub const LANES: u64 = 3;
/// One errand in so many is refused for good, and one fails at first.
const REFUSED_ONE_IN: u64 = 11;
const FAILED_ONE_IN: u64 = 7;

/// An errand, named by the process that queued it and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Errand {
    pub process: u64,
    pub number: u64,
}

impl Errand {
    pub fn lane(self) -> u64 {
        self.number % LANES
    }

    pub fn is_refused(self) -> bool {
        self.number % REFUSED_ONE_IN == REFUSED_ONE_IN - 1
    }

    /// As a command.
    pub fn command(self) -> Json {
        let body = json!({"process": self.process, "number": self.number});
        let work = json!({"request": {"method": "POST", "url": "/errands", "body": body}});
        let job = json!({"work": work, "lane": format!("lane{}", self.lane()), "dedupe": false});
        json!({"type": "jobs", "command": {"type": "enqueue", "jobs": [job]}})
    }

    /// Of a request's body.
    pub fn read(body: &Json) -> Option<Self> {
        Some(Self { process: body["process"].as_u64()?, number: body["number"].as_u64()? })
    }
}

/// What the backend has seen.
#[derive(Debug, Default)]
pub struct Backend {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// In the order of their effect.
    effects: Vec<Errand>,
    by_key: BTreeMap<String, Errand>,
    keys: BTreeMap<Errand, String>,
    repetitions: u64,
    wrong: Vec<String>,
}

impl Backend {
    /// The status that a request is answered with.
    pub fn take(&self, key: &str, body: &Json) -> u16 {
        let mut seen = self.seen.lock().unwrap();
        let Some(errand) = Errand::read(body) else {
            seen.wrong.push(format!("not an errand: {body}"));
            return 400;
        };
        let is_first = !seen.keys.contains_key(&errand);
        let known = seen.keys.entry(errand).or_insert_with(|| key.to_owned()).clone();
        if known != key {
            seen.wrong.push(format!("{errand:?} came under {known}, and again under {key}"));
        }
        match seen.by_key.get(key).copied() {
            Some(other) if other != errand => {
                seen.wrong.push(format!("{key} is of {other:?} and {errand:?}"));
            }
            Some(_) => {
                seen.repetitions += 1;
                return 204;
            }
            None => {}
        }
        if errand.is_refused() {
            return 422;
        }
        if is_first && errand.number % FAILED_ONE_IN == FAILED_ONE_IN - 1 {
            return 503;
        }
        seen.by_key.insert(key.to_owned(), errand);
        seen.effects.push(errand);
        204
    }

    pub fn repetitions(&self) -> u64 {
        self.seen.lock().unwrap().repetitions
    }

    /// Whether each accepted errand took effect once, in the order of its lane, or is among the dead letters.
    pub fn audit(&self, lives: &BTreeMap<u64, Accepted>, dead: &BTreeSet<Errand>) -> Result<(), String> {
        let seen = self.seen.lock().unwrap();
        if let Some(wrong) = seen.wrong.first() {
            return Err(wrong.clone());
        }
        let done: BTreeSet<Errand> = seen.effects.iter().copied().collect();
        if done.len() != seen.effects.len() {
            return Err("an errand took effect twice".to_owned());
        }
        if let Some(both) = done.intersection(dead).next() {
            return Err(format!("{both:?} took effect, and is a dead letter"));
        }
        let unexpected = dead.iter().find(|errand| !errand.is_refused());
        if let Some(unexpected) = unexpected {
            return Err(format!("{unexpected:?} is a dead letter, and nobody refused it"));
        }
        for (&process, accepted) in lives {
            let errands = accepted.numbers.iter().map(|&number| Errand { process, number });
            let mut lost = errands.filter(|errand| !done.contains(errand) && !dead.contains(errand));
            if let Some(lost) = lost.next() {
                return Err(format!("{lost:?} was accepted, and is lost"));
            }
        }
        for lane in 0..LANES {
            let order: Vec<Errand> =
                seen.effects.iter().copied().filter(|errand| errand.lane() == lane).collect();
            if let Some(pair) = order.windows(2).find(|pair| pair[0] > pair[1]) {
                return Err(format!("{:?} took effect before {:?}", pair[0], pair[1]));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives() -> BTreeMap<u64, Accepted> {
        BTreeMap::from([(0, Accepted { numbers: (0..14).collect() })])
    }

    /// Takes these numbers in their order, each as often as it takes; returns what was refused.
    fn run(backend: &Backend, numbers: &[u64]) -> BTreeSet<Errand> {
        let mut dead = BTreeSet::new();
        for &number in numbers {
            let errand = Errand { process: 0, number };
            let body = json!({"process": 0, "number": number});
            while backend.take(&format!("k{number}"), &body) == 503 {}
            dead.extend(errand.is_refused().then_some(errand));
        }
        dead
    }

    #[test]
    fn the_audit_finds_what_is_lost_doubled_or_out_of_order() {
        let all: Vec<u64> = (0..14).collect();
        let good = Backend::default();
        let dead = run(&good, &all);
        assert_eq!(dead, [Errand { process: 0, number: 10 }].into());
        assert_eq!(good.audit(&lives(), &dead), Ok(()));
        assert!(good.audit(&lives(), &BTreeSet::new()).unwrap_err().contains("lost"));

        let lossy = Backend::default();
        let dead = run(&lossy, &all[..13]);
        assert!(lossy.audit(&lives(), &dead).unwrap_err().contains("lost"));

        let swapped = Backend::default();
        let dead = run(&swapped, &[0, 4, 1]);
        assert!(swapped.audit(&BTreeMap::new(), &dead).unwrap_err().contains("before"));

        let other_key = Backend::default();
        run(&other_key, &[0]);
        other_key.take("another", &json!({"process": 0, "number": 0}));
        assert!(other_key.audit(&BTreeMap::new(), &BTreeSet::new()).unwrap_err().contains("again under"));
    }
}
