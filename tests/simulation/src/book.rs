//! What an app was promised about each of its writes, and what the server did with it. The oracle's own account: it
//! learns from the replies and events that the app gets, from the server's rulings, and, of writes whose reply a kill
//! swallowed, from what the next start finds in the journal.

use std::collections::{BTreeMap, BTreeSet};

use syncline::store::{Entry, Record, Recovered};
use syncline_protocol::{DocumentId, Op, Write};

use crate::failure::{Failure, ensure};
use crate::jobbook::JobBook;
use crate::ledger;
use crate::server::{Ruling, Verdict};

/// How far a write has come, as the app knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Given to the store; the app has no answer.
    Offered,
    /// The promise has resolved.
    Accepted,
    /// Reported as failed.
    Refused { acknowledged: bool },
    /// Reported as a conflict that the app decides.
    Parked,
    /// Parked, and the app decided against it.
    Withdrawn,
    /// Never accepted.
    Forgotten,
}

/// One write, under the number that the app knows.
#[derive(Debug, Clone)]
pub struct Noted {
    pub entry: Entry,
    pub fate: Fate,
    /// What it becomes with later edits in it, while the app waits for them to be accepted.
    folds: Vec<Entry>,
    pub applied: bool,
    /// It was refused, and may be in the journal all the same.
    unsure: bool,
    /// The app held it back for a while, so that later writes went before.
    pub overtaken: bool,
    /// The server found both sides deleted: nothing is left to do.
    settled: bool,
}

/// All writes of one device.
#[derive(Debug, Default)]
pub struct Book {
    writes: BTreeMap<u64, Noted>,
    /// Numbers under which a write was sent again, and the one it was accepted with.
    renamed: BTreeMap<u64, u64>,
    /// The last number applied of each document, as accepted.
    order: BTreeMap<(String, String, DocumentId), u64>,
    /// Acknowledgments and decisions that a kill may have swallowed.
    undecided: BTreeSet<u64>,
    /// The journal refused something since the process began. The engine keeps in memory what it could not write of
    /// outcomes: a restart hears them from the server once more, or shows once more what was acknowledged.
    shaken: bool,
    /// Whether the last decision about a write sends it again.
    sent_again: BTreeMap<u64, bool>,
    pub(crate) jobs: JobBook,
}

impl Book {
    pub fn writes(&self) -> impl DoubleEndedIterator<Item = (&u64, &Noted)> {
        self.writes.iter()
    }

    pub fn len(&self) -> usize {
        self.writes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub fn find(&self, client_seq: u64) -> Option<&Noted> {
        self.writes.get(&client_seq)
    }

    /// The engine appended a record.
    pub fn note(&mut self, record: &Record) -> Result<(), Failure> {
        match record {
            Record::Queued(entries) => {
                entries.iter().try_for_each(|entry| self.queue(entry))?;
            }
            Record::Resent { entries, .. } => entries.iter().for_each(|entry| self.rename(entry)),
            Record::Resolved { client_seq, entry } => {
                self.sent_again.insert(*client_seq, entry.is_some());
                entry.iter().for_each(|entry| self.rename(entry));
            }
            _ => self.jobs.note(record)?,
        }
        Ok(())
    }

    /// A new write, or an edit that became part of one that was never sent.
    fn queue(&mut self, entry: &Entry) -> Result<(), Failure> {
        let number = entry.mutation.client_seq;
        ensure!(!self.renamed.contains_key(&number), "write {number} takes a number in use");
        let noted = self.writes.entry(number).or_insert_with(|| Noted::new(entry.clone()));
        match noted.fate {
            Fate::Forgotten => *noted = Noted::new(entry.clone()),
            Fate::Offered | Fate::Accepted if !noted.applied => noted.folds.push(entry.clone()),
            other => {
                return Err(Failure(format!("write {number} takes the number of one that is {other:?}")));
            }
        }
        Ok(())
    }

    fn rename(&mut self, entry: &Entry) {
        self.renamed.insert(entry.mutation.client_seq, entry.accepted().client_seq);
    }

    pub fn shake(&mut self) {
        self.shaken = true;
    }

    /// Whether the journal refused something since the process began.
    pub fn is_shaken(&self) -> bool {
        self.shaken
    }

    /// The app's promise resolved.
    pub fn written(&mut self, client_seqs: &[u64]) -> Result<(), Failure> {
        for number in client_seqs {
            let noted = self.writes.get_mut(number);
            let noted =
                noted.ok_or_else(|| Failure(format!("write {number} is accepted and not in the journal")))?;
            let known = matches!(noted.fate, Fate::Offered | Fate::Accepted);
            ensure!(known, "write {number} is accepted, and was {:?}", noted.fate);
            noted.fate = Fate::Accepted;
            noted.entry = noted.folds.pop().unwrap_or_else(|| noted.entry.clone());
            noted.folds.clear();
        }
        Ok(())
    }

    /// The commit failed: nothing of it may take effect, at least as long as the process lives. After that too, unless it
    /// is `unsure` what the disk holds.
    pub fn not_written(&mut self, unsure: bool) {
        self.jobs.not_written(unsure);
        for noted in self.writes.values_mut() {
            if !unsure {
                noted.folds.clear();
            }
            if noted.fate == Fate::Offered {
                noted.unsure = unsure;
                noted.fate = Fate::Forgotten;
            }
        }
    }

    pub fn refused(&mut self, client_seq: u64) -> Result<(), Failure> {
        self.change(client_seq, "refused", |noted| {
            let first = matches!(noted.fate, Fate::Accepted);
            noted.fate = Fate::Refused { acknowledged: false };
            first
        })
    }

    pub fn parked(&mut self, client_seq: u64) -> Result<(), Failure> {
        self.change(client_seq, "parked", |noted| {
            let first = matches!(noted.fate, Fate::Accepted);
            noted.fate = Fate::Parked;
            first
        })
    }

    /// The app is about to acknowledge or to decide; a kill may leave open whether it did.
    pub fn deciding(&mut self, client_seq: u64) {
        self.undecided.insert(client_seq);
    }

    /// Whether the app is about to acknowledge or to decide.
    pub fn is_undecided(&self, client_seq: u64) -> bool {
        self.undecided.contains(&client_seq)
    }

    /// The decision was refused.
    pub fn not_decided(&mut self, client_seq: u64) {
        self.undecided.remove(&client_seq);
    }

    pub fn acknowledged(&mut self, client_seq: u64) -> Result<(), Failure> {
        self.undecided.remove(&client_seq);
        self.change(client_seq, "acknowledged", |noted| {
            let known = noted.fate == Fate::Refused { acknowledged: false };
            noted.fate = Fate::Refused { acknowledged: true };
            known
        })
    }

    pub fn resolved(&mut self, client_seq: u64) -> Result<(), Failure> {
        self.undecided.remove(&client_seq);
        let withdrawn = !self.sent_again.get(&client_seq).copied().unwrap_or(false);
        self.change(client_seq, "resolved", |noted| {
            let known = noted.fate == Fate::Parked;
            noted.fate = if withdrawn { Fate::Withdrawn } else { Fate::Accepted };
            noted.overtaken = true;
            known
        })
    }

    fn change(
        &mut self,
        client_seq: u64,
        what: &str,
        change: impl FnOnce(&mut Noted) -> bool,
    ) -> Result<(), Failure> {
        let noted = self.writes.get_mut(&client_seq);
        let noted = noted.ok_or_else(|| Failure(format!("unknown write {client_seq} is {what}")))?;
        let before = noted.fate;
        ensure!(change(noted), "write {client_seq} is {what}, but was {before:?}");
        Ok(())
    }

    /// A restart: what the journal holds is what counts.
    pub fn recover(&mut self, recovered: &Recovered, entries: &[Entry]) -> Result<(), Failure> {
        let numbers = |entries: &mut dyn Iterator<Item = &Entry>| -> BTreeSet<u64> {
            entries.map(|entry| entry.accepted().client_seq).collect()
        };
        let queued = numbers(&mut entries.iter());
        let failed = numbers(&mut recovered.outcomes.iter().map(|outcome| &outcome.entry));
        let parked = numbers(&mut recovered.parked.iter().map(|parked| &parked.entry));
        // What was not durable when the process died was never sent, and its numbers are free again.
        self.renamed.retain(|number, _| *number <= recovered.identity.last_client_seq);
        for entry in entries {
            let number = entry.accepted().client_seq;
            match self.writes.get_mut(&number) {
                // The app may have decided on another write.
                Some(noted) if self.undecided.contains(&number) => noted.entry = entry.clone(),
                Some(noted) => noted.find_in(entry)?,
                None => {}
            }
        }
        let undecided = std::mem::take(&mut self.undecided);
        let shaken = std::mem::take(&mut self.shaken);
        self.jobs.recover(recovered, shaken)?;
        for (number, noted) in &mut self.writes {
            noted.folds.clear();
            let open = undecided.contains(number);
            let before = noted.fate;
            noted.fate = match before {
                Fate::Forgotten if noted.unsure && queued.contains(number) => Fate::Accepted,
                Fate::Refused { .. } if shaken && failed.contains(number) => {
                    Fate::Refused { acknowledged: false }
                }
                Fate::Refused { .. } | Fate::Parked if shaken && queued.contains(number) => Fate::Accepted,
                Fate::Forgotten | Fate::Withdrawn | Fate::Refused { acknowledged: true } => {
                    let back = queued.contains(number) || failed.contains(number) || parked.contains(number);
                    ensure!(!back, "write {number} is back after a restart, and was {before:?}");
                    before
                }
                _ if failed.contains(number) => Fate::Refused { acknowledged: false },
                _ if parked.contains(number) => Fate::Parked,
                Fate::Parked if open && queued.contains(number) => {
                    noted.overtaken = true;
                    Fate::Accepted
                }
                Fate::Parked if open => Fate::Withdrawn,
                Fate::Refused { .. } if open => Fate::Refused { acknowledged: true },
                Fate::Refused { .. } | Fate::Parked => {
                    return Err(Failure(format!("write {number} was {before:?}, and a restart forgot it")));
                }
                Fate::Offered if !queued.contains(number) => Fate::Forgotten,
                Fate::Offered | Fate::Accepted => Fate::Accepted,
            };
        }
        self.check_standing(&queued, &failed, &parked)
    }

    /// The server ruled on one of this device's mutations.
    pub fn rule(&mut self, verdict: &Verdict) -> Result<(), Failure> {
        let number = verdict.mutation.client_seq;
        let accepted = self.renamed.get(&number).copied().unwrap_or(number);
        let noted = self.writes.get_mut(&accepted);
        let noted =
            noted.ok_or_else(|| Failure(format!("the server has write {number}, which nobody made")))?;
        match verdict.ruling {
            Ruling::Applied => {
                ensure!(!noted.applied, "write {accepted} was applied twice");
                ensure!(
                    matches!(noted.fate, Fate::Accepted),
                    "write {accepted} was applied, and is {:?} to the app",
                    noted.fate
                );
                noted.applied = true;
                if !noted.overtaken {
                    let as_made = noted.entry.mutation.write == verdict.mutation.write;
                    ensure!(as_made, "write {accepted} was applied as another one");
                    let room = verdict.room.to_string();
                    let document =
                        (room, verdict.mutation.collection.to_string(), verdict.mutation.id.clone());
                    let last = self.order.entry(document).or_default();
                    ensure!(*last < accepted, "write {accepted} was applied after write {last}");
                    *last = accepted;
                }
            }
            Ruling::Conflict => noted.settled |= verdict.mutation.write == Write::Delete,
            Ruling::Duplicate | Ruling::Rejected => {}
        }
        Ok(())
    }

    /// Every accepted write is applied, or waits, or is reported with its reason.
    pub fn check_standing(
        &self,
        queued: &BTreeSet<u64>,
        failed: &BTreeSet<u64>,
        parked: &BTreeSet<u64>,
    ) -> Result<(), Failure> {
        for (number, noted) in self.writes.iter().filter(|(number, _)| !self.undecided.contains(number)) {
            let kept = queued.contains(number) || failed.contains(number) || parked.contains(number);
            let (stands, wrong) = match noted.fate {
                Fate::Accepted => (kept || noted.applied || noted.settled, false),
                Fate::Refused { acknowledged: false } => (failed.contains(number), noted.applied),
                Fate::Parked => (parked.contains(number), noted.applied),
                Fate::Refused { acknowledged: true } | Fate::Withdrawn => (true, noted.applied || kept),
                Fate::Offered | Fate::Forgotten => (true, noted.applied || kept),
            };
            ensure!(stands, "write {number} ({:?}) is lost", noted.fate);
            ensure!(!wrong, "write {number} took effect, and is {:?} to the app", noted.fate);
        }
        Ok(())
    }
}

impl Noted {
    fn new(entry: Entry) -> Self {
        Self {
            fate: Fate::Offered,
            folds: vec![entry.clone()],
            entry,
            applied: false,
            unsure: false,
            overtaken: false,
            settled: false,
        }
    }

    /// The tags that it adds to a ledger.
    pub fn tags(&self) -> Vec<&str> {
        ledger::tags_of(&self.entry.mutation.write)
    }

    /// The journal has the write as it was accepted, or with edits of which the app had no answer.
    fn find_in(&mut self, found: &Entry) -> Result<(), Failure> {
        let same = |entry: &&Entry| entry.mutation.write == found.mutation.write;
        let as_known = same(&&self.entry) || self.overtaken;
        let fold = self.folds.iter().find(same).cloned();
        ensure!(
            as_known || fold.is_some(),
            "write {} is another one after a restart",
            found.accepted().client_seq
        );
        if let Some(fold) = fold {
            self.entry = fold;
        }
        Ok(())
    }
}

/// The operations of a write.
pub fn ops(write: &Write) -> impl Iterator<Item = (&syncline_protocol::Path, &Op)> {
    match write {
        Write::Update(patch) => Some(patch.ops()),
        Write::Create(_) | Write::Delete => None,
    }
    .into_iter()
    .flatten()
}
