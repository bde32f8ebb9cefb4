//! What must be left of a damaged directory.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path;

use serde_json::json;
use syncline_integration::Device;
use tempfile::TempDir;

use crate::damage::{Damage, copy, inflict};
use crate::master::{Variant, id, unsent_fields, unsent_records};
use crate::random::Random;
use crate::{Shown, drained, rows};

/// A damaged copy of a directory.
struct Case<'a> {
    seed: u64,
    variant: Variant,
    damage: Damage,
    directory: &'a Path,
    /// The unsent writes whose own records were hit.
    hit: BTreeSet<String>,
    url: &'a str,
}

/// Damages a copy of the variant's directory for each seed. `say` is told `seed N` before each, and
/// `rescued N LOST REPORTS` after it.
pub async fn run(masters: &Path, url: &str, variant: Variant, seeds: Range<u64>, say: &dyn Fn(&str)) {
    let master = masters.join(variant.name());
    let journal = fs::read(master.join("journal")).unwrap();
    let records = unsent_records(variant, &journal);
    for seed in seeds {
        say(&format!("seed {seed}"));
        let directory = TempDir::new().unwrap();
        copy(&master, directory.path());
        let damage = inflict(directory.path(), &mut Random::new(seed));
        let damaged = fs::read(directory.path().join("journal")).unwrap_or_default();
        let is_hit = |record: &Range<usize>| damaged.get(record.clone()) != Some(&journal[record.clone()]);
        let numbered = (0..).zip(&records);
        let hit = numbered.filter(|(_, record)| is_hit(record)).map(|(number, _)| id(number)).collect();
        let case = Case { seed, variant, damage, directory: directory.path(), hit, url };
        let (lost, reports) = case.check().await;
        say(&format!("rescued {seed} {lost} {reports}"));
    }
}

impl Case<'_> {
    fn fail(&self, what: &str) -> ! {
        panic!("seed {} of {}: {}: {what}", self.seed, self.variant.name(), self.damage)
    }

    /// Returns how many unsent writes were lost, and how many damages the app was told of.
    async fn check(&self) -> (usize, usize) {
        let device = self.variant.open(self.directory, self.url).await;
        let lost = self.lost_writes(&device).await;
        let confirmed_is_whole = self.confirmed_is_whole(&device).await;
        if !lost.is_empty() || !confirmed_is_whole {
            device.until("a report of what is lost", |seen| !seen.reports.is_empty()).await;
        }
        if !lost.is_empty() {
            self.check_quarantine();
        }
        self.goes_on(&device, &lost).await;
        device.run(json!({"type": "close"})).await.unwrap();
        (lost.len(), device.seen(|seen| seen.reports.len()))
    }

    /// The unsent writes that are neither shown nor among the outcomes; all of them must have been hit.
    async fn lost_writes(&self, device: &Device) -> BTreeSet<String> {
        let shown = rows(device, &self.variant.room(), "unsent").await;
        let outcomes = device.seen(|seen| {
            seen.outcomes.iter().map(|outcome| outcome.request.id.to_string()).collect::<BTreeSet<_>>()
        });
        let mut lost = BTreeSet::new();
        for number in 0..self.variant.unsent() {
            let id = id(number);
            match shown.get(&id) {
                Some(row) if row.fields == unsent_fields(number) && row.pending => {}
                Some(row) => self.fail(&format!("{id} is shown as {row:?}")),
                None if outcomes.contains(&id) => {}
                None if self.hit.contains(&id) => drop(lost.insert(id)),
                None => self.fail(&format!("{id} is lost, and its record was not hit")),
            }
        }
        lost
    }

    /// Whether every confirmed document is in the cache. What is there must be right.
    async fn confirmed_is_whole(&self, device: &Device) -> bool {
        let shown = rows(device, &self.variant.room(), "confirmed").await;
        for (id, row) in &shown {
            let number = id[1..].parse().unwrap();
            if row.fields != self.variant.confirmed_fields(number) {
                self.fail(&format!("{id} is shown with other fields"));
            }
        }
        shown.len() as u64 == self.variant.confirmed()
    }

    /// Bytes that could not be read are kept, unless there are none left.
    fn check_quarantine(&self) {
        let bytes_are_left = !matches!(&self.damage, Damage::Deleted { .. } | Damage::Truncated { .. });
        let kept = fs::read_dir(self.directory.join("quarantine")).map_or(0, Iterator::count);
        if bytes_are_left && kept == 0 {
            self.fail("the damaged bytes are not in quarantine");
        }
    }

    /// Synchronizes what is left, and something new.
    async fn goes_on(&self, device: &Device, lost: &BTreeSet<String>) {
        let (room, after) = (self.variant.room(), format!("after:{}:{}", self.variant.name(), self.seed));
        for room in [&room, &after] {
            device.run(json!({"type": "subscribe", "room": room})).await.unwrap();
        }
        device.run(json!({"type": "connect"})).await.unwrap();
        let new = json!({"room": after, "collection": "new", "id": "new", "write": {"create": {"seed": self.seed}}});
        device.run(json!({"type": "write", "writes": [new]})).await.unwrap();
        drained(device, &[&room, &after]).await;
        if !self.confirmed_is_whole(device).await {
            self.fail("confirmed documents did not come back");
        }
        let new = rows(device, &after, "new").await;
        let expected = Shown { fields: json!({"seed": self.seed}), pending: false };
        if new.get("new") != Some(&expected) {
            self.fail(&format!("a new write became {new:?}"));
        }
        let unsent = rows(device, &room, "unsent").await;
        if unsent.values().any(|row| row.pending) {
            self.fail("a rescued write is still pending");
        }
        // The undamaged original sent all of them: even what is lost here is not lost there.
        if unsent.len() as u64 != self.variant.unsent() {
            self.fail(&format!("{} lost, {} on the server", lost.len(), unsent.len()));
        }
    }
}
