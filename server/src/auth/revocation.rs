//! Tokens that hold no longer, although their time is not over. Bounded: where an entry does not fit any more, tokens of
//! everybody that are as old are refused instead, so nothing that was revoked is taken again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::access::Identity;
use crate::config::SecurityConfig;

const FILE: &str = "revocations.json";

/// Whose tokens are revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// All tokens of a user that were issued (`iat`) in this second or before, and those that do not say when.
    User(String),
    /// One token, by its `jti`.
    Token(String),
}

/// What was revoked, as this server knows it.
#[derive(Debug)]
pub(crate) struct Revocations {
    revoked: RwLock<Revoked>,
    /// Where it is kept; held while it is written.
    file: Mutex<Option<PathBuf>>,
    kept_max: usize,
    kept_s: u64,
    changes: watch::Sender<u64>,
}

/// What was revoked; the times are seconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Revoked {
    users: BTreeMap<String, u64>,
    tokens: BTreeMap<String, u64>,
    /// Tokens of everybody that were issued then or before.
    everybody_s: u64,
}

impl Revocations {
    /// For as long as the process lives.
    pub(crate) fn in_memory(config: &SecurityConfig) -> Self {
        Self {
            revoked: RwLock::default(),
            file: Mutex::new(None),
            kept_max: config.revocations_kept_max,
            kept_s: config.revocations_kept_s,
            changes: watch::Sender::new(0),
        }
    }

    /// Kept in a folder, which is made when missing.
    pub(crate) fn open(folder: &Path, config: &SecurityConfig) -> io::Result<Self> {
        let path = folder.join(FILE);
        let revoked = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Revoked::default(),
            Err(error) => return Err(error),
        };
        let revocations = Self::in_memory(config);
        *revocations.revoked.write().unwrap_or_else(PoisonError::into_inner) = revoked;
        *revocations.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
        Ok(revocations)
    }

    /// Holds at once; an error means that it may not outlive the process.
    pub(crate) fn revoke(&self, what: Revocation, now_s: u64) -> io::Result<()> {
        self.change(now_s, |revoked| revoked.add(what, now_s))
    }

    /// Takes in what another server knows. An error means that it holds, but may not outlive the process.
    pub(crate) fn merge(&self, told: &Revoked, now_s: u64) -> io::Result<()> {
        let mut told = told.clone();
        told.shrink(now_s.saturating_sub(self.kept_s), self.kept_max);
        if told.is_known_to(&self.read()) {
            return Ok(());
        }
        self.change(now_s, |revoked| revoked.merge(&told))
    }

    /// What is to be known where this much is known, if that is more.
    pub(crate) fn beyond(&self, known: &Revoked, now_s: u64) -> Option<Revoked> {
        let before_s = now_s.saturating_sub(self.kept_s);
        let mut own = self.read().clone();
        own.shrink(before_s, self.kept_max);
        if own.is_known_to(known) {
            return None;
        }
        own.merge(known);
        own.shrink(before_s, self.kept_max);
        Some(own)
    }

    /// How long a revocation is kept, in seconds.
    pub(crate) fn kept_s(&self) -> u64 {
        self.kept_s
    }

    fn change(&self, now_s: u64, change: impl FnOnce(&mut Revoked)) -> io::Result<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (revoked, changed) = {
            let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
            let before = revoked.clone();
            change(&mut revoked);
            revoked.shrink(now_s.saturating_sub(self.kept_s), self.kept_max);
            (revoked.clone(), *revoked != before)
        };
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
        match &*file {
            Some(path) => write(path, &serde_json::to_vec(&revoked)?),
            None => Ok(()),
        }
    }

    pub(crate) fn is_revoked(&self, who: &Identity) -> bool {
        self.read().covers(who)
    }

    fn read(&self) -> RwLockReadGuard<'_, Revoked> {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes when something is revoked.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl Revoked {
    fn covers(&self, who: &Identity) -> bool {
        let issued_s = who.issued_s.unwrap_or(0);
        let is_of_everybody = self.everybody_s > 0 && issued_s <= self.everybody_s;
        let is_of_user = self.users.get(&who.user).is_some_and(|revoked_s| issued_s <= *revoked_s);
        let is_token = who.token_id.as_ref().is_some_and(|id| self.tokens.contains_key(id));
        is_of_everybody || is_of_user || is_token
    }

    fn add(&mut self, what: Revocation, now_s: u64) {
        let (entries, name) = match what {
            Revocation::User(user) => (&mut self.users, user),
            Revocation::Token(id) => (&mut self.tokens, id),
        };
        let revoked_s = entries.entry(name).or_default();
        *revoked_s = now_s.max(*revoked_s);
    }

    /// Whether all of it is known there, or covered by what is refused to everybody.
    fn is_known_to(&self, other: &Self) -> bool {
        let knows = |theirs: &BTreeMap<String, u64>, name: &String, revoked_s: u64| {
            revoked_s <= other.everybody_s || theirs.get(name).is_some_and(|at_s| revoked_s <= *at_s)
        };
        self.everybody_s <= other.everybody_s
            && self.users.iter().all(|(name, at_s)| knows(&other.users, name, *at_s))
            && self.tokens.iter().all(|(id, at_s)| knows(&other.tokens, id, *at_s))
    }

    fn merge(&mut self, other: &Self) {
        for (own, theirs) in [(&mut self.users, &other.users), (&mut self.tokens, &other.tokens)] {
            for (name, revoked_s) in theirs {
                let own_s = own.entry(name.clone()).or_default();
                *own_s = (*own_s).max(*revoked_s);
            }
        }
        self.everybody_s = self.everybody_s.max(other.everybody_s);
    }

    /// Forgets what is older than all tokens, and the oldest of what is too much.
    fn shrink(&mut self, before_s: u64, kept_max: usize) {
        for entries in [&mut self.users, &mut self.tokens] {
            entries.retain(|_, revoked_s| *revoked_s >= before_s);
            while entries.len() > kept_max {
                let oldest = entries.iter().min_by_key(|(_, revoked_s)| **revoked_s);
                let Some((name, revoked_s)) = oldest.map(|(name, at)| (name.clone(), *at)) else { break };
                entries.remove(&name);
                self.everybody_s = self.everybody_s.max(revoked_s);
            }
        }
    }
}

/// What a folder keeps, for a backup; empty when nothing is kept there.
pub(crate) fn kept_in(folder: &Path) -> io::Result<Vec<u8>> {
    match fs::read(folder.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Keeps in a folder, which is made when missing, what a backup held, beside what is kept there.
pub(crate) fn keep_in(folder: &Path, held: &[u8]) -> io::Result<()> {
    if held.is_empty() {
        return Ok(());
    }
    let held: Revoked = serde_json::from_slice(held)?;
    let kept = kept_in(folder)?;
    let mut revoked = if kept.is_empty() { Revoked::default() } else { serde_json::from_slice(&kept)? };
    revoked.merge(&held);
    write(&folder.join(FILE), &serde_json::to_vec(&revoked)?)
}

/// All of it or nothing, and durable.
fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn identity(user: &str, id: Option<&str>, issued_s: Option<u64>) -> Identity {
        let token_id = id.map(str::to_owned);
        Identity { user: user.to_owned(), claims: Default::default(), token_id, issued_s, ends_s: u64::MAX }
    }

    fn user(name: &str) -> Revocation {
        Revocation::User(name.to_owned())
    }

    #[test]
    fn a_users_older_tokens_are_revoked_and_the_newer_ones_are_not() {
        let revocations = Revocations::in_memory(&SecurityConfig::default());
        revocations.revoke(user("ann"), 1000).unwrap();
        for (who, is_revoked) in [
            (identity("ann", None, Some(999)), true),
            (identity("ann", None, Some(1000)), true),
            (identity("ann", None, Some(1001)), false),
            (identity("ann", None, None), true),
            (identity("bob", None, Some(1)), false),
        ] {
            assert_eq!(revocations.is_revoked(&who), is_revoked, "{who:?}");
        }
        revocations.revoke(Revocation::Token("t".to_owned()), 1000).unwrap();
        assert!(revocations.is_revoked(&identity("bob", Some("t"), Some(2000))));
        assert!(!revocations.is_revoked(&identity("bob", Some("u"), Some(2000))));
    }

    #[test]
    fn what_does_not_fit_any_more_stays_revoked_with_all_that_is_as_old() {
        let config = SecurityConfig { revocations_kept_max: 2, ..SecurityConfig::default() };
        let revocations = Revocations::in_memory(&config);
        for (name, at_s) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
            revocations.revoke(user(name), at_s).unwrap();
        }
        for name in ["a", "b", "c", "d", "never revoked"] {
            assert!(revocations.is_revoked(&identity(name, None, Some(10))), "{name}");
        }
        assert!(!revocations.is_revoked(&identity("a", None, Some(25))));
        assert!(revocations.is_revoked(&identity("d", None, Some(35))));
        assert!(revocations.revoked.read().unwrap().users.len() <= 2);
    }

    #[test]
    fn an_entry_goes_when_no_token_is_as_old() {
        let config = SecurityConfig { revocations_kept_s: 100, ..SecurityConfig::default() };
        let revocations = Revocations::in_memory(&config);
        revocations.revoke(user("a"), 1000).unwrap();
        revocations.revoke(user("b"), 1101).unwrap();
        let revoked = revocations.revoked.read().unwrap().clone();
        assert_eq!((revoked.users.len(), revoked.everybody_s), (1, 0));
    }

    #[test]
    fn servers_that_tell_each_other_refuse_the_same_and_come_to_an_end() {
        let small = SecurityConfig { revocations_kept_max: 2, ..SecurityConfig::default() };
        for (first, second) in [
            (SecurityConfig::default(), SecurityConfig::default()),
            (small.clone(), SecurityConfig::default()),
            (SecurityConfig::default(), SecurityConfig { revocations_kept_s: 10, ..small }),
        ] {
            let now_s = 1040;
            let servers = [first, second].map(|config| Revocations::in_memory(&config));
            for (at, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
                servers[at % 2].revoke(user(name), 1010 + 10 * at as u64).unwrap();
            }
            servers[0].revoke(Revocation::Token("t".to_owned()), now_s).unwrap();
            let mut known = Revoked::default();
            let mut told = 0;
            while told < 10 {
                let before = known.clone();
                for server in &servers {
                    server.merge(&known, now_s).unwrap();
                    if let Some(more) = server.beyond(&known, now_s) {
                        known = more;
                        told += 1;
                    }
                }
                if known == before {
                    break;
                }
            }
            assert!((2..=4).contains(&told), "{told}");
            for server in &servers {
                assert!(server.is_revoked(&identity("d", None, Some(1040))));
                assert!(server.is_revoked(&identity("x", Some("t"), Some(1040))));
                assert!(!server.is_revoked(&identity("d", None, Some(1041))));
                let changes = *server.changes().borrow();
                server.merge(&known, now_s).unwrap();
                assert_eq!(*server.changes().borrow(), changes, "nothing new is no change");
            }
        }
    }

    #[test]
    fn what_a_backup_holds_joins_what_a_folder_keeps() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = SecurityConfig::default();
        for (folder, name) in [(&from, "ann"), (&to, "bob")] {
            Revocations::open(folder.path(), &config).unwrap().revoke(user(name), 1000).unwrap();
        }
        keep_in(to.path(), &kept_in(from.path()).unwrap()).unwrap();
        let both = Revocations::open(to.path(), &config).unwrap();
        for (name, is_revoked) in [("ann", true), ("bob", true), ("cid", false)] {
            assert_eq!(both.is_revoked(&identity(name, None, Some(1000))), is_revoked, "{name}");
        }
        let none = tempfile::tempdir().unwrap();
        keep_in(none.path(), &kept_in(none.path()).unwrap()).unwrap();
        assert!(!none.path().join(FILE).exists());
        assert!(keep_in(to.path(), b"damaged").is_err());
    }

    #[test]
    fn what_was_revoked_is_so_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let config = SecurityConfig::default();
        let revocations = Revocations::open(folder.path(), &config).unwrap();
        revocations.revoke(user("ann"), 1000).unwrap();
        let again = Revocations::open(folder.path(), &config).unwrap();
        assert!(again.is_revoked(&identity("ann", None, Some(1000))));
        fs::write(folder.path().join(FILE), "damaged").unwrap();
        assert!(Revocations::open(folder.path(), &config).is_err(), "a damaged file is not taken for none");
    }
}
